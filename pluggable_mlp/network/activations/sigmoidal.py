"""Activations that a logistic curve makes: bounded ones, and its integral.

Shapes: x, y, dy, dx are all (…, batch, features).
"""

from pluggable_mlp.arithmetic import Arithmetic
from pluggable_mlp.arrays import Array
from pluggable_mlp.network.activations.contract import ElementwiseBackward

__all__ = ["sigmoid", "softplus", "tanh"]


def sigmoid(arithmetic: Arithmetic, x: Array) -> tuple[Array, ElementwiseBackward]:
    """Return y = 1 / (1 + exp(-x)); y' = y (1 - y), so dx = dy y (1 - y)."""
    y = arithmetic.sigmoid(x)

    def backward(dy: Array) -> Array:
        return arithmetic.multiply(arithmetic.multiply(y, 1.0 - y), dy)

    return y, backward


def tanh(arithmetic: Arithmetic, x: Array) -> tuple[Array, ElementwiseBackward]:
    """Return y = tanh(x); y' = 1 - y², so dx = dy (1 - y²)."""
    y = arithmetic.tanh(x)

    def backward(dy: Array) -> Array:
        return arithmetic.multiply(1.0 - arithmetic.multiply(y, y), dy)

    return y, backward


def softplus(arithmetic: Arithmetic, x: Array) -> tuple[Array, ElementwiseBackward]:
    """Return y = log(1 + exp(x)); y' = sigmoid(x)."""

    def backward(dy: Array) -> Array:
        return arithmetic.multiply(arithmetic.sigmoid(x), dy)

    return arithmetic.softplus(x), backward
