"""Stochastic gradient descent, plain, with momentum, or with Nesterov's; no other optimizer."""

from collections.abc import Callable
from dataclasses import dataclass

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.registry import as_flag, keep_number
from pluggable_mlp.training.optimizers.contract import Descent, Numbers, Trees
from pluggable_mlp.training.schedules import LearningRate
from pluggable_mlp.training.trees import Tree, map_arrays, zeros_like

__all__ = ["SGD"]


@dataclass(frozen=True)
class SGD(Descent):
    """Stochastic gradient descent: w becomes w - learning_rate d, with

        d = g                  for momentum mu = 0
        v = mu v + g,  d = v   with momentum (Polyak 1964)
        d = g + mu v           with Nesterov's momentum, v as before

    for every parameter w and its gradient g.  The variant is that of torch.optim (dampening 0):
    the learning rate stands outside of v.  In Sutskever et al., "On the importance of
    initialization and momentum in deep learning" (2013), and in Keras it is part of v, which
    differs once it changes.

    Parameters
    ----------
    learning_rate : float, Schedule or callable, default 0.1
        The factor of the step, at least 0.
    momentum : float, default 0.0
        mu, at least 0 and below 1.
    nesterov : bool, default False
        With Nesterov's momentum; needs a momentum above 0.

    Raises
    ------
    ValueError
        If a value is out of range.
    """

    learning_rate: LearningRate = 0.1
    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        keep_number(self, "momentum", at_least=0.0, below=1.0)
        as_flag("nesterov", self.nesterov)
        if self.nesterov and self.momentum == 0.0:
            raise ValueError("nesterov is True, but momentum is 0; expected one above 0, as 0.9")

    def initial_trees(self, parameters: Tree) -> Trees:
        """Return {"velocity": zeros}, or {} without momentum."""
        return {"velocity": zeros_like(parameters)} if self.momentum else {}

    def gradient_scale(self, coefficients: Numbers) -> float | None:
        """Return -learning_rate without momentum: what is left to do is w + g."""
        return None if self.momentum else -coefficients["rate"]

    def apply(
        self,
        xp: Namespace,
        coefficients: Numbers,
        gradients: Tree,
        trees: Trees,
        parameters: Tree,
    ) -> tuple[Tree, Trees]:
        """Return the update with the gradients of the loss itself: one new array a parameter."""
        if self.momentum:
            return self.apply_scaled(xp, coefficients, gradients, trees, parameters)
        descend = _descent(coefficients["rate"])
        return map_arrays(descend, parameters, gradients), trees

    def apply_scaled(
        self,
        xp: Namespace,
        coefficients: Numbers,
        gradients: Tree,
        trees: Trees,
        parameters: Tree,
    ) -> tuple[Tree, Trees]:
        """Return the parameters and the velocity after one update."""
        del xp
        momentum = self.momentum
        if not momentum:

            def add(w: Array, g: Array) -> Array:
                g += w  # may write over g: that is quicker than to fetch memory for a sum
                return g

            return map_arrays(add, parameters, gradients), trees

        def accelerate(v: Array, g: Array) -> Array:
            v = v * momentum
            v += g
            return v

        velocity = map_arrays(accelerate, trees["velocity"], gradients)
        # Nesterov's g + mu v has the form of v's own update.
        direction = map_arrays(accelerate, velocity, gradients) if self.nesterov else velocity
        descend = _descent(coefficients["rate"])
        return map_arrays(descend, parameters, direction), {"velocity": velocity}


def _descent(rate: float) -> Callable[[Array, Array], Array]:
    """Return the function that makes w - rate d of a parameter w and its direction d."""

    def descend(w: Array, d: Array) -> Array:
        update = d * -rate
        update += w
        return update

    return descend
