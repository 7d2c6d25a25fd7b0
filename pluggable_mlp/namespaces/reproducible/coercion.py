"""The operands of operations: arrays of one namespace, and Python scalars, alone or in lists.

Combinations that the standard leaves undefined are refused (floats with integers, NumPy's float64
scalars with float32 arrays), so no library decides.  Beside an array, a scalar takes its dtype.
Numbers that become arrays are float64, int64 or bool without a dtype, whatever the library's
default is; an integer out of the range of its dtype is refused, and floats in integer dtypes are
converted as `astype` does.
"""

import math
from collections.abc import Sequence
from numbers import Integral, Number, Real

from pluggable_mlp.arrays import Array, Device, DType, Namespace, dtype_name
from pluggable_mlp.elementary.common import SMALLEST_NORMAL, SMALLEST_PRODUCT
from pluggable_mlp.namespaces.reproducible.array import (
    ANY,
    PRODUCTS,
    ArrayOrScalar,
    Reproducible,
    ReproducibleArray,
    Scalar,
)
from pluggable_mlp.namespaces.reproducible.device_scalar import DeviceScalar
from pluggable_mlp.namespaces.reproducible.dtypes import DTYPES, limits

# In the order of the search for a dtype that holds two others.
_INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")


def _is_bool(x: ReproducibleArray) -> bool:
    return bool(x.dtype == x.namespace.library.bool)


def check_numeric(name: str, x: object) -> None:
    """Refuse booleans, for a function of numbers: libraries disagree on them."""
    if isinstance(x, ReproducibleArray) and not x.kind and _is_bool(x):
        raise TypeError(f"{name} takes numbers, came bool; convert with xp.astype")


def check_boolean(name: str, x: object) -> None:
    """Refuse arrays of numbers, for a function of booleans."""
    if isinstance(x, ReproducibleArray) and (x.kind or not _is_bool(x)):
        raise TypeError(f"{name} takes bool, came {dtype_name(x.dtype)}; compare first")


def check_not_floating(name: str, x: object) -> None:
    """Refuse floats, for a function of bits."""
    if isinstance(x, ReproducibleArray) and x.kind:
        raise TypeError(f"{name} takes integers or bool, came {dtype_name(x.dtype)}")


def check_floating(name: str, x: object) -> None:
    """Refuse all but floating-point arrays of a reproducible namespace, for a function."""
    if not isinstance(x, ReproducibleArray):
        raise TypeError(
            f"{name} takes arrays of the reproducible namespace, came "
            f"{type(x).__module__}.{type(x).__qualname__}; make one with xp.asarray"
        )
    if not x.kind:
        raise TypeError(f"{name} takes float32 or float64, came {dtype_name(x.dtype)}")


def as_scalar(x: ReproducibleArray, value: object, name: str) -> Array | Scalar:
    """Return a scalar in the dtype of `x`: a `DeviceScalar` as 0-d array; a denormal one is 0.

    Raises
    ------
    TypeError
        If the standard does not allow its kind with this dtype.
    OverflowError
        If it is an integer out of its range.
    """
    kind = x.kind
    if isinstance(value, DeviceScalar) and kind:
        return value.rounded(x.dtype, kind)
    if kind and isinstance(value, int | float) and not isinstance(value, bool):
        return _flushed(value, kind)
    xp = x.namespace.library
    if isinstance(value, bool):
        if x.dtype == xp.bool:
            return value
    elif isinstance(value, int) and xp.isdtype(x.dtype, "integral"):
        require_in_range(xp, x.dtype, value)
        return value
    raise TypeError(
        f"{name} of a {dtype_name(x.dtype)} array and {value!r}: expected a scalar of its kind"
    )


def require_in_range(xp: Namespace, dtype: DType, *values: int) -> None:
    """Refuse integers that a dtype of the library does not have."""
    low, high = limits(xp, dtype)
    for value in values:
        if not low <= value <= high:
            raise OverflowError(f"{value} is not in {dtype_name(dtype)}: {low} to {high}")


def promoted(x: ReproducibleArray, y: ReproducibleArray) -> DType:
    """Return the dtype that holds the numbers of two dtypes of one kind; None if none does."""
    xp = x.namespace.library
    if x.kind and y.kind:
        return xp.float64
    if x.kind or y.kind or _is_bool(x) or _is_bool(y):
        return None
    ends = limits(xp, x.dtype), limits(xp, y.dtype)
    for name in _INTEGERS:
        low, high = limits(xp, getattr(xp, name))
        if all(low <= least and most <= high for least, most in ends):
            return getattr(xp, name)
    return None


def underflow_of(*operands: object) -> int:
    """Return the common underflow class of all floating operands."""
    underflow, kind = PRODUCTS, ""
    for x in operands:
        if isinstance(x, ReproducibleArray) and x.kind:
            underflow, kind = min(underflow, x.underflow), x.kind
    if not kind:
        return ANY
    for x in operands:
        if isinstance(x, DeviceScalar):
            return ANY
        if isinstance(x, int | float) and 0.0 < abs(x) < SMALLEST_PRODUCT[kind]:
            return ANY
    return underflow


def operands(name: str, x: ArrayOrScalar, y: ArrayOrScalar) -> tuple[Array, Array, str]:
    """Return `pair`, and the kind of the result: "float32", "float64" or "".

    Every operator calls it: the usual case, two arrays of one floating dtype, comes first.
    """
    if isinstance(x, ReproducibleArray) and isinstance(y, ReproducibleArray):  # noqa: SIM102
        if x.kind == y.kind != "" and x.namespace is y.namespace:
            return x.native, y.native, x.kind
    a, b = pair(name, x, y)
    check_numeric(name, x if isinstance(x, ReproducibleArray) else y)
    kind = ""
    for z in (x, y):
        if isinstance(z, ReproducibleArray):
            kind = max(kind, z.kind)  # "float32" < "float64"
    return a, b, kind


