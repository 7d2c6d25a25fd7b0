"""Activations that a logistic curve makes: bounded ones, and its integral.

Shapes: x, y, dy, dx are all (…, batch, features).
"""

from pluggable_mlp import special
from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.network.activations.contract import ElementwiseBackward

__all__ = ["sigmoid", "softplus", "tanh"]


def sigmoid(xp: Namespace, x: Array) -> tuple[Array, ElementwiseBackward]:
    """Return y = 1 / (1 + exp(-x)); y' = y (1 - y), so dx = dy y (1 - y)."""
    y = special.sigmoid(xp, x)

    def backward(dy: Array) -> Array:
        return y * (1.0 - y) * dy

    return y, backward


def tanh(xp: Namespace, x: Array) -> tuple[Array, ElementwiseBackward]:
    """Return y = tanh(x); y' = 1 - y², so dx = dy (1 - y²)."""
    y = xp.tanh(x)

    def backward(dy: Array) -> Array:
        return (1.0 - y * y) * dy

    return y, backward


def softplus(xp: Namespace, x: Array) -> tuple[Array, ElementwiseBackward]:
    """Return y = log(1 + exp(x)); y' = sigmoid(x)."""

    def backward(dy: Array) -> Array:
        return special.sigmoid(xp, x) * dy

    return special.softplus(xp, x), backward
