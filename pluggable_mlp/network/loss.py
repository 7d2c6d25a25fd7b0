"""What a loss is: interface, targets, average over a batch.  The losses are in `losses.py`.

Shapes: z, the outputs of the network, and dz are (…, batch, outputs); targets t have that shape, or
(…, batch): class indices, or the targets of a single output; sample_weight is (…, batch); the
loss is (…), one number per network.  A loss is a frozen dataclass.  Called with (xp, z, targets,
sample_weight) it returns its value and its gradient, which need the same exponentials; `predict`
turns z into predictions, and `predict_proba` into probabilities of classes.
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, TypeAlias

from pluggable_mlp import special
from pluggable_mlp.arrays import Array, Namespace, by_columns, device_of, transpose
from pluggable_mlp.arrays.shortcuts import own
from pluggable_mlp.elementary.common import SMALLEST_NORMAL, type_name
from pluggable_mlp.fields import Component

LossFunction: TypeAlias = Callable[..., tuple[Array, Array]]

TargetKind = Literal["classes", "labels", "numbers", "counts"]
"""The kinds of targets: one of several classes (indices or rows of probabilities); 0 or 1 for
each output; numbers; numbers of at least 0."""


class Loss(Protocol):
    """The interface of a loss; a classification loss also has `predict_proba(xp, z)`."""

    targets: ClassVar[TargetKind]

    def __call__(
        self, xp: Namespace, z: Array, targets: Array, sample_weight: Array | None = None
    ) -> tuple[Array, Array]:
        """Return the loss (…) for z (…, batch, outputs), and its gradient dz.

        The loss is the weighted average over the batch, as in `numpy.average`: with l the losses
        of the examples and w their sample_weight (…, batch), sum(w l) / sum(w); by default the
        mean.
        """

    def predict(self, xp: Namespace, z: Array) -> Array:
        """Return the predictions for z (…, batch, outputs): classes, labels, rates or numbers."""


@dataclass(frozen=True)
class FunctionLoss:
    """A function as a loss of regression, whose predictions are z itself.

    Parameters
    ----------
    function : callable
        Takes (xp, z, targets, sample_weight), with rows of numbers as targets (…, batch, outputs);
        returns the loss (…) and dz (…, batch, outputs): see `average_of_elements`.
    """

    function: LossFunction
    targets: ClassVar[TargetKind] = "numbers"

    def __call__(
        self, xp: Namespace, z: Array, targets: Array, sample_weight: Array | None = None
    ) -> tuple[Array, Array]:
        """Return what the function returns."""
        return self.function(xp, z, targets, sample_weight)

    def predict(self, xp: Namespace, z: Array) -> Array:
        """Return z."""
        return z


def one_hot(xp: Namespace, targets: Array, like: Array) -> Array:
    """Return targets as rows (…, batch, classes) of the dtype of `like` (…, batch, classes).

    Integer class indices k (…, batch) become rows with 1 at k, counted from 0, and 0 elsewhere;
    floats are rows, and come back in that dtype.  Either may lack leading axes that `like` has.
    """
    if not xp.isdtype(targets.dtype, "real floating"):
        batch, count = like.shape[-2:]
        classes = xp.arange(count, dtype=targets.dtype, device=device_of(like))
        if own(xp, "affine") is None and by_columns(batch, count):  # as `special.affine` stores z
            targets = transpose(targets[..., None, :] == classes[:, None])
        else:
            targets = targets[..., None] == classes
    return xp.astype(targets, like.dtype, copy=False)


def rows(xp: Namespace, targets: Array, like: Array) -> Array:
    """Return targets as rows (…, batch, outputs) of the dtype of `like` (…, batch, outputs).

    For one output, (…, batch) becomes (…, batch, 1).
    """
    if targets.shape[-2:] != like.shape[-2:]:
        targets = xp.expand_dims(targets, axis=-1)
    return xp.astype(targets, like.dtype, copy=False)


def total_weight(xp: Namespace, sample_weight: Array | None) -> Array | None:
    """Return the sum (…) of the weights (…, batch) of a batch, if it has any."""
    return None if sample_weight is None else xp.sum(sample_weight, axis=-1)


def weighted_average(
    xp: Namespace, losses: Array, sample_weight: Array | None
) -> tuple[Array, Array | float]:
    """Return the average over the batch, and the share of each example in it.

    Parameters
    ----------
    xp
        The namespace of the arrays.
    losses : array (…, batch)
    sample_weight : array (…, batch) or None
        At least 0.  If the weights of a batch are all 0, or their sum is not a normal number, the
        average and the shares are 0 or close to it.

    Returns
    -------
    average : array (…)
        sum(w l) / sum(w), or the mean.
    share : array (…, batch) or float
        w / sum(w), or 1 / batch: the derivative of the average with respect to each loss.
    """
    if sample_weight is None:
        return special.mean(xp, losses, axis=-1), 1.0 / losses.shape[-1]
    share = shares(xp, sample_weight)
    return special.sum(xp, losses * share, axis=-1), share


def shares(xp: Namespace, sample_weight: Array) -> Array:
    """Return w / sum(w) of weights (…, batch): see `weighted_average`."""
    total = xp.sum(sample_weight, axis=-1, keepdims=True)
    usable = total >= SMALLEST_NORMAL[type_name(xp, total)]
    return sample_weight * (1.0 / xp.where(usable, total, 1.0))


def scaled(xp: Namespace, derivatives: Array, share: Array | float) -> Array:
    """Return derivatives (…, batch, outputs) times each example's share, (…, batch) or float."""
    if not isinstance(share, float):
        share = xp.expand_dims(share, axis=-1)
    return derivatives * share


