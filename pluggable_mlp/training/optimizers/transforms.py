"""Optimizers around another one: what all of them share; each formula belongs in its own file."""

from abc import abstractmethod

from pluggable_mlp.arrays import Namespace
from pluggable_mlp.training.optimizers.contract import GradientSteps, Numbers, State, Trees
from pluggable_mlp.training.trees import Tree

__all__ = ["GradientTransform", "Transform"]


class Transform(GradientSteps):
    """An optimizer around another: what it does not change is the inner one's."""

    optimizer: GradientSteps

    def __post_init__(self) -> None:
        if not isinstance(self.optimizer, GradientSteps):
            raise TypeError(
                f"optimizer is {self.optimizer!r}, expected one that takes gradient steps, such as "
                "SGD(0.1)"
            )

    def initial_numbers(self) -> Numbers:
        """Return the inner optimizer's."""
        return self.optimizer.initial_numbers()

    def initial_trees(self, parameters: Tree) -> Trees:
        """Return the inner optimizer's."""
        return self.optimizer.initial_trees(parameters)

    def advance(self, numbers: Numbers) -> tuple[Numbers, Numbers]:
        """Return the inner optimizer's."""
        return self.optimizer.advance(numbers)

    def after_epoch(self, state: State, loss: float) -> State:
        """Return the inner optimizer's."""
        return self.optimizer.after_epoch(state, loss)


class GradientTransform(Transform):
    """A transform that changes the gradients and leaves the step to the inner optimizer."""

    @abstractmethod
    def change(self, xp: Namespace, gradients: Tree, parameters: Tree) -> Tree:
        """Return the gradients for the inner optimizer."""

    def apply_scaled(
        self,
        xp: Namespace,
        coefficients: Numbers,
        gradients: Tree,
        trees: Trees,
        parameters: Tree,
    ) -> tuple[Tree, Trees]:
        """Return the inner optimizer's update with the changed gradients."""
        gradients = self.change(xp, gradients, parameters)
        return self.optimizer.apply(xp, coefficients, gradients, trees, parameters)
