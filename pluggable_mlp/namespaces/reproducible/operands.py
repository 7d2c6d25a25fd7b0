"""What enters an operation: arrays of one namespace, and Python scalars as their dtype has them.

Here is refused what the standard leaves undefined (floats with integers, float64 scalars of
NumPy beside float32 arrays), so that no library's own habit decides.
"""

from functools import lru_cache
from typing import Any

from pluggable_mlp.arrays import Array, DType, Namespace, dtype_name
from pluggable_mlp.namespaces.reproducible.array import ANY, PRODUCTS, ReproducibleArray
from pluggable_mlp.namespaces.reproducible.number import Number
from pluggable_mlp.namespaces.reproducible.rounding import SMALLEST_NORMAL, SMALLEST_PRODUCT

__all__ = [
    "as_scalar",
    "check_boolean",
    "check_floating",
    "check_not_floating",
    "check_numeric",
    "grain_of",
    "is_floating",
    "limits",
    "operands",
    "pair",
    "require_in_range",
]


# In the order in which a dtype is looked for that holds two others.
_INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")


def _is_bool(x: ReproducibleArray) -> bool:
    return bool(x.dtype == x.namespace.library.bool)


def is_floating(x: ReproducibleArray) -> bool:
    """Whether the array is of float32 or float64."""
    return x.kind != ""


def check_numeric(name: str, x: Any) -> None:
    """Refuse booleans, for a function of numbers: libraries disagree on them."""
    if isinstance(x, ReproducibleArray) and not x.kind and _is_bool(x):
        raise TypeError(f"{name} takes numbers, came bool; convert with xp.astype")


def check_boolean(name: str, x: Any) -> None:
    """Refuse arrays of numbers, for a function of booleans."""
    if isinstance(x, ReproducibleArray) and (x.kind or not _is_bool(x)):
        raise TypeError(f"{name} takes bool, came {dtype_name(x.dtype)}; compare first")


def check_not_floating(name: str, x: Any) -> None:
    """Refuse floats, for a function of bits."""
    if isinstance(x, ReproducibleArray) and x.kind:
        raise TypeError(f"{name} takes integers or bool, came {dtype_name(x.dtype)}")


def check_floating(name: str, x: Any) -> None:
    """Refuse what is not a floating-point array of a reproducible namespace, for a function."""
    if not isinstance(x, ReproducibleArray):
        raise TypeError(
            f"{name} takes arrays of the reproducible namespace, came "
            f"{type(x).__module__}.{type(x).__qualname__}; make one with xp.asarray"
        )
    if not x.kind:
        raise TypeError(f"{name} takes float32 or float64, came {dtype_name(x.dtype)}")


def as_scalar(x: ReproducibleArray, value: Any, name: str) -> Any:
    """Return a Python scalar as the dtype of `x` knows it; a denormal number is 0.

    Raises
    ------
    TypeError
        If it is not of a kind that the standard lets meet this dtype.
    OverflowError
        If it is an integer out of its range.
    """
    kind = x.kind
    if isinstance(value, Number) and kind:
        return value.rounded(x.dtype, kind)
    if kind and isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
        return 0.0 if abs(number) < SMALLEST_NORMAL[kind] else number
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


@lru_cache(maxsize=64)  # of libraries, not of the namespaces of steps
def limits(xp: Namespace, dtype: DType) -> tuple[int, int]:
    """Return the least and the greatest integer of a dtype of the library."""
    found = xp.iinfo(dtype)
    return int(found.min), int(found.max)


def require_in_range(xp: Namespace, dtype: DType, *values: int) -> None:
    """Refuse integers that a dtype of the library does not have."""
    low, high = limits(xp, dtype)
    for value in values:
        if not low <= value <= high:
            raise OverflowError(f"{value} is not in {dtype_name(dtype)}: {low} to {high}")


def promoted(x: ReproducibleArray, y: ReproducibleArray) -> DType:
    """Return the dtype that holds the numbers of two dtypes of one kind; None if none does."""
    xp = x.namespace.library
    if is_floating(x) and is_floating(y):
        return xp.float64
    if is_floating(x) or is_floating(y) or _is_bool(x) or _is_bool(y):
        return None
    ends = limits(xp, x.dtype), limits(xp, y.dtype)
    for name in _INTEGERS:
        low, high = limits(xp, getattr(xp, name))
        if all(low <= least and most <= high for least, most in ends):
            return getattr(xp, name)
    return None


def grain_of(*operands: Any) -> int:
    """Return what is known of the smallest values of all floating operands together."""
    grain, kind = PRODUCTS, ""
    for x in operands:
        if isinstance(x, ReproducibleArray) and x.kind:
            grain, kind = min(grain, x.grain), x.kind
    if not kind:
        return ANY
    for x in operands:
        if isinstance(x, Number):
            return ANY
        if isinstance(x, int | float) and 0.0 < abs(x) < SMALLEST_PRODUCT[kind]:
            return ANY
    return grain


def operands(name: str, x: Any, y: Any) -> tuple[Array, Array, str]:
    """Return `pair`, and the kind of the result: "float32", "float64" or "".

    Every operator passes here, so that the usual case, two arrays of one dtype, is asked first.
    """
    if type(x) is type(y) and x.kind == y.kind != "" and x.namespace is y.namespace:
        return x.native, y.native, x.kind
    a, b = pair(name, x, y)
    kind = max(z.kind for z in (x, y) if isinstance(z, ReproducibleArray))  # "float32" < "float64"
    check_numeric(name, x if isinstance(x, ReproducibleArray) else y)
    return a, b, kind


def pair(name: str, x: Any, y: Any) -> tuple[Array, Array]:
    """Return the library's operands of a function of two arrays, or of an array and a scalar.

    Raises
    ------
    TypeError
        If neither is an array, or the two are of kinds that the standard does not let meet.
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
    if is_floating(x) != is_floating(y):
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
