"""Activations that weigh their input by a distribution function of it: x times F(x).

Shapes: x, y, dy, dx are all (…, batch, features).  The clipped copies of x below change no
result: they keep a product of a huge x with a vanishing factor from being anything but zero.
"""

import math

from pluggable_mlp.arithmetic import Arithmetic
from pluggable_mlp.arrays import Array
from pluggable_mlp.network.activations.contract import ElementwiseBackward

__all__ = ["gelu", "gelu_tanh", "silu"]

_SQRT_HALF = math.sqrt(0.5)
_SQRT_2_OVER_PI = math.sqrt(2.0 / math.pi)
_CUBIC = 0.044715  # of gelu's tanh form


def gelu(arithmetic: Arithmetic, x: Array) -> tuple[Array, ElementwiseBackward]:
    """Return y = x Φ(x), with Φ(x) = (1 + erf(x/√2)) / 2, the normal distribution's function.

    Hendrycks, Gimpel, "Gaussian error linear units" (2016), the exact form.  With the density
    φ(x) = exp(-x²/2) / √(2π) = Φ'(x): y' = Φ(x) + x φ(x).
    """
    xp = arithmetic.xp
    error_function = arithmetic.erf(arithmetic.multiply(x, _SQRT_HALF))
    distribution = arithmetic.multiply(1.0 + error_function, 0.5)

    def backward(dy: Array) -> Array:
        c = xp.maximum(xp.minimum(x, 40.0), -40.0)  # exp(-40²/2) is zero in float64, too
        density = arithmetic.exp(arithmetic.multiply(arithmetic.multiply(c, c), -0.5))
        slope = arithmetic.multiply(arithmetic.multiply(c, density), 0.5 * _SQRT_2_OVER_PI)
        return arithmetic.multiply(distribution + slope, dy)

    return arithmetic.multiply(x, distribution), backward


def gelu_tanh(arithmetic: Arithmetic, x: Array) -> tuple[Array, ElementwiseBackward]:
    """Return y = x (1 + t) / 2 with t = tanh(u), u = √(2/π) (x + 0.044715 x³).

    Hendrycks, Gimpel (2016), the approximation that GPT-2 uses.  From t' = (1 - t²) u' and
    u' = √(2/π) (1 + 3 · 0.044715 x²): y' = (1 + t) / 2 + x (1 - t²) u' / 2.
    """
    xp = arithmetic.xp
    c = xp.maximum(xp.minimum(x, 20.0), -20.0)  # tanh(u) is 1 from 8 on
    square = arithmetic.multiply(c, c)
    factor = 1.0 + arithmetic.multiply(square, _CUBIC)
    t = arithmetic.tanh(arithmetic.multiply(arithmetic.multiply(c, factor), _SQRT_2_OVER_PI))
    half = arithmetic.multiply(1.0 + t, 0.5)

    def backward(dy: Array) -> Array:
        du = 1.0 + arithmetic.multiply(square, 3.0 * _CUBIC)
        dt = arithmetic.multiply(1.0 - arithmetic.multiply(t, t), du)
        slope = arithmetic.multiply(arithmetic.multiply(c, dt), 0.5 * _SQRT_2_OVER_PI)
        return arithmetic.multiply(half + slope, dy)

    return arithmetic.multiply(x, half), backward


def silu(arithmetic: Arithmetic, x: Array) -> tuple[Array, ElementwiseBackward]:
    """Return y = x s with s = sigmoid(x), also called swish; y' = s (1 + x (1 - s)).

    Elfwing, Uchibe, Doya, "Sigmoid-weighted linear units" (2018); s' = s (1 - s).
    """
    s = arithmetic.sigmoid(x)
    c = arithmetic.xp.maximum(x, -800.0)  # exp(-800) is zero in float64, too

    def backward(dy: Array) -> Array:
        slope = arithmetic.multiply(s, 1.0 + arithmetic.multiply(c, 1.0 - s))
        return arithmetic.multiply(slope, dy)

    return arithmetic.multiply(c, s), backward
