"""Adam and AdamW: averaged gradients over the root of their mean square; no other optimizer."""

import math
from dataclasses import dataclass

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.registry import keep_number
from pluggable_mlp.training.optimizers.contract import Descent, Numbers, Trees
from pluggable_mlp.training.optimizers.moments import (
    SMALLEST_EPSILON,
    average,
    average_square,
    step_by_root,
)
from pluggable_mlp.training.optimizers.weight_decay import shrink_weights
from pluggable_mlp.training.schedules import LearningRate
from pluggable_mlp.training.trees import Tree, map_arrays, zeros_like

__all__ = ["Adam", "AdamW"]


@dataclass(frozen=True)
class Adam(Descent):
    """Adam, at update t = 1, 2, … for every parameter w and its gradient g:

        m = beta1 m + (1 - beta1) g
        v = beta2 v + (1 - beta2) g^2
        w = w - learning_rate m^ / (sqrt(v^) + epsilon)

    with the bias corrections m^ = m / (1 - beta1^t) and v^ = v / (1 - beta2^t).  Kingma and Ba,
    "Adam" (2015), algorithm 1, as in torch.optim and optax: epsilon stands outside of the root,
    beside the corrected v^.  Keras adds it to the root of the uncorrected v (the paper's
    "epsilon hat").

    Computed is learning_rate r / (1 - beta1^t) m / (sqrt(v) + r epsilon), r = sqrt(1 - beta2^t):
    the same with one pass over memory less.

    Parameters
    ----------
    learning_rate : float, Schedule or callable, default 0.001
        At least 0.
    beta1 : float, default 0.9
        The decay of the mean, at least 0 and below 1.
    beta2 : float, default 0.999
        The decay of the mean square, likewise.
    epsilon : float, default 1e-08
        At least 1e-30.

    Raises
    ------
    ValueError
        If a value is out of range.
    """

    learning_rate: LearningRate = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        keep_number(self, "beta1", at_least=0.0, below=1.0)
        keep_number(self, "beta2", at_least=0.0, below=1.0)
        keep_number(self, "epsilon", at_least=SMALLEST_EPSILON)

    def initial_numbers(self) -> Numbers:
        """Return the count of steps and the betas' running products beta^t."""
        # Running products, not pow: the C library's pow is not the same on every machine.
        return {**super().initial_numbers(), "beta1_power": 1.0, "beta2_power": 1.0}

    def initial_trees(self, parameters: Tree) -> Trees:
        """Return {"mean": zeros, "mean_square": zeros}."""
        return {"mean": zeros_like(parameters), "mean_square": zeros_like(parameters)}

    def advance(self, numbers: Numbers) -> tuple[Numbers, Numbers]:
        """Return the coefficients of the next update, and the numbers after it."""
        coefficients, numbers = super().advance(numbers)
        powers = {
            "beta1_power": numbers["beta1_power"] * self.beta1,
            "beta2_power": numbers["beta2_power"] * self.beta2,
        }
        root = math.sqrt(1.0 - powers["beta2_power"])
        coefficients["corrected_rate"] = coefficients["rate"] * root / (1.0 - powers["beta1_power"])
        coefficients["corrected_epsilon"] = self.epsilon * root
        return coefficients, {**numbers, **powers}

    def apply_scaled(
        self,
        xp: Namespace,
        coefficients: Numbers,
        gradients: Tree,
        trees: Trees,
        parameters: Tree,
    ) -> tuple[Tree, Trees]:
        """Return the parameters, the mean and the mean square after one update."""
        rate, epsilon = coefficients["corrected_rate"], coefficients["corrected_epsilon"]
        mean = average(trees["mean"], gradients, self.beta1)
        mean_square = average_square(trees["mean_square"], gradients, self.beta2)

        def descend(w: Array, m: Array, v: Array) -> Array:
            return step_by_root(xp, w, m, v, rate, epsilon)

        parameters = map_arrays(descend, parameters, mean, mean_square)
        return parameters, {"mean": mean, "mean_square": mean_square}


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay: W becomes (1 - learning_rate weight_decay) W, then Adam.

    Loshchilov and Hutter, "Decoupled weight decay regularization" (2019), as in torch.optim and
    optax: the decay is multiplied by the learning rate, where the paper multiplies it by the
    schedule's factor alone.  Biases, gains and shifts do not decay.

    Parameters
    ----------
    learning_rate : float, Schedule or callable, default 0.001
    beta1 : float, default 0.9
    beta2 : float, default 0.999
    epsilon : float, default 1e-08
        See `Adam`.
    weight_decay : float, default 0.01
        At least 0.

    Raises
    ------
    ValueError
        If a value is out of range.
    """

    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        keep_number(self, "weight_decay", at_least=0.0)

    def apply_scaled(
        self,
        xp: Namespace,
        coefficients: Numbers,
        gradients: Tree,
        trees: Trees,
        parameters: Tree,
    ) -> tuple[Tree, Trees]:
        """Return the parameters, the mean and the mean square after one update."""
        rate = coefficients["rate"]
        parameters = shrink_weights(parameters, rate, self.weight_decay)
        return super().apply_scaled(xp, coefficients, gradients, trees, parameters)
