"""Activations with a trained parameter for each feature.

Shapes: x, y, dy, dx are (…, batch, features); a is (…, features).
"""

from dataclasses import dataclass
from typing import ClassVar

from pluggable_mlp import special
from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.network.activations import Activation
from pluggable_mlp.network.layers import Arrays, Draw, Forward, Gradients, Mode, Shapes

__all__ = ["ParametricActivation"]


@dataclass(frozen=True)
class ParametricActivation:
    """A trained mixture of an activation f and the identity: y = x + a (f(x) - x).

    Holzmüller, Grinsztajn, Steinwart, "Better by default" (NeurIPS 2024): a for each feature, 1 at
    first, with a smaller learning rate than the others.

    Parameters
    ----------
    function : callable
        f and its backward pass.
    features : int
    """

    function: Activation
    features: int
    buffers: ClassVar[tuple[str, ...]] = ()

    def shapes(self) -> Shapes:
        """Return {"a": (features,)}."""
        return {"a": (self.features,)}

    def initial(self, draw: Draw) -> Arrays:
        """Return ones."""
        del draw
        return {"a": [1.0] * self.features}

    def forward(self, xp: Namespace, parameters: Arrays, x: Array, rng: Mode = None) -> Forward:
        """Return y = x + a (f(x) - x).

        dx = dy (1 - a) + f'(x) a dy, and da = sum of dy (f(x) - x) over the batch.
        """
        del rng
        a = xp.expand_dims(parameters["a"], axis=-2)
        f, derivative = self.function(xp, x)
        bend = f - x

        def backward(dy: Array, *, with_dx: bool = True) -> Gradients:
            gradients = {"a": special.sum(xp, dy * bend, axis=-2)}
            if not with_dx:
                return None, gradients
            of_f = dy * a
            return (dy - of_f) + derivative(of_f), gradients

        return x + bend * a, backward
