"""Activations that keep positive inputs as they are, and the one that keeps all of them.

Shapes: x, y, dy, dx are all (…, batch, features).
"""

from dataclasses import dataclass

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.network.activations.contract import ElementwiseBackward
from pluggable_mlp.registry import keep_number

__all__ = ["ELU", "LeakyReLU", "identity", "relu"]


def identity(xp: Namespace, x: Array) -> tuple[Array, ElementwiseBackward]:
    """Return y = x; dx = dy."""
    del xp

    def backward(dy: Array) -> Array:
        return dy

    return x, backward


def relu(xp: Namespace, x: Array) -> tuple[Array, ElementwiseBackward]:
    """Return y = max(x, 0); dx = dy where x > 0, else 0 (the subgradient 0 at x = 0)."""
    inactive = x <= 0.0  # not of NaN: it is carried on, to be seen in the loss

    def backward(dy: Array) -> Array:
        return xp.where(inactive, 0.0, dy)

    # where, not max: the maximum of 0 and -0 has the sign that a library likes.
    return xp.where(inactive, 0.0, x), backward


@dataclass(frozen=True)
class LeakyReLU:
    """y = x where x > 0, else slope x; dx = dy where x > 0, else slope dy.

    Maas, Hannun, Ng, "Rectifier nonlinearities improve neural network acoustic models" (2013),
    with their slope.

    Parameters
    ----------
    slope : float, default 0.01

    Raises
    ------
    ValueError
        If the slope is not finite.
    """

    slope: float = 0.01

    def __post_init__(self) -> None:
        keep_number(self, "slope")

    def __call__(self, xp: Namespace, x: Array) -> tuple[Array, ElementwiseBackward]:
        """Return y for x, both (…, batch, features), and the backward pass."""
        positive = x > 0.0

        def backward(dy: Array) -> Array:
            return xp.where(positive, dy, dy * self.slope)

        return xp.where(positive, x, x * self.slope), backward


@dataclass(frozen=True)
class ELU:
    """y = x where x > 0, else alpha (exp(x) - 1).

    Clevert, Unterthiner, Hochreiter, "Fast and accurate deep network learning by exponential
    linear units" (ICLR 2016), equation 15.  With t = tanh(x/2), exp(x) - 1 = 2 t / (1 - t), which
    is accurate where exp(x) is near 1.  y' = 1 where x > 0, else alpha exp(x).

    Parameters
    ----------
    alpha : float, default 1.0
        At least 0.

    Raises
    ------
    ValueError
        If alpha is negative or not finite.
    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        keep_number(self, "alpha", at_least=0.0)

    def __call__(self, xp: Namespace, x: Array) -> tuple[Array, ElementwiseBackward]:
        """Return y for x, both (…, batch, features), and the backward pass."""
        positive = x > 0.0
        negative_part = xp.where(positive, 0.0, x)
        t = xp.tanh(negative_part * 0.5)
        y = (t + t) * (1.0 / (1.0 - t))

        def backward(dy: Array) -> Array:
            return xp.where(positive, dy, xp.exp(negative_part) * self.alpha * dy)

        return xp.where(positive, x, y * self.alpha), backward
