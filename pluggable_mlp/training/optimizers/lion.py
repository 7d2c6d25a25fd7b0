"""Lion: steps by the sign of an averaged gradient; no other optimizer."""

from dataclasses import dataclass

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.registry import keep_number
from pluggable_mlp.shortcuts import sign
from pluggable_mlp.training.optimizers.contract import Descent, Numbers, Trees
from pluggable_mlp.training.optimizers.moments import average
from pluggable_mlp.training.optimizers.weight_decay import shrink_weights
from pluggable_mlp.training.schedules import LearningRate
from pluggable_mlp.training.trees import Tree, map_arrays, zeros_like

__all__ = ["Lion"]


@dataclass(frozen=True)
class Lion(Descent):
    """Lion, for every parameter w and its gradient g:

        d = sign(beta1 m + (1 - beta1) g)
        w = (1 - learning_rate weight_decay) w - learning_rate d
        m = beta2 m + (1 - beta2) g

    Chen et al., "Symbolic discovery of optimization algorithms" (2023), algorithm 2, with its
    sign(0) = 0.  Only the matrices W decay.  Its authors advise a learning rate 3 to 10 times
    smaller than Adam's, and a weight decay larger by as much.

    Parameters
    ----------
    learning_rate : float, Schedule or callable, default 0.0001
        At least 0.
    beta1 : float, default 0.9
    beta2 : float, default 0.99
        At least 0 and below 1.
    weight_decay : float, default 0.0
        At least 0.

    Raises
    ------
    ValueError
        If a value is out of range.
    """

    learning_rate: LearningRate = 0.0001
    beta1: float = 0.9
    beta2: float = 0.99
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        keep_number(self, "beta1", at_least=0.0, below=1.0)
        keep_number(self, "beta2", at_least=0.0, below=1.0)
        keep_number(self, "weight_decay", at_least=0.0)

    def initial_trees(self, parameters: Tree) -> Trees:
        """Return {"mean": zeros}."""
        return {"mean": zeros_like(parameters)}

    def apply_scaled(
        self,
        xp: Namespace,
        coefficients: Numbers,
        gradients: Tree,
        trees: Trees,
        parameters: Tree,
    ) -> tuple[Tree, Trees]:
        """Return the parameters and the mean after one update."""
        rate = coefficients["rate"]
        if self.weight_decay:
            parameters = shrink_weights(parameters, rate, self.weight_decay)

        def descend(w: Array, c: Array) -> Array:
            update = sign(xp, c) * -rate
            update += w
            return update

        blend = average(trees["mean"], gradients, self.beta1)
        mean = average(trees["mean"], gradients, self.beta2)
        return map_arrays(descend, parameters, blend), {"mean": mean}