def average_of_elements(
    xp: Namespace, values: Array, derivatives: Array, sample_weight: Array | None
) -> tuple[Array, Array]:
    """Return the loss and dz if an example's loss is the mean over its outputs.

    Parameters
    ----------
    xp : namespace
        That of the arrays.
    values, derivatives : array (…, batch, outputs)
        The loss of each output, and its derivative with respect to that output.
    sample_weight : array (…, batch) or None
        The weight of each example; None for equal ones.

    Returns
    -------
    loss : array (…)
    dz : array (…, batch, outputs)
        derivatives · share / outputs.

    See Also
    --------
    MLP : Takes a function that returns this as its loss.

    Examples
    --------
    >>> import numpy as np
    >>> from pluggable_mlp import average_of_elements
    >>> d = np.asarray([[1.0], [3.0]])
    >>> loss, dz = average_of_elements(np, d**4, 4 * d**3, None)
    >>> float(loss), dz.tolist()
    (41.0, [[2.0], [54.0]])
    """
    loss, share = weighted_average(xp, special.mean(xp, values, axis=-1), sample_weight)
    outputs = values.shape[-1]
    if isinstance(share, float):
        return loss, derivatives * (share / outputs)
    return loss, scaled(xp, derivatives, share * (1.0 / outputs))


@dataclass(frozen=True)
class ElementwiseLoss(Component):
    """Base of losses that are the mean of a function of each output of an example.

    Each docstring gives the loss l of one output z with the target t, and its derivative l'; d is
    z - t.  Losses of numbers predict the outputs themselves.
    """

    targets: ClassVar[TargetKind] = "numbers"

    @abstractmethod
    def elements(self, xp: Namespace, z: Array, t: Array) -> tuple[Array, Array]:
        """Return l and l' for each output, both (…, batch, outputs) as z and t."""

    def __call__(
        self, xp: Namespace, z: Array, targets: Array, sample_weight: Array | None = None
    ) -> tuple[Array, Array]:
        """Return the loss (…) and dz (…, batch, outputs)."""
        values, derivatives = self.elements(xp, z, rows(xp, targets, z))
        return average_of_elements(xp, values, derivatives, sample_weight)

    def predict(self, xp: Namespace, z: Array) -> Array:
        """Return z (…, batch, outputs)."""
        return z
