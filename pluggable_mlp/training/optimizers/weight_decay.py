"""Small weights: decay that is part of the gradient (L2, L1), and decay beside it.

Only the matrices "W" (…, in, out) are meant: biases, gains and shifts (…, out) stay as they are,
as in scikit-learn; torch.optim decays all that it is given.
"""

from dataclasses import dataclass

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.registry import keep_number
from pluggable_mlp.shortcuts import sign
from pluggable_mlp.training.optimizers.contract import GradientSteps
from pluggable_mlp.training.optimizers.transforms import GradientTransform
from pluggable_mlp.training.trees import Tree, map_weights

__all__ = ["L1", "L2", "shrink_weights"]


def shrink_weights(parameters: Tree, rate: float, weight_decay: float) -> Tree:
    """Return the parameters with every W multiplied by 1 - rate weight_decay: decoupled decay.

    Loshchilov and Hutter, "Decoupled weight decay regularization" (2019).
    """
    kept = 1.0 - rate * weight_decay
    return map_weights(lambda W: W * kept, parameters)


@dataclass(frozen=True)
class L2(GradientTransform):
    """The gradient of weight_decay/2 |W|^2 is added: dW becomes dW + weight_decay W.

    Weight decay as SGD, RMSprop and Adam of torch.optim know it.  The loss that is reported
    does not include the term.

    Parameters
    ----------
    optimizer : GradientSteps
        What takes the step with these gradients.
    weight_decay : float
        At least 0.
    """

    optimizer: GradientSteps
    weight_decay: float

    def __post_init__(self) -> None:
        super().__post_init__()
        keep_number(self, "weight_decay", at_least=0.0)

    def change(self, xp: Namespace, gradients: Tree, parameters: Tree) -> Tree:
        """Return dW + weight_decay W, and the other gradients as they are."""
        del xp

        def add(dW: Array, W: Array) -> Array:
            total = W * self.weight_decay
            total += dW
            return total

        return map_weights(add, gradients, parameters)


@dataclass(frozen=True)
class L1(GradientTransform):
    """A subgradient of l1 |W|_1 is added: dW becomes dW + l1 sign(W), with sign(0) = 0.

    Weights come near 0 and cross it; they are not cut off at 0, as a proximal step would.  The
    loss that is reported does not include the term.

    Parameters
    ----------
    optimizer : GradientSteps
        What takes the step with these gradients.
    l1 : float
        At least 0.
    """

    optimizer: GradientSteps
    l1: float

    def __post_init__(self) -> None:
        super().__post_init__()
        keep_number(self, "l1", at_least=0.0)

    def change(self, xp: Namespace, gradients: Tree, parameters: Tree) -> Tree:
        """Return dW + l1 sign(W), and the other gradients as they are."""

        def add(dW: Array, W: Array) -> Array:
            total = sign(xp, W) * self.l1
            total += dW
            return total

        return map_weights(add, gradients, parameters)
