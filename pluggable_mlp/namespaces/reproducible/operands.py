"""What enters an operation: arrays of one namespace, and Python scalars as their dtype has them.

Here is refused what the standard leaves undefined (floats with integers, float64 scalars of
NumPy beside float32 arrays), so that no library's own habit decides.
"""

from typing import Any

from pluggable_mlp.arrays import Array, DType, dtype_name
from pluggable_mlp.namespaces.reproducible.array import ANY, PRODUCTS, ReproducibleArray
from pluggable_mlp.namespaces.reproducible.number import Number
from pluggable_mlp.namespaces.reproducible.rounding import SMALLEST_NORMAL, SMALLEST_PRODUCT

__all__ = [
    "as_scalar",
    "check_floating",
    "grain_of",
    "is_floating",
    "operands",
    "pair",
]


def is_floating(x: ReproducibleArray) -> bool:
    """Whether the array is of float32 or float64."""
    return x.kind != ""


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
        return value
    raise TypeError(
        f"{name} of a {dtype_name(x.dtype)} array and {value!r}: expected a scalar of its kind"
    )


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
    if isinstance(x, ReproducibleArray) and isinstance(y, ReproducibleArray):
        return a, b, max(x.kind, y.kind)  # "float32" < "float64"
    return a, b, (x if isinstance(x, ReproducibleArray) else y).kind


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
    xp = x.namespace.library
    dtype: DType = xp.result_type(x.dtype, y.dtype)
    return xp.astype(x.native, dtype), xp.astype(y.native, dtype)
