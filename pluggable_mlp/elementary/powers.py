"""e^x, the natural logarithm, sqrt(x), 1/x and 1/sqrt(x), in operations that IEEE 754 fixes.

float32's e^x comes from `exp_of_float32`, a short polynomial and repeated squaring in float64: no
table, no integers, and every step in place, since on arrays of a layer's size the passes over
memory are the price.  float64's comes from `exp_parts`, a table and a polynomial, which leaves e^x
in parts so that what follows can still round once.

log x = k log 2 + log m with x = 2^k m, sqrt(1/2) <= m <= sqrt(2).  The standard has no `frexp`, and
on NumPy a search by comparisons and selections costs more than everything else; instead, k is
computed by a chain of square roots (`_exponent`).

IEEE 754 fixes `sqrt`, too, but PyTorch on the CPU calls MKL, whose roots are often one unit off
(float32: every seventh, float64: every eightieth) and, in a race of its first calls, thousands
(github.com/pytorch/pytorch/issues/188792).  A library's root is only a first approximation here.
"""

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.arrays.shortcuts import clip, zero_below
from pluggable_mlp.elementary.common import (
    SMALLEST_NORMAL,
    flush,
    horner,
    keep_nan,
    power_of_two,
    roots_of_two,
    type_name,
)

# The least and the greatest number of each type whose exponential is normal and finite.
FIRST = {"float32": -87.33654022216797, "float64": -708.3964185322641}
LAST = {"float32": 88.72283172607422, "float64": 709.782712893384}

# benchmarks/polynomials.py: e^(x / 2^13) for |x| <= 89, relative error below 2^-43.
SQUARINGS = 13
EXP_OF_SCALED = (
    9.251904039316874e-18, 3.031671370465862e-13, 7.450580596833725e-09, 0.00012207031249557125,
    1.0,
)  # fmt: skip
EXP_OF_SCALED_NEGATIVE = tuple(c * s for c, s in zip(EXP_OF_SCALED, (1, -1, 1, -1, 1), strict=True))

# (log 2)/64 in two parts: the first has 36 bits, so that its product with |k| <= 2^17 is exact.
LOG2_64TH_HIGH = float.fromhex("0x1.62e42fefa0000p-7")
LOG2_64TH_LOW = float.fromhex("0x1.cf79abc9e3b3ap-46")
PER_LOG2_64TH = float.fromhex("0x1.71547652b82fep+6")

# (e^r - 1 - r)/r^2 = 1/2 + r/6 + ...; the next term is below 2^-57 of the first for |r| <= 0.0055.
EXP_REMAINDER = (1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5)


def exp(xp: Namespace, x: Array) -> Array:
    """Return e^x for `x` (float32 or float64, any shape), within 1 ulp.

    Results below the smallest normal number are 0, those above the largest number infinity.
    float64 follows Tang, "Table-driven implementation of the exponential function in IEEE
    floating-point arithmetic", ACM Trans. Math. Softw. 15 (1989), with 64 table entries.
    """
    kind = type_name(xp, x)
    clipped = clip(xp, x, FIRST[kind], LAST[kind])
    if kind == "float32":
        y = xp.astype(exp_of_float32(xp.astype(clipped, xp.float64)), xp.float32)
    else:
        k, high, middle, low = exp_parts(xp, clipped)
        middle += low
        high += middle
        # 2^1024 is not finite, but the last k only comes with a `high` that may be doubled first.
        scale = xp.minimum(k, 1023)
        high *= xp.astype(k - scale + 1, xp.float64)
        y = high * power_of_two(xp, scale)
    y *= xp.astype(x >= FIRST[kind], x.dtype)
    y = xp.where(x > LAST[kind], float("inf"), y)
    return keep_nan(xp, x, y)


def exp_of_float32(x: Array, coefficients: tuple[float, ...] = EXP_OF_SCALED) -> Array:
    """Return e^x (float64) for |x| <= 89 in `x` (float64, any shape), relative error below 2^-30.

    e^x = (e^(x / 2^13))^(2^13). With `EXP_OF_SCALED_NEGATIVE` the result is e^-x.
    """
    y = horner(x, coefficients)
    for _ in range(SQUARINGS):
        y *= y
    return y


def exp_parts(xp: Namespace, x: Array) -> tuple[Array, Array, Array, Array]:
    """Return k, high, middle, low with e^x = 2^k (high + middle + low), all of the shape of `x`.

    `x` (float64, any shape) lies between -708.4 and 709.8, or is NaN. k is int64, the others are
    float64: `high` is 2^(j/64), 0 <= j < 64, in 26 bits, |middle| < 0.0055 high and
    |low| < 2^-15 high. The relative error is below 2^-60; near x = 0, where k = 0 and high = 1,
    so is that of middle + low.
    """
    steps = x * PER_LOG2_64TH
    steps += 0.5
    steps = xp.floor(steps)
    # NaN has no place in a table; it returns through the remainder.
    k = xp.astype(xp.where(xp.isnan(steps), 0.0, steps), xp.int64)
    high, rest = roots_of_two(xp, k & 63)
    k = k >> 6
    remainder = x - steps * LOG2_64TH_HIGH
    steps *= LOG2_64TH_LOW
    leading = remainder + 1.5 * 2.0**18
    leading -= 1.5 * 2.0**18
    remainder -= leading
    remainder -= steps
    r = leading + remainder
    low = horner(r, EXP_REMAINDER)
    low *= r
    low *= r
    r += low
    low += remainder
    low *= high
    r *= rest
    r += rest
    low += r
    leading *= high
    return k, high, leading, low


