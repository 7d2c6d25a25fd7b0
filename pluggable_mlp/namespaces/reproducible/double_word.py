"""A quotient of two numbers in two parts each, in float64, rounded almost once.

The last step of the functions that are a fraction of exponentials.
"""

from pluggable_mlp.arrays import Array

# Added and taken away again, it leaves a number between 0 and 4 in multiples of 2^-25.
_TO_25_PLACES = 1.5 * 2.0**27
_SPLITTER = 2.0**27 + 1.0


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
