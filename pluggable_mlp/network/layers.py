"""Layers: units with or without parameters, whose forward returns the backward.

Shapes: x (…, batch, in), y (…, batch, out), W (…, in, out), b (…, out); a gradient has the shape
of the array that it belongs to.  After `y, backward = layer.forward(xp, parameters, x)`, call
`dx, gradients = backward(dy)`: the backward is a closure over what it needs, and gradients are
returned, never stored.  Dropout and the normalizations are in files of their own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from pluggable_mlp import special
from pluggable_mlp.arrays import Array, Namespace, transpose
from pluggable_mlp.network.activations import Activation

__all__ = ["Activate", "Backward", "Dense", "Draw", "Layer", "Shapes", "TrainingStep"]

Backward = Callable[..., tuple[Array, dict[str, Array]]]
Shapes = dict[str, tuple[int, ...]]
Draw = Callable[[Shapes], dict[str, Array]]


@dataclass(frozen=True)
class TrainingStep:
    """The mode of a forward pass: one step of training; evaluation is None.

    Layers that know no difference do not look at it.  A random layer draws the numbers that
    belong to this step, the same ones whenever it is taken.

    Parameters
    ----------
    seed : int
        Of the run, from 0 to 2**64 - 1.
    number : int
        Which step of the run, from 0 to 2**64 - 1.
    """

    seed: int
    number: int


class Layer(Protocol):
    """The interface of a layer."""

    statistics: ClassVar[tuple[str, ...]]
    """The names of the parameters that have no gradient: forward passes of training
    measure them, no optimizer changes them."""

    def shapes(self) -> Shapes:
        """Return the shape of each parameter by its name; empty where there is none."""

    def initial(self, draw: Draw) -> dict[str, Any]:
        """Return host data for each parameter; draw(shapes) asks the initializer for weights."""

    def forward(
        self,
        xp: Namespace,
        parameters: dict[str, Array],
        x: Array,
        step: TrainingStep | None = None,
    ) -> tuple[Array, Backward]:
        """Return the output for x (…, batch, in), and the backward pass.

        backward(dy) returns dx and, by their names, the gradients of the parameters; after a
        step of training also the new values of the statistics.
        """


@dataclass(frozen=True)
class Dense:
    """A fully connected layer: y = x W + b."""

    inputs: int
    outputs: int
    statistics: ClassVar[tuple[str, ...]] = ()

    def shapes(self) -> Shapes:
        """Return {"W": (in, out), "b": (out,)}."""
        return {"W": (self.inputs, self.outputs), "b": (self.outputs,)}

    def initial(self, draw: Draw) -> dict[str, Any]:
        """Return what the initializer draws."""
        return draw(self.shapes())

    def forward(
        self,
        xp: Namespace,
        parameters: dict[str, Array],
        x: Array,
        step: TrainingStep | None = None,
    ) -> tuple[Array, Backward]:
        """Return y = x W + b.

        With dy the gradient with respect to y, summing over the batch,

            dW = xᵀ dy    db = sum of dy    dx = dy Wᵀ

        The first layer of a network does not compute dx, which is not used and would be a third of
        its work.
        """
        del step
        W = parameters["W"]

        def backward(dy: Array, *, with_dx: bool = True) -> tuple[Array, dict[str, Array]]:
            dx = special.matmul(xp, dy, transpose(W)) if with_dx else None
            dW = special.matmul(xp, transpose(x), dy)
            return dx, {"W": dW, "b": special.sum(xp, dy, axis=-2)}

        return special.affine(xp, x, W, parameters["b"]), backward


@dataclass(frozen=True)
class Activate:
    """An activation as a layer, without parameters."""

    function: Activation
    statistics: ClassVar[tuple[str, ...]] = ()

    def shapes(self) -> Shapes:
        """Return {}: nothing is learnt here."""
        return {}

    def initial(self, draw: Draw) -> dict[str, Any]:
        """Return {}."""
        del draw
        return {}

    def forward(
        self,
        xp: Namespace,
        parameters: dict[str, Array],
        x: Array,
        step: TrainingStep | None = None,
    ) -> tuple[Array, Backward]:
        """Return y = f(x); backward(dy) returns f'(x) dy."""
        del parameters, step
        y, derivative = self.function(xp, x)

        def backward(dy: Array, *, with_dx: bool = True) -> tuple[Array, dict[str, Array]]:
            return (derivative(dy) if with_dx else None), {}

        return y, backward
