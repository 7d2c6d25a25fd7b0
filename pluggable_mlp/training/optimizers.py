"""Optimizers: how gradients change parameters.

Each is a frozen set of hyperparameters with a pure pair: `init(parameters) -> state` and
`update(gradients, state, parameters, arithmetic) -> (parameters, state)`.  Parameters, gradients
and the state's arrays are lists with one dict of arrays a layer, of any shapes.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from pluggable_mlp.arithmetic import Arithmetic
from pluggable_mlp.arrays import Array
from pluggable_mlp.training.trees import Tree, map_arrays

__all__ = ["OPTIMIZERS", "SGD", "Optimizer"]


class Optimizer(Protocol):
    """What the training loop asks of an optimizer."""

    def init(self, parameters: Tree) -> Any:
        """Return the state before the first step."""

    def update(
        self, gradients: Tree, state: Any, parameters: Tree, arithmetic: Arithmetic
    ) -> tuple[Tree, Any]:
        """Return the parameters and the state after one step."""


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent: w becomes w - learning_rate g.

    Parameters
    ----------
    learning_rate : float
        The factor of the gradient, at least 0.

    Raises
    ------
    ValueError
        If the learning rate is negative or not finite.
    """

    learning_rate: float = 0.1

    def __post_init__(self) -> None:
        if not 0.0 <= self.learning_rate < float("inf"):
            raise ValueError(
                f"learning_rate is {self.learning_rate}, expected a finite number of at least 0"
            )

    def init(self, parameters: Tree) -> None:
        """Return None: plain gradient descent remembers nothing."""

    def update(
        self, gradients: Tree, state: None, parameters: Tree, arithmetic: Arithmetic
    ) -> tuple[Tree, None]:
        """Return w - learning_rate g for every parameter w and its gradient g."""

        def descend(w: Array, g: Array) -> Array:
            step = arithmetic.multiply(g, -self.learning_rate)
            step += w
            return step

        return map_arrays(descend, parameters, gradients), state


OPTIMIZERS: dict[str, type[SGD]] = {"sgd": SGD}
