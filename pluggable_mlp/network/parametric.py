"""Layers with a trained parameter for each feature: a scaling, and activations.

Shapes: x, y, dy, dx are (…, batch, features); scale and a are (…, features).
"""

from dataclasses import dataclass
from typing import ClassVar

from pluggable_mlp import special
from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.network.activations import Activation
from pluggable_mlp.network.layers import Arrays, Forward, Gradients, Layer, Mode


@dataclass(frozen=True)
class Scaling(Layer):
    """A trained factor for each input: y = x scale, with scale = 1 at first.

    Holzmüller, Grinsztajn, Steinwart, "Better by default" (NeurIPS 2024), section 3: with a larger
    learning rate than the others, it selects among the inputs.
    """

    features: int
    constants: ClassVar[dict[str, float]] = {"scale": 1.0}

    def forward(self, xp: Namespace, parameters: Arrays, x: Array, rng: Mode = None) -> Forward:
        """Return y = x scale; dx = dy scale, and dscale = sum of dy x over the batch."""
        scale = xp.expand_dims(parameters["scale"], axis=-2)

        def backward(dy: Array, *, with_dx: bool = True) -> Gradients:
            dscale = special.sum(xp, dy * x, axis=-2)
            return (dy * scale if with_dx else None), {"scale": dscale}

        return x * scale, backward


@dataclass(frozen=True)
class ParametricActivation(Layer):
    """A trained mixture of an activation f and the identity: y = x + a (f(x) - x).

    Holzmüller, Grinsztajn, Steinwart, "Better by default" (NeurIPS 2024): a is per feature, 1 at
    first, with a smaller learning rate than the others.

    Parameters
    ----------
    function : callable
        f and its backward pass.
    features : int
    """

    function: Activation
    features: int
    constants: ClassVar[dict[str, float]] = {"a": 1.0}

    def forward(self, xp: Namespace, parameters: Arrays, x: Array, rng: Mode = None) -> Forward:
        """Return y = x + a (f(x) - x).

        dx = dy (1 - a) + f'(x) a dy, and da = sum of dy (f(x) - x) over the batch.
        """
        a = xp.expand_dims(parameters["a"], axis=-2)
        f, derivative = self.function(xp, x)
        y, bend = special.lerp_and_difference(xp, x, f, a)

        def backward(dy: Array, *, with_dx: bool = True) -> Gradients:
            gradients = {"a": special.sum(xp, dy * bend, axis=-2)}
            if not with_dx:
                return None, gradients
            of_f, of_x = special.complementary_products(xp, dy, a)
            return of_x + derivative(of_f), gradients

        return y, backward
