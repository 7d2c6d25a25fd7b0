"""Activations of the hand-written NumPy loop, each with its backward, in as few passes as we know.

NumPy's `clip` takes a third of the time of its `maximum` with a number, and `divide` two thirds of
that of its `reciprocal`.

The first function takes z, which it may overwrite, and returns y with what the second one needs;
the second one takes the gradient d, y, and that, all of which it may overwrite, and multiplies d by
the slope.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import erf

__all__ = ["ACTIVATIONS"]

_ALPHA, _SCALE = 1.6732632423543772, 1.0507009873554805  # of selu
_LEAK = 0.01


def _sigmoid(z: Any) -> Any:
    np.negative(z, out=z)
    np.exp(z, out=z)
    z += 1.0
    return np.divide(1.0, z, out=z)


def _sigmoid_slope(d: Any, y: Any, _: Any) -> None:
    d *= y
    np.subtract(1.0, y, out=y)
    d *= y


def _tanh_slope(d: Any, y: Any, _: Any) -> None:
    y *= y
    np.subtract(1.0, y, out=y)
    d *= y


def _relu(z: Any) -> tuple[Any, None]:
    return z.clip(0.0, np.inf, out=z), None


def _relu_slope(d: Any, y: Any, _: Any) -> None:
    d *= (y > 0.0).astype(y.dtype)


def _leaky_relu(z: Any) -> tuple[Any, None]:
    return np.maximum(z, z * _LEAK), None


def _leaky_relu_slope(d: Any, y: Any, _: Any) -> None:
    slope = (y > 0.0).astype(y.dtype)
    slope *= 1.0 - _LEAK
    slope += _LEAK
    d *= slope


def _elu(z: Any) -> tuple[Any, Any]:
    below = z.clip(-np.inf, 0.0)
    np.expm1(below, out=below)
    z.clip(0.0, np.inf, out=z)
    z += below
    return z, below


def _elu_slope(d: Any, _: Any, below: Any) -> None:
    below += 1.0
    d *= below


def _selu(z: Any) -> tuple[Any, Any]:
    below = z.clip(-np.inf, 0.0)
    np.expm1(below, out=below)
    below *= _ALPHA * _SCALE
    z.clip(0.0, np.inf, out=z)
    z *= _SCALE
    z += below
    return z, below


def _selu_slope(d: Any, y: Any, below: Any) -> None:
    above = (y > 0.0).astype(y.dtype)  # a copy where y > 0 takes several times as long
    above *= _SCALE - _ALPHA * _SCALE
    below += above
    below += _ALPHA * _SCALE
    d *= below


def _gelu(z: Any) -> tuple[Any, Any]:
    distribution = erf(z * 0.5**0.5)
    distribution += 1.0
    distribution *= 0.5
    return z * distribution, (z, distribution)


def _gelu_slope(d: Any, y: Any, kept: Any) -> None:
    z, slope = kept
    np.multiply(z, z, out=y)
    y *= -0.5
    np.exp(y, out=y)
    y *= z
    y *= (2.0 * np.pi) ** -0.5
    slope += y
    d *= slope


def _mish(z: Any) -> tuple[Any, Any]:
    """y = z t, t = tanh(log(1 + e)) = n / (n + 2) with n = e (e + 2)."""
    e = z.clip(-np.inf, 20.0)
    np.exp(e, out=e)
    n = e + 2.0
    n *= e
    t = n + 2.0
    np.divide(n, t, out=t)
    return z * t, (z, e, t)


def _mish_slope(d: Any, y: Any, kept: Any) -> None:
    """y' = t + z (1 - t²) e / (1 + e)."""
    z, e, t = kept
    np.add(e, 1.0, out=y)
    np.divide(e, y, out=e)
    z *= e
    np.multiply(t, t, out=y)
    np.subtract(1.0, y, out=y)
    z *= y
    t += z
    d *= t


Forward = Callable[[Any], tuple[Any, Any]]
Backward = Callable[[Any, Any, Any], None]
ACTIVATIONS: dict[str, tuple[Forward, Backward]] = {
    "sigmoid": (lambda z: (_sigmoid(z), None), _sigmoid_slope),
    "tanh": (lambda z: (np.tanh(z, out=z), None), _tanh_slope),
    "relu": (_relu, _relu_slope),
    "leaky_relu": (_leaky_relu, _leaky_relu_slope),
    "elu": (_elu, _elu_slope),
    "selu": (_selu, _selu_slope),
    "gelu": (_gelu, _gelu_slope),
    "mish": (_mish, _mish_slope),
}