def pair(name: str, x: ArrayOrScalar, y: ArrayOrScalar) -> tuple[Array, Array]:
    """Return the library's operands of a function of two arrays, or of an array and a scalar.

    Raises
    ------
    TypeError
        If neither is an array, or the standard does not allow their kinds together.
    """
    if not isinstance(x, ReproducibleArray):
        if not isinstance(y, ReproducibleArray):
            raise TypeError(f"{name} takes an array of the reproducible namespace, came {x!r}")
        return as_scalar(y, x, name), y.native
    if not isinstance(y, ReproducibleArray):
        return x.native, as_scalar(x, y, name)
    if x.namespace is not y.namespace:
        raise TypeError(
            f"{name} of arrays of {x.namespace.__name__} and {y.namespace.__name__}: expected one "
            "namespace; move one of them with xp.asarray"
        )
    if x.dtype == y.dtype:
        return x.native, y.native
    if bool(x.kind) != bool(y.kind):
        raise TypeError(
            f"{name} of {dtype_name(x.dtype)} and {dtype_name(y.dtype)}: the standard mixes no "
            "integers with floats; convert one with xp.astype"
        )
    xp, dtype = x.namespace.library, promoted(x, y)
    if dtype is None:
        raise TypeError(
            f"{name} of {dtype_name(x.dtype)} and {dtype_name(y.dtype)}: no dtype holds both; "
            "convert one with xp.astype"
        )
    return xp.astype(x.native, dtype), xp.astype(y.native, dtype)


def _flushed(value: Real | float, kind: str) -> float:
    """Return a number as a float, 0 if it would be denormal in a type."""
    number = float(value)
    return 0.0 if abs(number) < SMALLEST_NORMAL[kind] else number


def of_numbers(ns: Reproducible, obj: object, dtype: DType, device: Device) -> Array:
    """Return the library's array of numbers in nested lists; dtype None is the default one."""
    shape, leaves = _flattened(obj)
    if dtype is None:
        dtypes = {_own_dtype(ns.library, getattr(leaf, "dtype", None)) for leaf in leaves}
        dtype = next(iter(dtypes)) if len(dtypes) == 1 else None  # arrays of one dtype keep it
    numbers = [_number(leaf) for leaf in leaves]
    dtype = _dtype_of(ns.library, numbers) if dtype is None else dtype
    values = [in_dtype(ns, number, dtype) for number in numbers]
    return ns.library.reshape(ns.library.asarray(values, dtype=dtype, device=device), shape)


def _own_dtype(xp: Namespace, dtype: DType) -> DType:
    """Return the library's dtype for one that may be NumPy's, of its scalars."""
    name = "" if dtype is None else dtype_name(dtype)
    return getattr(xp, name) if name in DTYPES else dtype


def _flattened(obj: object) -> tuple[tuple[int, ...], list[ReproducibleArray | Number]]:
    """Return the shape of nested lists, and the numbers in them; refuse anything else."""
    if isinstance(obj, Number) or (isinstance(obj, ReproducibleArray) and not obj.ndim):
        return (), [obj]
    if not isinstance(obj, list | tuple | range):
        raise TypeError(
            f"obj holds a {type(obj).__module__}.{type(obj).__qualname__}, expected numbers in "
            "nested lists; join arrays with xp.stack"
        )
    if all(type(item) in (bool, int, float) for item in obj):
        return (len(obj),), list(obj)
    parts = [_flattened(item) for item in obj]
    shapes = {shape for shape, _ in parts}
    if len(shapes) > 1:
        raise ValueError(f"obj holds lists of different lengths, of the shapes {sorted(shapes)}")
    return (len(obj), *shapes.pop()), [leaf for _, leaves in parts for leaf in leaves]


def _number(leaf: ReproducibleArray | Number) -> Scalar | Number:
    """Return a number unchanged, or that of a 0-d array."""
    if not isinstance(leaf, ReproducibleArray):
        return leaf
    if leaf.kind:
        return float(leaf)
    return bool(leaf) if leaf.dtype == leaf.namespace.bool else int(leaf)


def _dtype_of(xp: Namespace, leaves: Sequence[object]) -> DType:
    if not all(isinstance(leaf, Real) for leaf in leaves):
        return xp.complex128
    if not leaves or not all(isinstance(leaf, Integral) for leaf in leaves):
        return xp.float64
    return xp.bool if all(type(leaf) is bool for leaf in leaves) else xp.int64


def in_dtype(ns: Reproducible, value: object, dtype: DType) -> Scalar:
    """Return a number converted to a dtype, except for rounding; denormal ones become 0.

    Raises
    ------
    TypeError
        If it is complex, or the dtype is.
    OverflowError
        If it is an integer out of the range of an integer dtype.
    """
    kind = ns.kinds[dtype]
    if not isinstance(value, Real):
        raise TypeError(f"{value!r} is not a real number: the reproducible namespace has no rule")
    if kind:
        return _flushed(value, kind)
    if dtype == ns.library.bool:
        return bool(value)
    if isinstance(value, Integral):
        require_in_range(ns.library, dtype, int(value))
        return int(value)
    low, high = limits(ns.library, dtype)
    return 0 if math.isnan(value) else math.trunc(min(max(float(value), low), high))
