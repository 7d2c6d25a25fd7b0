"""What a loss is, and the averages that every loss takes; the losses are in the files beside.

Shapes: z, the network's outputs, and dz are (…, batch, outputs); sample_weight is (…, batch); the
loss is (…), one number per network.
"""

from typing import ClassVar, Literal, Protocol

from pluggable_mlp import special
from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.namespaces.reproducible.rounding import SMALLEST_NORMAL, type_name

__all__ = ["Loss", "TargetKind", "average_of_elements", "scaled", "weighted_average"]

TargetKind = Literal["classes", "labels", "numbers", "counts"]
"""What a loss is told: one class of several (indices or rows of probabilities); yes or no for
each output; numbers; numbers of at least 0."""


class Loss(Protocol):
    """What training makes small: a frozen set of hyperparameters, called on the outputs."""

    targets: ClassVar[TargetKind]

    def __call__(
        self, xp: Namespace, z: Array, targets: Array, sample_weight: Array | None = None
    ) -> tuple[Array, Array]:
        """Return the loss (…) for z (…, batch, outputs), and its gradient dz.

        It is the weighted average over the batch, as `numpy.average` takes it: with l the losses
        of the examples and w their sample_weight (…, batch), sum(w l) / sum(w); the mean without.
        """

    def predict(self, xp: Namespace, z: Array) -> Array:
        """Return what z (…, batch, outputs) predicts: probabilities, rates or numbers."""


def weighted_average(
    xp: Namespace, losses: Array, sample_weight: Array | None
) -> tuple[Array, Array | float]:
    """Return the average over the batch, and each example's share in it.

    Parameters
    ----------
    xp
        The namespace of the arrays.
    losses : array (…, batch)
    sample_weight : array (…, batch) or None
        At least 0.  Where all of a batch are 0, or so small that their sum is not a normal number,
        its average is 0 (or next to it), and so are the shares.

    Returns
    -------
    average : array (…)
        sum(w l) / sum(w), or the mean.
    share : array (…, batch) or float
        w / sum(w), or 1 / batch: the derivative of the average with respect to each loss.
    """
    if sample_weight is None:
        return special.mean(xp, losses, axis=-1), 1.0 / losses.shape[-1]
    total = xp.sum(sample_weight, axis=-1, keepdims=True)
    usable = total >= SMALLEST_NORMAL[type_name(xp, total)]
    share = sample_weight * (1.0 / xp.where(usable, total, 1.0))
    return special.sum(xp, losses * share, axis=-1), share


def scaled(xp: Namespace, derivatives: Array, share: Array | float) -> Array:
    """Return derivatives (…, batch, outputs) times each example's share, (…, batch) or float."""
    if not isinstance(share, float):
        share = xp.expand_dims(share, axis=-1)
    return derivatives * share


def average_of_elements(
    xp: Namespace, values: Array, derivatives: Array, sample_weight: Array | None
) -> tuple[Array, Array]:
    """Return the loss and dz where an example's loss is the mean over its outputs.

    Parameters
    ----------
    xp
        The namespace of the arrays.
    values, derivatives : array (…, batch, outputs)
        The loss of each output, and its derivative with respect to that output.
    sample_weight : array (…, batch) or None

    Returns
    -------
    loss : array (…)
    dz : array (…, batch, outputs)
        derivatives · share / outputs.
    """
    loss, share = weighted_average(xp, special.mean(xp, values, axis=-1), sample_weight)
    outputs = values.shape[-1]
    if isinstance(share, float):
        return loss, derivatives * (share / outputs)
    return loss, scaled(xp, derivatives, share * (1.0 / outputs))
