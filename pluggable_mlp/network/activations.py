"""Activations: elementwise functions, each forward beside its own backward.

Shapes: x, y, dy, dx are all (…, batch, features).  Each function returns its output and a
closure that turns the loss's gradient with respect to the output, dy, into the one with respect
to the input, dx = f'(x) dy.  Adding one is adding a function here and a line to `ACTIVATIONS`.
"""

from collections.abc import Callable

from pluggable_mlp.arithmetic import Arithmetic
from pluggable_mlp.arrays import Array

__all__ = ["ACTIVATIONS", "Activation", "identity", "relu", "sigmoid", "tanh"]

Activation = Callable[[Arithmetic, Array], tuple[Array, Callable[[Array], Array]]]


def identity(arithmetic: Arithmetic, x: Array) -> tuple[Array, Callable[[Array], Array]]:
    """Return y = x; dx = dy."""
    del arithmetic  # nothing is rounded

    def backward(dy: Array) -> Array:
        return dy

    return x, backward


def sigmoid(arithmetic: Arithmetic, x: Array) -> tuple[Array, Callable[[Array], Array]]:
    """Return y = 1 / (1 + exp(-x)); y' = y (1 - y), so dx = dy y (1 - y)."""
    y = arithmetic.sigmoid(x)

    def backward(dy: Array) -> Array:
        return arithmetic.multiply(arithmetic.multiply(y, 1.0 - y), dy)

    return y, backward


def tanh(arithmetic: Arithmetic, x: Array) -> tuple[Array, Callable[[Array], Array]]:
    """Return y = tanh(x); y' = 1 - y², so dx = dy (1 - y²)."""
    y = arithmetic.tanh(x)

    def backward(dy: Array) -> Array:
        return arithmetic.multiply(1.0 - arithmetic.multiply(y, y), dy)

    return y, backward


def relu(arithmetic: Arithmetic, x: Array) -> tuple[Array, Callable[[Array], Array]]:
    """Return y = max(x, 0); dx = dy where x > 0, else 0 (the subgradient 0 at x = 0)."""
    xp = arithmetic.xp
    positive = x > 0.0

    def backward(dy: Array) -> Array:
        return xp.where(positive, dy, 0.0)

    # where, not max: the maximum of 0 and -0 has the sign that a library likes.
    return xp.where(positive, x, 0.0), backward


ACTIVATIONS: dict[str, Activation] = {
    "identity": identity,
    "sigmoid": sigmoid,
    "tanh": tanh,
    "relu": relu,
}
