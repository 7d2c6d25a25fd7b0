"""The estimators' objective: scikit-learn's losses plus its L2 penalty.

Shapes: z, dz (…, batch, outputs), sample_weight (…, batch), W (…, in, out).  The losses differ
from those of `network/losses.py` only in scale.
"""

from dataclasses import dataclass, replace
from typing import Any, Self, cast

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.arrays.shortcuts import vecdot
from pluggable_mlp.network.layers import Rng, Seed
from pluggable_mlp.network.loss import Loss, TargetKind
from pluggable_mlp.network.members import average_of_members
from pluggable_mlp.network.mlp import MLP
from pluggable_mlp.network.parameters import Parameters


@dataclass(frozen=True)
class ScaledLoss:
    """A loss times a factor, and its gradient likewise.

    scikit-learn's network sums over the outputs, while `network/losses.py` takes the mean, and it
    halves the squared error.
    """

    loss: Loss
    factor: float

    @property
    def targets(self) -> TargetKind:
        """The kind of targets that the loss takes."""
        return self.loss.targets

    def __call__(
        self, xp: Namespace, z: Array, targets: Array, sample_weight: Array | None = None
    ) -> tuple[Array, Array]:
        """Return the loss (…) and dz (…, batch, outputs)."""
        loss, dz = self.loss(xp, z, targets, sample_weight)
        return loss * self.factor, dz * self.factor

    def predict(self, xp: Namespace, z: Array) -> Array:
        """Return the predictions of the loss."""
        return self.loss.predict(xp, z)

    def predict_proba(self, xp: Namespace, z: Array) -> Array:
        """Return the probabilities; the loss must be for classes or labels."""
        loss: Any = self.loss
        return loss.predict_proba(xp, z)


def scale_loss(loss: Loss, factor: float) -> Loss:
    """Return a loss times a factor, or the loss itself if the factor is 1."""
    return loss if factor == 1.0 else cast("Loss", ScaledLoss(loss, factor))


@dataclass(frozen=True)
class PenalizedMLP(MLP):
    """A multilayer perceptron whose loss includes scikit-learn's L2 penalty.

    Leading axes of the parameters are independent networks.  The loss of a batch of n
    examples becomes l + alpha/2 |W|² / n, over all matrices W, and so dW becomes dW + alpha W / n.
    With sample_weight, n is the sum of the batch's weights.

    Parameters
    ----------
    alpha : float, default 0.0
        At least 0; the other parameters are those of `MLP`.
    """

    alpha: float = 0.0

    @property
    def general(self) -> Self:
        """The network with a fixed alpha: each step gets its actual alpha among its numbers."""
        return self if self.alpha == 0.0 else replace(self, alpha=1.0)

    def numbers_at(self, t: Seed) -> tuple[float, ...]:
        """Return alpha, unless it is 0."""
        return () if self.alpha == 0.0 else (self.alpha,)

    def evaluate(self, xp: Namespace, parameters: Parameters, x: Array) -> Array:
        """Return outputs (batch, outputs) that predict the mean of the networks' predictions."""
        z = super().evaluate(xp, parameters, x)
        if z.ndim == 2:
            return z
        return average_of_members(xp, self.objective.targets, z, z.shape[-3])

    def loss_gradients_and_buffers(
        self,
        xp: Namespace,
        parameters: Parameters,
        buffers: Parameters,
        x: Array,
        targets: Array,
        sample_weight: Array | None = None,
        rng: Rng | None = None,
        gradient_scale: float | Array | None = None,
    ) -> tuple[Array, Parameters, Parameters]:
        """Do the same as `MLP`, for the penalized loss (…) of a whole batch."""
        loss, gradients, moved = super().loss_gradients_and_buffers(
            xp, parameters, buffers, x, targets, sample_weight, rng, gradient_scale
        )
        if self.alpha == 0.0:
            return loss, gradients, moved
        alpha = rng.numbers[0] if rng is not None and rng.numbers else self.alpha
        if sample_weight is None:
            factor: Array = alpha / x.shape[-2]
        else:
            total = xp.sum(sample_weight, axis=-1)
            factor = alpha * (1.0 / xp.where(total > 0.0, total, 1.0))
        of_gradients = factor if gradient_scale is None else factor * gradient_scale
        squares = None
        for layer, of_layer in zip(parameters, gradients, strict=True):
            if "W" in layer:
                W = layer["W"]
                flat = xp.reshape(W, (*W.shape[:-2], -1))
                square = vecdot(xp, flat, flat)
                squares = square if squares is None else squares + square
                of_layer["W"] += W * of_gradients
        return loss + squares * (0.5 * factor), gradients, moved


def loss_and_outputs(
    xp: Namespace, network: PenalizedMLP, parameters: Parameters, x: Array, *truth: Array
) -> tuple[Array, Array]:
    """Return the loss () without the penalty, and the outputs (batch, outputs).

    The truth is the targets, and the weights or None.
    """
    z = network.evaluate(xp, parameters, x)
    return network.objective(xp, z, *truth)[0], z
