"""The logistic sigmoid, softplus and tanh: fractions of exponentials, rounded almost once.

They use only operations that IEEE 754 fixes.  In float64 their last step is `quotient`.
"""

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.arrays.shortcuts import clip, sign, zero_below
from pluggable_mlp.elementary.common import flush, horner, keep_nan, power_of_two, type_name
from pluggable_mlp.elementary.powers import (
    EXP_OF_SCALED_NEGATIVE,
    FIRST,
    LOG2_HIGH,
    LOG2_LOW,
    add_log1p,
    exp_of_float32,
    exp_parts,
)

# benchmarks/polynomials.py: log1p(x)/x for 0 <= x <= 1, relative error below 2^-28.
LOG1P_UPPER = (0.0032073298419550648, 0.23098594932963623, 1.053615727888184, 0.9999999970062725)
LOG1P_LOWER = (0.07252963784156805, 0.6744656375713419, 1.5536154283341461, 1.0)

# benchmarks/polynomials.py: tanh x = x P(x^2)/Q(x^2) for |x| <= 4.51, relative error 2^-27.
TANH_UPPER = (
    1.4639603385274885e-05, 0.0032122068238449866, 0.13158912296022773, 0.9999999927157961,
)  # fmt: skip
TANH_LOWER = (
    3.597746447124034e-07, 0.0002775486417237622, 0.024853079592490397, 0.464922407008388, 1.0,
)  # fmt: skip

# tanh of the smallest normal number is below it, and devices disagree on whether it rounds up.
FIRST_OF_FLOAT32 = 2.0**-126 * (1.0 + 2.0**-23)

# Added and taken away again, it leaves a number between 0 and 4 in multiples of 2^-25.
_TO_25_PLACES = 1.5 * 2.0**27
_SPLITTER = 2.0**27 + 1.0


def sigmoid(xp: Namespace, x: Array) -> Array:
    """Return 1/(1 + e^-x) for `x` (float32 or float64, any shape), within 1 ulp.

    The NaN that float32 gives for NaN is left to the library.
    """
    kind = type_name(xp, x)
    if kind == "float32":
        y = exp_of_float32(
            xp.astype(clip(xp, x, FIRST[kind], 20.0), xp.float64), EXP_OF_SCALED_NEGATIVE
        )
        y += 1.0
        y = xp.astype(1.0 / y, xp.float32)
    else:
        y = keep_nan(xp, x, _sigmoid_of_negative(xp, -clip(xp, x, FIRST[kind], 40.0)))
    y *= xp.astype(x >= FIRST[kind], x.dtype)
    return y


def _sigmoid_of_negative(xp: Namespace, x: Array) -> Array:
    """Return 1/(1 + e^x) for -40 <= x <= 708.4 in `x` (float64, any shape).

    With e^x = 2^k E both terms are divided by 2^max(k, 0): the divisor lies between 1 and 3.
    """
    k, high, middle, low = exp_parts(xp, x)
    negative = xp.minimum(k, 0)
    one = power_of_two(xp, negative - k)
    scale = power_of_two(xp, negative)
    high *= scale
    middle += low
    middle *= scale
    divisor = to_25_places(high)
    rounded_one = to_25_places(one)
    high -= divisor
    middle += high
    middle += one - rounded_one
    divisor += rounded_one
    y = quotient(1.0, 0.0, divisor, middle)
    y *= one
    return y


def softplus(xp: Namespace, x: Array) -> Array:
    """Return log(1 + e^x) for `x` (float32 or float64, any shape), within 1 ulp.

    log(1 + e^x) = max(x, 0) + log1p(e^-|x|). In float32, 20 pairs of neighbours in all come out in
    the wrong order, by one last place; the other functions never decrease there.
    """
    kind = type_name(xp, x)
    part = _softplus_of_float32 if kind == "float32" else _softplus_of_float64
    y = xp.astype(part(xp, xp.astype(clip(xp, x, FIRST[kind], 64.0), xp.float64)), x.dtype)
    y *= xp.astype(x >= FIRST[kind], x.dtype)
    return keep_nan(xp, x, xp.where(x > 64.0, x, y))


def _softplus_of_float32(xp: Namespace, x: Array) -> Array:
    """Return softplus of -88 <= x <= 64 in `x` (float64, any shape), relative error 2^-28."""
    magnitude = xp.abs(x)
    e = exp_of_float32(magnitude, EXP_OF_SCALED_NEGATIVE)
    y = horner(e, LOG1P_UPPER)
    y *= e
    y *= 1.0 / horner(e, LOG1P_LOWER)
    magnitude += x
    magnitude *= 0.5
    y += magnitude
    return y


def _softplus_of_float64(xp: Namespace, x: Array) -> Array:
    """Return softplus of -708.4 <= x <= 64 in `x` (float64, any shape)."""
    magnitude = xp.abs(x)
    k, high, middle, low = exp_parts(xp, -magnitude)
    scale = power_of_two(xp, k)
    middle += low
    e = high + middle
    high -= e
    high += middle
    e *= scale
    # Where the rest could become denormal, it is far below half of the last place of e.
    high *= xp.where(k < -200, 0.0, scale)
    # From here on e + high is e^-|x|. Where 1 + e is above sqrt(2) it is halved: f = (e - 1)/2,
    # the last bit of e - 1 that may be lost below e = 1/2 going to `high`.
    halved = xp.astype(e >= 0.4142, xp.float64)
    f = e - 1.0
    high += halved * (e - (f + 1.0))
    high *= 1.0 / (e + 1.0)
    high += halved * LOG2_LOW
    f *= 0.5
    f *= halved
    f += (1.0 - halved) * e
    magnitude += x
    magnitude *= 0.5
    first = halved * LOG2_HIGH
    total = first + magnitude
    high += (first - total) + magnitude
    return add_log1p(f, total, high)


def tanh(xp: Namespace, x: Array) -> Array:
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
    n = horner(square, TANH_UPPER)
    n *= x
    d = horner(square, TANH_LOWER)
    x = n * d
    n *= n
    d *= d
    d += n
    x *= 2.0 / d
    return x


def _tanh_of_magnitude(xp: Namespace, x: Array) -> Array:
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


def to_25_places(x: Array) -> Array:
    """Return `x` (float64, 0 <= x < 4, any shape) rounded to a multiple of 2^-25."""
    y = x + _TO_25_PLACES
    y -= _TO_25_PLACES
    return y


def quotient(high: Array, low: Array | float, divisor: Array, divisor_low: Array) -> Array:
    """Return (high + low)/(divisor + divisor_low), relative error below 2^-53 + 2^-58.

    All float64 and of one shape, low parts below 1 % of the high ones, `divisor` of at most 27
    bits. A first quotient is cut to 26 bits (Veltkamp's splitting, Dekker 1971), so that its
    product with `divisor` is exact; what it leaves of the dividend is divided once more.
    """
    reciprocal = 1.0 / (divisor + divisor_low)
    first = reciprocal * high
    scaled = first * _SPLITTER
    first = scaled - (scaled - first)
    remainder = high - first * divisor
    remainder -= first * divisor_low
    remainder += low
    remainder *= reciprocal
    first += remainder
    return first
