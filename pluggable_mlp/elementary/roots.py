"""sqrt(x), 1/x and 1/sqrt(x), in operations that IEEE 754 fixes.

IEEE 754 fixes `sqrt`, too, but PyTorch on the CPU calls MKL, whose roots are often one unit off
(float32: every seventh, float64: every eightieth) and, in a race of its first calls, thousands
(github.com/pytorch/pytorch/issues/188792). A library's root is only a first approximation here.
"""

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.elementary.common import SMALLEST_NORMAL, keep_nan, type_name
from pluggable_mlp.shortcuts import zero_below

# Above half of a unit in the last place of every number, below a whole one.
_MORE_THAN_HALF_A_UNIT = 2.0**-53 * (1.0 + 2.0**-10)


def sqrt(xp: Namespace, x: Array) -> Array:
    """Return the square root of `x` (float32 or float64, any shape), correctly rounded.

    Zeros and denormal numbers of either sign give 0, smaller numbers NaN.
    """
    smallest = SMALLEST_NORMAL[type_name(xp, x)]
    usable = (x >= smallest) & (x < float("inf"))
    safe = xp.astype(xp.where(usable, x, 1.0), xp.float64)
    if type_name(xp, x) == "float32":
        # A float32's root is never so near to a midpoint of two float32 that the last bits of
        # float64 would decide.
        y = xp.astype(_heron(xp, safe), xp.float32)
    else:
        y, scale = moved_towards_one(xp, safe)
        y = root(xp, y) * scale
    y = xp.where(usable, y, 0.0)
    y = xp.where(x == float("inf"), float("inf"), y)
    return xp.where(x > -smallest, y, float("nan"))


def moved_towards_one(xp: Namespace, x: Array) -> tuple[Array, Array]:
    """Return `x` times 2^200 or 2^-200, and the factor that scales its root back (float64).

    The errors of its root's products are then not denormal.
    """
    small = xp.astype(x < 1.0, xp.float64)
    large = 1.0 - small
    return x * (small * 2.0**200 + large * 2.0**-200), small * 2.0**-100 + large * 2.0**100


def root(xp: Namespace, x: Array) -> Array:
    """Return the root of positive `x`, 2^-900 to 2^900 (float64, any shape), correctly rounded.

    From a root s within a unit, r = x - s^2 is known without error (Dekker's product, 1971).
    s is the rounded root where it lies between the midpoints of s and its neighbours s - d and
    s + u, which is where -s d < r <= s u: all sides are multiples of one power of two, against
    which the squares u^2/4 and d^2/4 are too small to matter.
    """
    s = _heron(xp, x)
    high, low = split(s)
    r = ((x - high * high) - 2.0 * high * low) - low * low
    above = s + s * _MORE_THAN_HALF_A_UNIT
    below = s - s * _MORE_THAN_HALF_A_UNIT
    s = xp.where(r > s * (above - s), above, xp.where(r <= -s * (s - below), below, s))
    return s


def _heron(xp: Namespace, x: Array) -> Array:
    """Return the library's root after one step of Heron's (float64): within a unit."""
    s = xp.sqrt(x)
    return 0.5 * (s + x * (1.0 / s))


def split(x: Array) -> tuple[Array, Array]:
    """Return `x` (float64, any shape) as a sum of two numbers of at most 26 bits (Veltkamp)."""
    scaled = x * (2.0**27 + 1.0)
    high = scaled - (scaled - x)
    return high, x - high


def reciprocal(xp: Namespace, x: Array) -> Array:
    """Return 1/`x` (float32 or float64, any shape), correctly rounded, flushed.

    Zeros and denormal numbers of either sign give infinity. float32 is divided in float64, whose
    second rounding changes no quotient (53 >= 2 * 24 + 2): XLA's float32 division on a GPU is not
    correctly rounded (github.com/openxla/xla/issues/37181).
    """
    smallest = SMALLEST_NORMAL[type_name(xp, x)]
    zero = xp.abs(x) < smallest
    y = xp.astype(xp.where(zero, 1.0, x), xp.float64, copy=False)
    y = xp.astype(zero_below(xp, 1.0 / y, smallest), x.dtype, copy=False)
    return keep_nan(xp, x, xp.where(zero, float("inf"), y))


def rsqrt(xp: Namespace, x: Array) -> Array:
    """Return 1/sqrt(`x`) (float32 or float64, any shape), within 1 ulp.

    Zeros and denormal numbers of either sign give infinity, smaller numbers NaN.
    """
    smallest = SMALLEST_NORMAL[type_name(xp, x)]
    usable = (x >= smallest) & (x < float("inf"))
    safe = xp.where(usable, x, 1.0)
    y = _rsqrt_of_float64(xp, xp.astype(safe, xp.float64), correct=x.dtype == xp.float64)
    y = xp.astype(y, x.dtype)
    y = xp.where(usable, y, float("inf"))
    y = xp.where(x == float("inf"), 0.0, y)
    return xp.where(x > -smallest, y, float("nan"))


def _rsqrt_of_float64(xp: Namespace, x: Array, correct: bool) -> Array:
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
