"""The natural logarithm, in operations that IEEE 754 fixes.

log x = k log 2 + log m with x = 2^k m, sqrt(1/2) <= m <= sqrt(2). The standard has no
`frexp`, and on NumPy a search by comparisons and selections costs more than everything else;
instead, k is computed by a chain of square roots (`_exponent`).
"""

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.elementary.common import SMALLEST_NORMAL, flush, horner, power_of_two, type_name

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
