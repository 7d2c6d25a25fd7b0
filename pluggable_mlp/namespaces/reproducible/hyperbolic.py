"""The hyperbolic tangent, in operations that IEEE 754 fixes."""

from typing import Any

from pluggable_mlp.arrays import Array
from pluggable_mlp.namespaces.reproducible.double_word import quotient, to_25_places
from pluggable_mlp.namespaces.reproducible.exponential import exp_parts
from pluggable_mlp.namespaces.reproducible.rounding import flush, keep_nan, type_name, zero_below
from pluggable_mlp.namespaces.reproducible.tables import power_of_two
from pluggable_mlp.shortcuts import clip, sign

# benchmarks/polynomials.py: tanh x = x P(x^2)/Q(x^2) for |x| <= 4.51, relative error 2^-27.
TANH_UPPER = (
    1.4639603385274885e-05,
    0.0032122068238449866,
    0.13158912296022773,
    0.9999999927157961,
)
TANH_LOWER = (
    3.597746447124034e-07,
    0.0002775486417237622,
    0.024853079592490397,
    0.464922407008388,
    1.0,
)

# tanh of the smallest normal number is below it, and devices disagree on whether it rounds up.
FIRST_OF_FLOAT32 = 2.0**-126 * (1.0 + 2.0**-23)


def tanh(xp: Any, x: Array) -> Array:
    """Return tanh `x` (float32 or float64, any shape), within 1 ulp and exactly odd.

    The NaN that float32 gives for NaN is left to the library.
    """
    if type_name(xp, x) == "float32":
        x = zero_below(xp, x, FIRST_OF_FLOAT32)
        halves = xp.astype(clip(xp, x, -9.02, 9.02), xp.float64)
        return xp.astype(_tanh_of_float32(halves), xp.float32)
    x = flush(xp, x)
    magnitude = xp.abs(x)
    y = _tanh_of_magnitude(xp, clip(xp, magnitude, 2.0**-28, 20.0))
    y *= sign(xp, x)
    # Below, x^3/3 is less than a quarter of the last place of x.
    return keep_nan(xp, x, xp.where(magnitude < 2.0**-28, x, y))


def _tanh_of_float32(x: Array) -> Array:
    """Return tanh `x` (float64, any shape) for |x| <= 9.02, relative error 2^-27; changes `x`.

    tanh x = 2 n d/(d^2 + n^2) with tanh(x/2) = n/d.
    """
    x *= 0.5
    square = x * x
    n = square * TANH_UPPER[0]
    for coefficient in TANH_UPPER[1:-1]:
        n += coefficient
        n *= square
    n += TANH_UPPER[-1]
    n *= x
    d = square * TANH_LOWER[0]
    for coefficient in TANH_LOWER[1:-1]:
        d += coefficient
        d *= square
    d += TANH_LOWER[-1]
    x = n * d
    n *= n
    d *= d
    d += n
    x *= 2.0 / d
    return x


def _tanh_of_magnitude(xp: Any, x: Array) -> Array:
    """Return tanh `x` for 2^-28 <= x <= 20 (float64, any shape), as (1 - e^-2x)/(1 + e^-2x)."""
    k, high, middle, low = exp_parts(xp, x * -2.0)
    scale = power_of_two(xp, k)
    high *= scale
    middle *= scale
    low *= scale
    complement = 1.0 - high
    dividend = complement - middle
    dividend_low = complement - dividend
    dividend_low -= middle
    dividend_low += (1.0 - complement) - high
    dividend_low -= low
    divisor = to_25_places(high)
    high -= divisor
    middle += low
    middle += high
    divisor += 1.0
    return quotient(dividend, dividend_low, divisor, middle)
