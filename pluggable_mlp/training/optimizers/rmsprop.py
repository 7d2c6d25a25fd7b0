"""RMSprop: gradients divided by the root of their mean square; no other optimizer."""

from dataclasses import dataclass

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.registry import keep_number
from pluggable_mlp.training.optimizers.contract import Descent, Numbers, Trees
from pluggable_mlp.training.optimizers.moments import SMALLEST_EPSILON, average_square, step_by_root
from pluggable_mlp.training.schedules import LearningRate
from pluggable_mlp.training.trees import Tree, map_arrays, zeros_like

__all__ = ["RMSprop"]


@dataclass(frozen=True)
class RMSprop(Descent):
    """RMSprop, for every parameter w and its gradient g:

        v = rho v + (1 - rho) g^2
        w = w - learning_rate g / (sqrt(v) + epsilon)

    Tieleman and Hinton, "Lecture 6.5 - RMSprop" (2012), whose rho is 0.9; neither centered nor
    with momentum.  epsilon stands outside of the root, as in torch.optim (rho is alpha there,
    0.99 by default); in Keras and, by default, optax it stands inside.

    Parameters
    ----------
    learning_rate : float, Schedule or callable, default 0.001
        At least 0.
    rho : float, default 0.9
        The decay of the mean square, at least 0 and below 1.
    epsilon : float, default 1e-08
        At least 1e-30.

    Raises
    ------
    ValueError
        If a value is out of range.
    """

    learning_rate: LearningRate = 0.001
    rho: float = 0.9
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        keep_number(self, "rho", at_least=0.0, below=1.0)
        keep_number(self, "epsilon", at_least=SMALLEST_EPSILON)

    def initial_trees(self, parameters: Tree) -> Trees:
        """Return {"mean_square": zeros}."""
        return {"mean_square": zeros_like(parameters)}

    def apply_scaled(
        self,
        xp: Namespace,
        coefficients: Numbers,
        gradients: Tree,
        trees: Trees,
        parameters: Tree,
    ) -> tuple[Tree, Trees]:
        """Return the parameters and the mean square after one update."""
        rate = coefficients["rate"]
        mean_square = average_square(trees["mean_square"], gradients, self.rho)

        def descend(w: Array, g: Array, v: Array) -> Array:
            return step_by_root(xp, w, g, v, rate, self.epsilon)

        parameters = map_arrays(descend, parameters, gradients, mean_square)
        return parameters, {"mean_square": mean_square}
