"""Layers: units with or without parameters, each forward returning its own backward.

Shapes: x (…, batch, in), y (…, batch, out), W (…, in, out), b (…, out); a gradient has the shape
of what it is the gradient of.  `y, backward = layer.forward(parameters, x, arithmetic)`, then
`dx, gradients = backward(dy)`: the closure shows by its scope what the backward pass needs, and
gradients are returned, never stored.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from pluggable_mlp.arithmetic import Arithmetic
from pluggable_mlp.arrays import Array
from pluggable_mlp.network.activations import Activation

__all__ = ["Activate", "Backward", "Dense", "Layer"]

Backward = Callable[..., tuple[Array, dict[str, Array]]]


class Layer(Protocol):
    """What the network asks of a layer."""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each parameter by its name; empty where there is none."""

    def forward(
        self, parameters: dict[str, Array], x: Any, arithmetic: Arithmetic
    ) -> tuple[Array, Backward]:
        """Return the output for x (…, batch, in), and the backward pass."""


@dataclass(frozen=True)
class Dense:
    """Every output sees every input: y = x W + b."""

    inputs: int
    outputs: int

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return {"W": (in, out), "b": (out,)}."""
        return {"W": (self.inputs, self.outputs), "b": (self.outputs,)}

    def forward(
        self, parameters: dict[str, Array], x: Any, arithmetic: Arithmetic
    ) -> tuple[Array, Backward]:
        """Return y = x W + b.

        With dy the gradient with respect to y, summing over the batch,

            dW = xᵀ dy    db = sum of dy    dx = dy Wᵀ

        The first layer of a network asks for no dx: nobody reads it, and it costs a third of
        the layer's work.
        """
        x = arithmetic.factor(x)
        W = arithmetic.factor(parameters["W"])

        def backward(dy: Array, *, with_dx: bool = True) -> tuple[Array, dict[str, Array]]:
            dy_factor = arithmetic.factor(dy)
            dx = arithmetic.matmul(dy_factor, W.mT) if with_dx else None
            dW = arithmetic.matmul(x.mT, dy_factor)
            return dx, {"W": dW, "b": arithmetic.sum(dy, axis=-2)}

        return arithmetic.affine(x, W, parameters["b"]), backward


@dataclass(frozen=True)
class Activate:
    """An activation as a layer: it has no parameters."""

    function: Activation

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return {}: nothing is learnt here."""
        return {}

    def forward(
        self, parameters: dict[str, Array], x: Array, arithmetic: Arithmetic
    ) -> tuple[Array, Backward]:
        """Return y = f(x); backward(dy) returns f'(x) dy."""
        del parameters
        y, derivative = self.function(arithmetic, x)

        def backward(dy: Array, *, with_dx: bool = True) -> tuple[Array, dict[str, Array]]:
            return (derivative(dy) if with_dx else None), {}

        return y, backward
