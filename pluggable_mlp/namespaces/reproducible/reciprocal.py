"""1/x and 1/sqrt(x), in operations that IEEE 754 fixes."""

from typing import Any

from pluggable_mlp.arrays import Array
from pluggable_mlp.namespaces.reproducible.rounding import (
    SMALLEST_NORMAL,
    keep_nan,
    type_name,
    zero_below,
)
from pluggable_mlp.namespaces.reproducible.square_root import moved_towards_one, root, split


def reciprocal(xp: Any, x: Array) -> Array:
    """Return 1/`x` (float32 or float64, any shape), correctly rounded, flushed.

    Zeros and denormal numbers of either sign give infinity. float32 is divided in float64, whose
    second rounding changes no quotient (53 >= 2 * 24 + 2): XLA's float32 division on a GPU is no
    correctly rounded one (github.com/openxla/xla/issues/37181).
    """
    smallest = SMALLEST_NORMAL[type_name(xp, x)]
    zero = xp.abs(x) < smallest
    y = xp.astype(xp.where(zero, 1.0, x), xp.float64, copy=False)
    y = xp.astype(zero_below(xp, 1.0 / y, smallest), x.dtype, copy=False)
    return keep_nan(xp, x, xp.where(zero, float("inf"), y))


def rsqrt(xp: Any, x: Array) -> Array:
    """Return 1/sqrt(`x`) (float32 or float64, any shape), within 1 ulp.

    Zeros and denormal numbers of either sign give infinity, numbers below NaN.
    """
    smallest = SMALLEST_NORMAL[type_name(xp, x)]
    usable = (x >= smallest) & (x < float("inf"))
    safe = xp.where(usable, x, 1.0)
    y = _rsqrt_of_float64(xp, xp.astype(safe, xp.float64), correct=x.dtype == xp.float64)
    y = xp.astype(y, x.dtype)
    y = xp.where(usable, y, float("inf"))
    y = xp.where(x == float("inf"), 0.0, y)
    return xp.where(x > -smallest, y, float("nan"))


def _rsqrt_of_float64(xp: Any, x: Array, correct: bool) -> Array:
    """Return 1/sqrt(x) for normal, positive and finite `x` (float64, any shape).

    With s = sqrt(x) and y = 1/s as rounded, the errors x - s^2 and 1 - s y are computed without
    error (Dekker's product, 1971) and, if `correct`, taken back to first order.
    """
    x, scale = moved_towards_one(xp, x)
    s = root(xp, x)
    y = 1.0 / s
    if correct:
        s_high, s_low = split(s)
        y_high, y_low = split(y)
        x_error = ((x - s_high * s_high) - 2.0 * s_high * s_low) - s_low * s_low
        y_error = (((1.0 - s_high * y_high) - s_high * y_low) - s_low * y_high) - s_low * y_low
        y = y + y * (y_error - 0.5 * x_error * y * y)
    return y * (1.0 / scale)
