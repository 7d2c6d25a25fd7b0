"""Clipping: gradients whose norm is too large are scaled down, all by one factor."""

from dataclasses import dataclass

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.registry import keep_number
from pluggable_mlp.training.optimizers.contract import GradientSteps
from pluggable_mlp.training.optimizers.transforms import GradientTransform
from pluggable_mlp.training.trees import Tree, core_axes

__all__ = ["ClipByGlobalNorm", "global_norm"]


def global_norm(xp: Namespace, gradients: Tree) -> Array:
    """Return the Euclidean norm of all gradients of a network together, (…): one a network.

    A square too small for the arithmetic counts as 0, one too large makes the norm infinite.
    """
    total: Array = 0.0
    for layer in gradients:
        for name, g in layer.items():
            square = g * g
            for _ in range(core_axes(name)):
                square = xp.sum(square, axis=-1)
            total = total + square
    return xp.sqrt(total)


@dataclass(frozen=True)
class ClipByGlobalNorm(GradientTransform):
    """Gradients of a network with a norm above clip_norm are multiplied by clip_norm / norm.

    Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural networks" (2013),
    algorithm 1, over all arrays together, as in optax; torch's clip_grad_norm_ adds 1e-6 to the
    norm.  Networks along leading axes are clipped each by its own norm.  Where the norm is
    infinite, finite gradients become 0.

    Parameters
    ----------
    optimizer : GradientSteps
        What takes the step with these gradients.
    clip_norm : float
        At least 1e-30.
    """

    optimizer: GradientSteps
    clip_norm: float

    def __post_init__(self) -> None:
        super().__post_init__()
        keep_number(self, "clip_norm", at_least=1e-30)

    def change(self, xp: Namespace, gradients: Tree, parameters: Tree) -> Tree:
        """Return the gradients, each network's times one factor of at most 1."""
        del parameters
        norm = global_norm(xp, gradients)
        # The selection keeps a norm of 0 away from the reciprocal.
        large = norm > self.clip_norm
        factor = xp.where(large, (1.0 / xp.where(large, norm, 1.0)) * self.clip_norm, 1.0)

        def scale(name: str, g: Array) -> Array:
            broadcast = factor
            for _ in range(core_axes(name)):
                broadcast = xp.expand_dims(broadcast, axis=-1)
            return g * broadcast

        return [{name: scale(name, g) for name, g in of.items()} for of in gradients]
