"""1/x and 1/sqrt(x), in operations that IEEE 754 fixes."""

from typing import Any

from pluggable_mlp.arithmetic.reproducible.rounding import (
    SMALLEST_NORMAL,
    flush,
    keep_nan,
    type_name,
)
from pluggable_mlp.arrays import Array


def reciprocal(xp: Any, x: Array) -> Array:
    """Return 1/`x` (float32 or float64, any shape), correctly rounded, flushed.

    Zeros and denormal numbers of either sign give infinity.
    """
    zero = xp.abs(x) < SMALLEST_NORMAL[type_name(xp, x)]
    y = flush(xp, 1.0 / xp.where(zero, 1.0, x))
    return keep_nan(xp, x, xp.where(zero, float("inf"), y))


def rsqrt(xp: Any, x: Array) -> Array:
    """Return 1/sqrt(`x`) (float32 or float64, any shape), within 1 ulp.

    Zeros and denormal numbers of either sign give infinity, numbers below NaN.
    """
    smallest = SMALLEST_NORMAL[type_name(xp, x)]
    usable = (x >= smallest) & (x < float("inf"))
    safe = xp.where(usable, x, 1.0)
    if type_name(xp, x) == "float32":
        y = xp.astype(1.0 / xp.sqrt(xp.astype(safe, xp.float64)), xp.float32)
    else:
        y = _rsqrt_of_float64(xp, safe)
    y = xp.where(usable, y, float("inf"))
    y = xp.where(x == float("inf"), 0.0, y)
    return xp.where(x > -smallest, y, float("nan"))


def _rsqrt_of_float64(xp: Any, x: Array) -> Array:
    """Return 1/sqrt(x) for normal, positive and finite `x` (float64, any shape).

    With s = sqrt(x) and y = 1/s as rounded, the errors x - s^2 and 1 - s y are computed without
    error (Dekker's product, 1971) and taken back to first order.
    """
    # Moved towards 1, so that no error of a product is denormal and no split number too large.
    small = xp.astype(x < 1.0, xp.float64)
    large = 1.0 - small
    x = x * (small * 2.0**200 + large * 2.0**-200)
    s = xp.sqrt(x)
    y = 1.0 / s
    s_high, s_low = _split(s)
    y_high, y_low = _split(y)
    x_error = ((x - s_high * s_high) - 2.0 * s_high * s_low) - s_low * s_low
    y_error = (((1.0 - s_high * y_high) - s_high * y_low) - s_low * y_high) - s_low * y_low
    y = y + y * (y_error - 0.5 * x_error * y * y)
    return y * (small * 2.0**100 + large * 2.0**-100)


def _split(x: Array) -> tuple[Array, Array]:
    """Return `x` (float64, any shape) as a sum of two numbers of at most 26 bits (Veltkamp)."""
    scaled = x * (2.0**27 + 1.0)
    high = scaled - (scaled - x)
    return high, x - high