# log 2 in two parts: the first ends in 32 zero bits, so that its product with |k| <= 1024 is exact.
LOG2_HIGH = float.fromhex("0x1.62e42fee00000p-1")
LOG2_LOW = float.fromhex("0x1.a39ef35793c76p-33")

SQRT_TWO = float.fromhex("0x1.6a09e667f3bcdp+0")

# fdlibm e_log.c: log((1 + s)/(1 - s)) = 2 s + s R(s^2), R's relative error below 2^-58.
FDLIBM_LOG = (
    1.479819860511658591e-01, 1.531383769920937332e-01, 1.818357216161805012e-01,
    2.222219843214978396e-01, 2.857142874366239149e-01, 3.999999999940941908e-01,
    6.666666666666735130e-01,
)  # fmt: skip


def log(xp: Namespace, x: Array) -> Array:
    """Return the natural logarithm of `x` (float32 or float64, any shape), within 1 ulp.

    fdlibm's e_log.c (Sun Microsystems, 1993), its quotient taken as a product with a reciprocal.
    Denormal numbers count as zero: log 0 = -inf; log x = NaN for x < 0.
    """
    smallest = SMALLEST_NORMAL[type_name(xp, x)]
    usable = (x >= smallest) & (x < float("inf"))
    y = _log_of_sum(xp, xp.astype(xp.where(usable, x, 1.0), xp.float64), 0.0)
    y = xp.where(usable, xp.astype(y, x.dtype), float("-inf"))
    y = xp.where(x == float("inf"), float("inf"), y)
    return xp.where(x > -smallest, y, float("nan"))


def log1p(xp: Namespace, x: Array) -> Array:
    """Return log(1 + x) for `x` (float32 or float64, any shape), within 1 ulp.

    1 + x is taken as the rounded sum and its error (Knuth's two-sum), the latter to first order.
    Denormal numbers count as zero; log1p(-1) = -inf; log1p(x) = NaN for x < -1.
    """
    usable = (x > -1.0) & (x < float("inf"))
    term = flush(xp, xp.astype(xp.where(usable, x, 0.0), xp.float64))
    total = term + 1.0
    rounded = total - term
    error = 1.0 - rounded
    term -= total - rounded
    error += term
    y = _log_of_sum(xp, total, error)
    # Below, x^2/2 is at most half of the last place of x.
    y = xp.where(xp.abs(x) < 2.0**-53, flush(xp, x), xp.astype(y, x.dtype))
    y = xp.where(usable, y, float("-inf"))
    y = xp.where(x == float("inf"), float("inf"), y)
    return xp.where(x >= -1.0, y, float("nan"))


def _log_of_sum(xp: Namespace, x: Array, error: Array | float) -> Array:
    """Return log(x + error), `x` normal, positive and finite (float64, any shape), error << x."""
    k = _exponent(xp, x)
    # 2^-k would be denormal for k > 1022; the halves of k are not.
    exponent = xp.astype(k, xp.int64)
    half = exponent >> 1
    f = x * power_of_two(xp, -half)
    f *= power_of_two(xp, half - exponent)
    # Libraries may differ in the last place of a square root (PyTorch on the CPU does), and so in
    # k near a tie; from here on they agree.
    above = xp.astype(f > SQRT_TWO, xp.float64)
    below = xp.astype(f < 0.5 * SQRT_TWO, xp.float64)
    f *= 1.0 - 0.5 * above + below
    k += above - below
    f -= 1.0
    low = 1.0 / x
    low *= error
    low += k * LOG2_LOW
    k *= LOG2_HIGH
    return add_log1p(f, k, low)


def add_log1p(f: Array, high: Array, low: Array) -> Array:
    """Return high + low + log(1 + f) for -0.3 <= f <= 0.5 (float64, one shape), changing `low`.

    `high` is 0 or larger than f in magnitude, `low` far below both. With s = f/(2 + f):
    log(1 + f) = f - (f^2/2 - s (f^2/2 + R(s^2))); high + f is taken with its error.
    """
    s = f + 2.0
    s = 1.0 / s
    s *= f
    z = s * s
    polynomial = horner(z, FDLIBM_LOG)
    polynomial *= z
    half_square = f * 0.5
    half_square *= f
    polynomial += half_square
    polynomial *= s
    polynomial -= half_square
    low += polynomial
    total = high + f
    low += (high - total) + f
    total += low
    return total


def _exponent(xp: Namespace, x: Array) -> Array:
    """Return the integer k nearest to log2 `x`, or beside it near a tie (float64, any shape).

    h = x^(1/4096) is at most 2^(1/4), so that log h = asinh d = d - d^3/6 + ... with
    d = (h - 1/h)/2. Only the first roots need float64's range.
    """
    h = xp.sqrt(xp.sqrt(xp.sqrt(xp.sqrt(x))))
    h = xp.astype(h, xp.float32)
    for _ in range(8):
        h = xp.sqrt(h)
    h -= 1.0 / h
    # 4096 / log 2 times d/2 - (d/2)^3/6; the next term, 3/40 (d/2)^5, is below 0.08.
    h *= horner(h * h, (-123.10998, 2954.6394))
    h += 0.5
    return xp.floor(xp.astype(h, xp.float64))


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
