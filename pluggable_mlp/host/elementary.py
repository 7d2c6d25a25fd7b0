"""Powers, logarithms and cosines of numbers on the host, with the same bits on every machine.

`math.pow`, `math.log2` and `math.cos` call the C library, whose results differ between machines.
This module uses only operations whose results IEEE 754 or the decimal arithmetic specification
determines.  NumPy is imported by the functions that take arrays: the command's help needs none.
"""

import math
from collections.abc import Sequence

from pluggable_mlp.arrays import Array
from pluggable_mlp.elementary.common import COSINE, SINE, horner
from pluggable_mlp.elementary.powers import FDLIBM_LOG

_LOG2_E = 1.4426950408889634


def cos_pi(x: float) -> float:
    """Return cos(pi x) for 0 <= x <= 1, to 2 units in the last place."""
    if x > 0.5:
        return -cos_pi(1.0 - x)
    if x > 0.25:
        y = (0.5 - x) * math.pi
        z = y * y
        return y + y * z * horner(z, SINE)
    z = (x * math.pi) * (x * math.pi)
    half = 0.5 * z
    rest = 1.0 - half
    # 1 - half, and what that subtraction rounded away.
    return rest + (((1.0 - rest) - half) + z * z * horner(z, COSINE))


def log2(x: float) -> float:
    """Return the logarithm to base 2 of x >= 1, to 2 units in the last place; exact for 2^n.

    With 1/sqrt(2) <= 1 + f <= sqrt(2) and s = f / (2 + f), log(1 + f) = f - s (f - R(s^2)).
    """
    mantissa, exponent = math.frexp(x)
    if mantissa < math.sqrt(0.5):
        mantissa, exponent = 2.0 * mantissa, exponent - 1
    f = mantissa - 1.0
    s = f / (2.0 + f)
    z = s * s
    return exponent + (f - s * (f - z * horner(z, FDLIBM_LOG))) * _LOG2_E


def half_wave(first: float, last: float, x: float) -> float:
    """Return the half cosine wave from first (x = 0) to last (x = 1, and above)."""
    weight = 0.5 * (1.0 + cos_pi(min(x, 1.0)))
    return weight * first + (1.0 - weight) * last


def numpy_array(numbers: Sequence[float]) -> Array:
    """Return a NumPy array, for functions that take one in place of a number."""
    import numpy as np

    return np.asarray(numbers)


def square_root(x: Array) -> Array:
    """Return the square root of a float, or of each in an array."""
    if isinstance(x, float):
        return math.sqrt(x)
    import numpy as np

    return np.sqrt(x)


def integer_power(base: float, exponent: Array) -> Array:
    """Return base to a power of at least 0, by squaring, in about 2 log2(exponent) products.

    Each rounding error propagates through the remaining squarings, so that the relative error is
    less than exponent * 2^-52.  The exponent may be an array, with the same bits.
    """
    power: Array = 1.0
    square = base
    if not isinstance(exponent, int):
        import numpy as np

        with np.errstate(under="ignore"):  # as Python's products
            for bit in range(int(exponent.max()).bit_length()):
                power = power * np.where(exponent >> bit & 1, square, 1.0)
                square *= square
        return power
    while exponent:
        if exponent % 2:
            power *= square
        square *= square
        exponent //= 2
    return power


def real_power(base: float, exponent: float) -> float:
    """Return base to any power, base > 0: exp(exponent log base), in 40 decimal digits.

    The decimal specification requires exp and ln to be correctly rounded, on every machine.
    """
    from decimal import ROUND_HALF_EVEN, Context, Decimal  # only one schedule needs it

    # Enough more digits than a float's 17 that their rounding does not show in the result.
    digits = Context(prec=40, rounding=ROUND_HALF_EVEN, Emin=-99999, Emax=99999, traps=[])
    return float(digits.exp(digits.multiply(digits.ln(Decimal(base)), Decimal(exponent))))
