"""What enters an operation: arrays of one namespace, and Python scalars as their dtype has them.

Here is refused what the standard leaves undefined (floats with integers, float64 scalars of
NumPy beside float32 arrays), so that no library's own habit decides.
"""

from typing import Any

from pluggable_mlp.arithmetic.reproducible.rounding import (
    SMALLEST_NORMAL,
    SMALLEST_PRODUCT,
    type_name,
)
from pluggable_mlp.arrays import Array, DType, dtype_name
from pluggable_mlp.namespaces.reproducible.array import ReproducibleArray

__all__ = ["as_scalar", "check_floating", "is_floating", "on_lattice", "pair", "scalar_on_lattice"]


def is_floating(x: ReproducibleArray) -> bool:
    """Whether the array is of float32 or float64."""
    return bool(x.namespace.library.isdtype(x.dtype, "real floating"))


def check_floating(name: str, x: Any) -> None:
    """Refuse what is not a floating-point array of a reproducible namespace, for a function."""
    if not isinstance(x, ReproducibleArray):
        raise TypeError(
            f"{name} takes arrays of the reproducible namespace, came "
            f"{type(x).__module__}.{type(x).__qualname__}; make one with xp.asarray"
        )
    if not is_floating(x):
        raise TypeError(f"{name} takes float32 or float64, came {dtype_name(x.dtype)}")


def as_scalar(x: ReproducibleArray, value: Any, name: str) -> Any:
    """Return a Python scalar as the dtype of `x` knows it; a denormal number is 0.

    Raises
    ------
    TypeError
        If it is not of a kind that the standard lets meet this dtype.
    """
    xp = x.namespace.library
    if is_floating(x) and isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
        return 0.0 if abs(number) < SMALLEST_NORMAL[type_name(xp, x.native)] else number
    if isinstance(value, bool):
        if x.dtype == xp.bool:
            return value
    elif isinstance(value, int) and xp.isdtype(x.dtype, "integral"):
        return value
    raise TypeError(
        f"{name} of a {dtype_name(x.dtype)} array and {value!r}: expected a scalar of its kind"
    )


def scalar_on_lattice(x: ReproducibleArray, value: float) -> bool:
    """Whether a scalar is zero or large enough to be on the lattice of the dtype of `x`."""
    return value == 0.0 or abs(value) >= SMALLEST_PRODUCT[type_name(x.namespace.library, x.native)]


def on_lattice(*operands: Any) -> bool:
    """Whether all the arrays among the operands are on the lattice, and the scalars with them."""
    arrays = [x for x in operands if isinstance(x, ReproducibleArray) and is_floating(x)]
    scalars = [x for x in operands if isinstance(x, float)]
    return all(x.on_lattice for x in arrays) and all(
        scalar_on_lattice(arrays[0], value) for value in scalars if arrays
    )


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
    if is_floating(x) != is_floating(y):
        raise TypeError(
            f"{name} of {dtype_name(x.dtype)} and {dtype_name(y.dtype)}: the standard mixes no "
            "integers with floats; convert one with xp.astype"
        )
    return _promoted(x.namespace.library, x.native, y.native)


def _promoted(xp: Any, a: Array, b: Array) -> tuple[Array, Array]:
    if a.dtype == b.dtype:
        return a, b
    dtype: DType = xp.result_type(a.dtype, b.dtype)
    return xp.astype(a, dtype), xp.astype(b, dtype)
