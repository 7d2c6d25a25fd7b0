"""What a loss is, and the averages that every loss takes; the losses are in the files beside.

Shapes: z, the network's outputs, and dz are (…, batch, outputs); weights are (…, batch); the
loss is (…), one number a network.
"""

from typing import ClassVar, Literal, Protocol

from pluggable_mlp.arithmetic import Arithmetic
from pluggable_mlp.arithmetic.reproducible.rounding import SMALLEST_NORMAL, type_name
from pluggable_mlp.arrays import Array

__all__ = ["Loss", "TargetKind", "average_of_elements", "scaled", "weighted_average"]

TargetKind = Literal["classes", "labels", "numbers", "counts"]
"""What a loss is told: one class of several (indices or rows of probabilities); yes or no for
each output; numbers; numbers of at least 0."""


class Loss(Protocol):
    """What training makes small: a frozen set of hyperparameters, called on the outputs."""

    targets: ClassVar[TargetKind]

    def __call__(
        self, arithmetic: Arithmetic, z: Array, targets: Array, weights: Array | None = None
    ) -> tuple[Array, Array]:
        """Return the loss (…) for z (…, batch, outputs), and its gradient dz.

        It is the weighted average over the batch, as `numpy.average` takes it: with l the losses
        of the examples and w their weights (…, batch), sum(w l) / sum(w); the mean without.
        """

    def predict(self, arithmetic: Arithmetic, z: Array) -> Array:
        """Return what z (…, batch, outputs) predicts: probabilities, rates or numbers."""


def weighted_average(
    arithmetic: Arithmetic, losses: Array, weights: Array | None
) -> tuple[Array, Array | float]:
    """Return the average over the batch, and each example's share in it.

    Parameters
    ----------
    arithmetic
        How to round.
    losses : array (…, batch)
    weights : array (…, batch) or None
        At least 0.  Where all of a batch are 0, or so small that their sum is no normal number,
        its average is 0 (or next to it), and so are the shares.

    Returns
    -------
    average : array (…)
        sum(w l) / sum(w), or the mean.
    share : array (…, batch) or float
        w / sum(w), or 1 / batch: the derivative of the average with respect to each loss.
    """
    if weights is None:
        return arithmetic.mean(losses, axis=-1), 1.0 / losses.shape[-1]
    total = arithmetic.sum(weights, axis=-1, keepdims=True)
    usable = total >= SMALLEST_NORMAL[type_name(arithmetic.xp, total)]
    inverse = arithmetic.reciprocal(arithmetic.xp.where(usable, total, 1.0))
    share = arithmetic.multiply(weights, inverse)
    return arithmetic.sum(arithmetic.multiply(losses, share), axis=-1), share


def scaled(arithmetic: Arithmetic, derivatives: Array, share: Array | float) -> Array:
    """Return derivatives (…, batch, outputs) times each example's share, (…, batch) or float."""
    if not isinstance(share, float):
        share = arithmetic.xp.expand_dims(share, axis=-1)
    return arithmetic.multiply(derivatives, share)


def average_of_elements(
    arithmetic: Arithmetic, values: Array, derivatives: Array, weights: Array | None
) -> tuple[Array, Array]:
    """Return the loss and dz where an example's loss is the mean over its outputs.

    Parameters
    ----------
    arithmetic
        How to round.
    values, derivatives : array (…, batch, outputs)
        The loss of each output, and its derivative with respect to that output.
    weights : array (…, batch) or None

    Returns
    -------
    loss : array (…)
    dz : array (…, batch, outputs)
        derivatives · share / outputs.
    """
    losses = arithmetic.mean(values, axis=-1)
    loss, share = weighted_average(arithmetic, losses, weights)
    outputs = values.shape[-1]
    if isinstance(share, float):
        return loss, arithmetic.multiply(derivatives, share / outputs)
    return loss, scaled(arithmetic, derivatives, arithmetic.multiply(share, 1.0 / outputs))
