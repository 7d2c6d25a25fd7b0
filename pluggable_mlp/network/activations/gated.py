"""Activations that weigh their input by a distribution function of it: x times F(x).

Shapes: x, y, dy, dx are all (…, batch, features).  The clipped copies of x below change no
result: they keep a product of a huge x with a vanishing factor from being anything but zero.
"""

import math

from pluggable_mlp import special
from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.network.activations.contract import ElementwiseBackward

__all__ = ["gelu", "gelu_tanh", "silu"]

_SQRT_HALF = math.sqrt(0.5)
_SQRT_2_OVER_PI = math.sqrt(2.0 / math.pi)
_CUBIC = 0.044715  # of gelu's tanh form


def gelu(xp: Namespace, x: Array) -> tuple[Array, ElementwiseBackward]:
    """Return y = x Φ(x), with Φ(x) = (1 + erf(x/√2)) / 2, the normal distribution's function.

    Hendrycks, Gimpel, "Gaussian error linear units" (2016), the exact form.  With the density
    φ(x) = exp(-x²/2) / √(2π) = Φ'(x): y' = Φ(x) + x φ(x).
    """
    distribution = (1.0 + special.erf(xp, x * _SQRT_HALF)) * 0.5

    def backward(dy: Array) -> Array:
        c = xp.maximum(xp.minimum(x, 40.0), -40.0)  # exp(-40²/2) is zero in float64, too
        density = xp.exp(c * c * -0.5)
        return (distribution + c * density * (0.5 * _SQRT_2_OVER_PI)) * dy

    return x * distribution, backward


def gelu_tanh(xp: Namespace, x: Array) -> tuple[Array, ElementwiseBackward]:
    """Return y = x (1 + t) / 2 with t = tanh(u), u = √(2/π) (x + 0.044715 x³).

    Hendrycks, Gimpel (2016), the approximation that GPT-2 uses.  From t' = (1 - t²) u' and
    u' = √(2/π) (1 + 3 · 0.044715 x²): y' = (1 + t) / 2 + x (1 - t²) u' / 2.
    """
    c = xp.maximum(xp.minimum(x, 20.0), -20.0)  # tanh(u) is 1 from 8 on
    square = c * c
    t = xp.tanh(c * (1.0 + square * _CUBIC) * _SQRT_2_OVER_PI)
    half = (1.0 + t) * 0.5

    def backward(dy: Array) -> Array:
        dt = (1.0 - t * t) * (1.0 + square * (3.0 * _CUBIC))
        return (half + c * dt * (0.5 * _SQRT_2_OVER_PI)) * dy

    return x * half, backward


def silu(xp: Namespace, x: Array) -> tuple[Array, ElementwiseBackward]:
    """Return y = x s with s = sigmoid(x), also called swish; y' = s (1 + x (1 - s)).

    Elfwing, Uchibe, Doya, "Sigmoid-weighted linear units" (2018); s' = s (1 - s).
    """
    s = special.sigmoid(xp, x)
    c = xp.maximum(x, -800.0)  # exp(-800) is zero in float64, too

    def backward(dy: Array) -> Array:
        return s * (1.0 + c * (1.0 - s)) * dy

    return c * s, backward
