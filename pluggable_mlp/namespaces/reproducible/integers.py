"""Integer arithmetic where libraries differ: division by 0, long shifts, powers, sums.

Every function takes the namespace first.  Sums, differences, products and powers wrap around, as
do conversions between integer dtypes.
"""

import operator
from collections.abc import Callable

from pluggable_mlp.arrays import Array, DType, Namespace, dtype_name
from pluggable_mlp.namespaces.reproducible.array import (
    ArrayOrScalar,
    Reproducible,
    ReproducibleArray,
)
from pluggable_mlp.namespaces.reproducible.coercion import pair
from pluggable_mlp.namespaces.reproducible.dtypes import limits

Wrapped = ReproducibleArray


def _quotient(xp: Namespace, a: Array, b: Array) -> Array:
    """Return floor(a / b), 0 for b = 0; the most negative integer over -1 wraps around."""
    inverse = (b < 0) & (b + 1 == 0)  # PyTorch and some processors refuse the quotient
    safe = xp.where((b == 0) | inverse, 1, b)
    return xp.where(inverse, 0 - a, xp.where(b == 0, 0, a // safe))


def _remainder(xp: Namespace, a: Array, b: Array) -> Array:
    """Return a - b floor(a / b), 0 for b = 0."""
    special = (b == 0) | ((b < 0) & (b + 1 == 0))
    return xp.where(special, 0, a % xp.where(special, 1, b))


def _left_shift(xp: Namespace, a: Array, b: Array) -> Array:
    """Return a 2^b, wrapped around; 0 for negative b."""
    usable = (b >= 0) & (b < _bits(xp, b.dtype))
    return xp.where(usable, a << xp.where(usable, b, 0), 0)


def _right_shift(xp: Namespace, a: Array, b: Array) -> Array:
    """Return floor(a / 2^b), for negative b as for all larger ones."""
    longest = _bits(xp, b.dtype) - 1
    return a >> xp.where((b >= 0) & (b <= longest), b, longest)


def _bits(xp: Namespace, dtype: DType) -> int:
    low, high = limits(xp, dtype)
    return (high - low).bit_length()


def _rule(
    name: str,
    operation: Callable[[Array, Array], Array],
    function: Callable[[Namespace, Array, Array], Array],
    is_plain: Callable[[int, int], bool],
) -> Callable[..., Wrapped]:
    """Return the namespace's function of two operands, one of which may be a Python integer.

    It is the library's operation for a Python integer b and a type with this number of bits if
    `is_plain(b, bits)`.
    """

    def apply(ns: Reproducible, x1: ArrayOrScalar, x2: ArrayOrScalar, /) -> Wrapped:
        a, b = pair(name, x1, x2)
        xp, like = ns.library, a if isinstance(x1, Wrapped) else b  # np.float64 is a float, too
        if not xp.isdtype(like.dtype, "integral"):
            plural = "floats" if like.dtype != xp.bool else "booleans"
            raise TypeError(f"the reproducible namespace has no rule for {name} of {plural}")
        if isinstance(b, int) and is_plain(b, _bits(xp, like.dtype)):
            return Wrapped(operation(a, b), ns)
        a, b = (xp.full_like(like, z) if isinstance(z, int) else z for z in (a, b))
        return Wrapped(function(xp, a, b), ns)

    apply.__doc__ = function.__doc__
    return apply


def power(ns: Reproducible, x1: ArrayOrScalar, x2: ArrayOrScalar, /) -> Wrapped:
    """Return integers to integer powers, wrapped around; negative powers are those of 1 and -1.

    x^-n is 1 / x^n without its fraction, and 0 for x = 0.
    """
    a, b = pair("pow", x1, x2)
    xp, like = ns.library, a if isinstance(x1, Wrapped) else b
    if not xp.isdtype(like.dtype, "integral"):
        raise TypeError(f"pow takes numbers, came {dtype_name(like.dtype)}")
    a, b = (xp.full_like(like, z) if isinstance(z, int) else z for z in (a, b))
    negative = b < 0
    exponent = xp.where(negative, 0 - b, b)
    result = xp.ones_like(a)
    bits = max(abs(x2).bit_length(), 1) if isinstance(x2, int) else _bits(xp, like.dtype)
    for bit in range(bits):
        result = xp.where((exponent >> bit) & 1 == 1, result * a, result)
        a = a * a
    is_unit = (result == 1) | ((result < 0) & (result + 1 == 0))
    return Wrapped(xp.where(negative & ~is_unit, 0, result), ns)


FUNCTIONS: dict[str, Callable[..., Wrapped]] = {
    "floor_divide": _rule("floor_divide", operator.floordiv, _quotient, lambda b, _: b > 0),
    "remainder": _rule("remainder", operator.mod, _remainder, lambda b, _: b > 0),
    "bitwise_left_shift": _rule(
        "bitwise_left_shift", operator.lshift, _left_shift, lambda b, bits: 0 <= b < bits
    ),
    "bitwise_right_shift": _rule(
        "bitwise_right_shift", operator.rshift, _right_shift, lambda b, bits: 0 <= b < bits
    ),
}
