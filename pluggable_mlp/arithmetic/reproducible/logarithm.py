"""The natural logarithm, in operations that IEEE 754 fixes.

log x = k log 2 + log m with x = 2^k m, about sqrt(1/2) <= m <= sqrt(2). The standard has no
`frexp`, and on NumPy a search by comparisons and selections costs more than all the rest; k is
taken from a chain of square roots instead (`_exponent`).
"""

from typing import Any

from pluggable_mlp.arithmetic.reproducible.rounding import SMALLEST_NORMAL, type_name
from pluggable_mlp.arithmetic.reproducible.tables import power_of_two
from pluggable_mlp.arrays import Array

# log 2 in two parts: the first ends in 32 zero bits, so that its product with |k| <= 1024 is exact.
LOG2_HIGH = float.fromhex("0x1.62e42fee00000p-1")
LOG2_LOW = float.fromhex("0x1.a39ef35793c76p-33")

# fdlibm e_log.c: log((1 + s)/(1 - s)) = 2 s + s R(s^2), R's relative error below 2^-58.
FDLIBM_LOG = (
    1.479819860511658591e-01,
    1.531383769920937332e-01,
    1.818357216161805012e-01,
    2.222219843214978396e-01,
    2.857142874366239149e-01,
    3.999999999940941908e-01,
    6.666666666666735130e-01,
)


def log(xp: Any, x: Array) -> Array:
    """Return the natural logarithm of `x` (float32 or float64, any shape), within 1 ulp.

    fdlibm's e_log.c (Sun Microsystems, 1993), its quotient taken as a product with a reciprocal.
    Denormal numbers count as zero: log 0 = -inf; log x = NaN for x < 0.
    """
    smallest = SMALLEST_NORMAL[type_name(xp, x)]
    usable = (x >= smallest) & (x < float("inf"))
    y = _log_positive(xp, xp.astype(xp.where(usable, x, 1.0), xp.float64))
    y = xp.where(usable, xp.astype(y, x.dtype), float("-inf"))
    y = xp.where(x == float("inf"), float("inf"), y)
    return xp.where(x > -smallest, y, float("nan"))


def _log_positive(xp: Any, x: Array) -> Array:
    """Return log `x` for normal, positive and finite `x` (float64, any shape)."""
    k = _exponent(xp, x)
    # 2^-k would be denormal for k > 1022; the halves of k are not.
    half = xp.floor(k * 0.5)
    f = x * power_of_two(xp, -half)
    f *= power_of_two(xp, half - k)
    f -= 1.0
    y = -log_of_significand(f, k * LOG2_LOW)
    k *= LOG2_HIGH
    y += k
    return y


def log_of_significand(f: Array, low: Array) -> Array:
    """Return -(log(1 + f) + low) for -0.3 <= f <= 0.43 and |low| small (float64, same shapes).

    With s = f/(2 + f): log(1 + f) = f - (f^2/2 - s (f^2/2 + R(s^2))).
    """
    s = f + 2.0
    s = 1.0 / s
    s *= f
    z = s * s
    polynomial = z * FDLIBM_LOG[0]
    for coefficient in FDLIBM_LOG[1:]:
        polynomial += coefficient
        polynomial *= z
    half_square = f * 0.5
    half_square *= f
    polynomial += half_square
    polynomial *= s
    polynomial += low
    half_square -= polynomial
    half_square -= f
    return half_square


def _exponent(xp: Any, x: Array) -> Array:
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
    factor = h * h
    factor *= -123.10998
    factor += 2954.6394
    h *= factor
    h += 0.5
    return xp.floor(xp.astype(h, xp.float64))
