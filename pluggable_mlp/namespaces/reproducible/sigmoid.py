"""The logistic sigmoid and softplus, in operations that IEEE 754 fixes."""

from typing import Any

from pluggable_mlp.arrays import Array
from pluggable_mlp.namespaces.reproducible.double_word import quotient, to_25_places
from pluggable_mlp.namespaces.reproducible.exponential import (
    EXP_OF_SCALED_NEGATIVE,
    FIRST,
    exp_of_float32,
    exp_parts,
)
from pluggable_mlp.namespaces.reproducible.logarithm import LOG2_HIGH, LOG2_LOW, add_log1p
from pluggable_mlp.namespaces.reproducible.rounding import keep_nan, type_name
from pluggable_mlp.namespaces.reproducible.tables import power_of_two
from pluggable_mlp.shortcuts import clip

# benchmarks/polynomials.py: log1p(x)/x for 0 <= x <= 1, relative error below 2^-28.
LOG1P_UPPER = (0.0032073298419550648, 0.23098594932963623, 1.053615727888184, 0.9999999970062725)
LOG1P_LOWER = (0.07252963784156805, 0.6744656375713419, 1.5536154283341461, 1.0)


def sigmoid(xp: Any, x: Array) -> Array:
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


def _sigmoid_of_negative(xp: Any, x: Array) -> Array:
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


def softplus(xp: Any, x: Array) -> Array:
    """Return log(1 + e^x) for `x` (float32 or float64, any shape), within 1 ulp.

    log(1 + e^x) = max(x, 0) + log1p(e^-|x|). In float32, 20 pairs of neighbours of all come out of
    order, by one last place; the other functions never decrease there.
    """
    kind = type_name(xp, x)
    part = _softplus_of_float32 if kind == "float32" else _softplus_of_float64
    y = xp.astype(part(xp, xp.astype(clip(xp, x, FIRST[kind], 64.0), xp.float64)), x.dtype)
    y *= xp.astype(x >= FIRST[kind], x.dtype)
    return keep_nan(xp, x, xp.where(x > 64.0, x, y))


def _softplus_of_float32(xp: Any, x: Array) -> Array:
    """Return softplus of -88 <= x <= 64 in `x` (float64, any shape), relative error 2^-28."""
    magnitude = xp.abs(x)
    e = exp_of_float32(magnitude, EXP_OF_SCALED_NEGATIVE)
    upper = e * LOG1P_UPPER[0]
    lower = e * LOG1P_LOWER[0]
    for a, b in zip(LOG1P_UPPER[1:], LOG1P_LOWER[1:], strict=True):
        upper += a
        lower += b
        upper *= e
        if b != 1.0:
            lower *= e
    y = upper * (1.0 / lower)
    magnitude += x
    magnitude *= 0.5
    y += magnitude
    return y


def _softplus_of_float64(xp: Any, x: Array) -> Array:
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
