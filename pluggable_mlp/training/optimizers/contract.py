"""What the training loop asks of an optimizer, and what all that take gradient steps share.

An optimizer is a frozen set of hyperparameters with a pure pair, `init` and `update`.  Its state
is in two parts: numbers of the host (the count of steps, running products) and trees of arrays.
An update is `advance`, all that is computed of the numbers, on the host, and then `apply_scaled`,
array operations alone with no branch on a value: the part that a backend may compile as a whole.
A formula of one optimizer belongs in its own file.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple, Protocol, TypeAlias

from pluggable_mlp.arrays import Namespace
from pluggable_mlp.training.schedules import (
    LearningRate,
    Numbers,
    Schedule,
    as_learning_rate,
    scheduled_rate,
)
from pluggable_mlp.training.trees import Tree, map_arrays

__all__ = ["Descent", "GradientSteps", "Numbers", "Optimizer", "State", "Trees"]

Trees: TypeAlias = dict[str, Tree]


class State(NamedTuple):
    """What an optimizer remembers between two updates.

    Attributes
    ----------
    numbers : dict of int and float
        On the host; all of them JSON knows.
    trees : dict of lists of dicts of arrays
        Each structured as the parameters, or with some of their arrays.
    """

    numbers: Numbers
    trees: Trees


class Optimizer(Protocol):
    """What the training loop asks of an optimizer.

    Parameters, gradients and trees are lists with one dict of arrays per layer; the arrays are of
    any shape with the leading axes for independent networks.
    """

    def init(self, parameters: Tree) -> State:
        """Return the state before the first update."""

    def update(
        self, xp: Namespace, gradients: Tree, state: State, parameters: Tree
    ) -> tuple[Tree, State]:
        """Return the parameters and the state after one update."""

    def after_epoch(self, state: State, loss: float) -> State:
        """Return the state after an epoch of that mean training loss: for the plateau schedule."""


class GradientSteps(ABC):
    """An optimizer in the two parts that the module's docstring names."""

    @abstractmethod
    def initial_numbers(self) -> Numbers:
        """Return the numbers before the first update."""

    @abstractmethod
    def initial_trees(self, parameters: Tree) -> Trees:
        """Return the trees before the first update."""

    @abstractmethod
    def advance(self, numbers: Numbers) -> tuple[Numbers, Numbers]:
        """Return the coefficients of the next update, and the numbers after it."""

    def gradient_scale(self, coefficients: Numbers) -> float | None:
        """Return a factor that `apply_scaled` wants the gradients to have; None without any.

        The backward pass is linear: the factor given to the loss's small gradient reaches every
        parameter's, and spares a pass over all of them.
        """
        del coefficients
        return None

    @abstractmethod
    def apply_scaled(
        self,
        xp: Namespace,
        coefficients: Numbers,
        gradients: Tree,
        trees: Trees,
        parameters: Tree,
    ) -> tuple[Tree, Trees]:
        """Return the parameters and the trees after the update with these coefficients.

        The gradients are the loss's times `gradient_scale`; where that is not None they were made
        for this call, which may write over them.
        """

    def apply(
        self,
        xp: Namespace,
        coefficients: Numbers,
        gradients: Tree,
        trees: Trees,
        parameters: Tree,
    ) -> tuple[Tree, Trees]:
        """Return `apply_scaled` for the gradients of the loss itself."""
        scale = self.gradient_scale(coefficients)
        if scale is not None:
            gradients = map_arrays(lambda g: g * scale, gradients)
        return self.apply_scaled(xp, coefficients, gradients, trees, parameters)

    @abstractmethod
    def after_epoch(self, state: State, loss: float) -> State:
        """Return the state after an epoch of that mean training loss."""

    def init(self, parameters: Tree) -> State:
        """Return the state before the first update."""
        return State(self.initial_numbers(), self.initial_trees(parameters))

    def update(
        self, xp: Namespace, gradients: Tree, state: State, parameters: Tree
    ) -> tuple[Tree, State]:
        """Return the parameters and the state after one update.

        Raises
        ------
        ValueError
            If the gradients are not of these parameters.
        """
        _check_structure(gradients, parameters)
        coefficients, numbers = self.advance(state.numbers)
        parameters, trees = self.apply(xp, coefficients, gradients, state.trees, parameters)
        return parameters, State(numbers, trees)


def _check_structure(gradients: Tree, parameters: Tree) -> None:
    """Refuse gradients and parameters of different names: running statistics have no gradient."""
    names = [[sorted(layer) for layer in tree] for tree in (gradients, parameters)]
    if names[0] != names[1]:
        raise ValueError(
            f"gradients are of {names[0]}, parameters are {names[1]}, expected the same arrays; "
            "running statistics are not an optimizer's: take training_step, which moves them, too"
        )


class Descent(GradientSteps):
    """An optimizer with a learning rate, which is a number or a schedule."""

    learning_rate: LearningRate

    def __post_init__(self) -> None:
        object.__setattr__(self, "learning_rate", as_learning_rate(self.learning_rate))

    def initial_numbers(self) -> Numbers:
        """Return the count of steps, and what the schedule remembers."""
        rate = self.learning_rate
        return {"step": 0, **(rate.initial_numbers() if isinstance(rate, Schedule) else {})}

    def initial_trees(self, parameters: Tree) -> Trees:
        """Return {}: gradient descent of itself remembers no arrays."""
        del parameters
        return {}

    def advance(self, numbers: Numbers) -> tuple[Numbers, Numbers]:
        """Return {"rate": the learning rate}, and the numbers with one step more."""
        rate = scheduled_rate(self.learning_rate, numbers)
        return {"rate": rate}, {**numbers, "step": numbers["step"] + 1}

    def after_epoch(self, state: State, loss: float) -> State:
        """Return the state after an epoch of that mean training loss."""
        if isinstance(self.learning_rate, Schedule):
            return state._replace(numbers=self.learning_rate.after_epoch(state.numbers, loss))
        return state
