"""What a loss is: interface, targets, average over a batch; and the losses of classifiers.

`SoftmaxCrossEntropy` and `SigmoidCrossEntropy` are here, losses of numbers and the table of all
losses by name in `losses.py`.

Shapes: z, the outputs of the network, and dz are (…, batch, outputs); targets t have that shape, or
(…, batch): class indices, or the targets of a single output; sample_weight is (…, batch); the
loss is (…), one number per network.  A loss is a frozen dataclass.  Called with (xp, z, targets,
sample_weight) it returns its value and its gradient, which need the same exponentials; `predict`
turns z into predictions, and `predict_proba` into probabilities of classes.  Cross-entropies take
logits and are stable for any finite ones: no exponent is above 0.
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, TypeAlias

from pluggable_mlp import special
from pluggable_mlp.arrays import Array, Namespace, by_columns, device_of, transpose
from pluggable_mlp.elementary.common import SMALLEST_NORMAL, type_name
from pluggable_mlp.fields import BelowOne, Component
from pluggable_mlp.shortcuts import largest

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
        if by_columns(batch, count):  # as outputs mostly are
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


@dataclass(frozen=True)
class SoftmaxCrossEntropy(Component):
    """The mean of -log softmax(z)[target]: one class of several.

    With s = z - max(z) and t the target row, an example's loss and its derivative are

        l    = log(sum exp(s)) - sum s t
        l'   = softmax(z) - t

    since the derivative of log(sum exp(s)) is softmax(z) (the maximum cancels, as the row t
    sums to one).  Targets are class indices from 0, integers (…, batch), or rows of
    probabilities (…, batch, classes).

    Parameters
    ----------
    label_smoothing : float, default 0.0
        e of Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, "Rethinking the Inception architecture"
        (CVPR 2016), section 7: t becomes (1 - e) t + e / classes.  From 0 to 1, without 1.

    Raises
    ------
    ValueError
        If label_smoothing is out of its range.

    See Also
    --------
    torch.nn.CrossEntropyLoss, sklearn.metrics.log_loss

    Examples
    --------
    >>> import numpy as np
    >>> from pluggable_mlp import SoftmaxCrossEntropy
    >>> loss, dz = SoftmaxCrossEntropy()(np, np.asarray([[0.0, 0.0]]), np.asarray([0]))
    >>> round(float(loss), 4), dz.tolist()
    (0.6931, [[-0.5, 0.5]])
    """

    label_smoothing: BelowOne = 0.0
    targets: ClassVar[TargetKind] = "classes"

    def __call__(
        self, xp: Namespace, z: Array, targets: Array, sample_weight: Array | None = None
    ) -> tuple[Array, Array]:
        """Return the loss (…) and dz (…, batch, classes)."""
        t = one_hot(xp, targets, z)
        if self.label_smoothing:
            t = t * (1.0 - self.label_smoothing) + self.label_smoothing / t.shape[-1]
        s = z - largest(xp, z, -1)
        exponentials = xp.exp(s)
        total = special.sum(xp, exponentials, -1, keepdims=True)
        losses = xp.log(total[..., 0]) - special.sum(xp, s * t, -1)
        loss, share = weighted_average(xp, losses, sample_weight)
        return loss, scaled(xp, exponentials * (1.0 / total) - t, share)

    def predict(self, xp: Namespace, z: Array) -> Array:
        """Return the class with the largest logit, the first of equal ones: (…, batch)."""
        return xp.argmax(z, axis=-1)

    def predict_proba(self, xp: Namespace, z: Array) -> Array:
        """Return the probability of each class, both (…, batch, classes)."""
        return special.softmax(xp, z)


class SigmoidCrossEntropy(ElementwiseLoss):
    """The mean of -t log p - (1 - t) log(1 - p) with p = sigmoid(z): yes or no, per output.

    With one output it is binary classification, with several multilabel.  As log p is
    -softplus(-z) and log(1 - p) is -softplus(z),

        l    = softplus(z) - t z = softplus(-|z|) + (max(z, 0) - t z)
        l'   = sigmoid(z) - t

    and the last form of l loses nothing to cancellation.  An example's loss is the mean over
    its outputs, as in PyTorch and Keras (scikit-learn's network sums them).  Targets are rows
    (…, batch, outputs) from 0 to 1; (…, batch) will do for one output.

    See Also
    --------
    torch.nn.BCEWithLogitsLoss, optax.sigmoid_binary_cross_entropy

    Examples
    --------
    >>> import numpy as np
    >>> from pluggable_mlp import SigmoidCrossEntropy
    >>> loss, dz = SigmoidCrossEntropy()(np, np.asarray([[0.0]]), np.asarray([[1.0]]))
    >>> round(float(loss), 4), dz.tolist()
    (0.6931, [[-0.5]])
    """

    targets: ClassVar[TargetKind] = "labels"

    def elements(self, xp: Namespace, z: Array, t: Array) -> tuple[Array, Array]:
        """Return l and l' for each output, both (…, batch, outputs)."""
        values = special.softplus(xp, -xp.abs(z)) + (xp.maximum(z, 0.0) - t * z)
        return values, special.sigmoid(xp, z) - t

    def predict(self, xp: Namespace, z: Array) -> Array:
        """Return 1 where the probability is above 1/2, else 0, both (…, batch, outputs)."""
        return xp.astype(z > 0.0, xp.int64)

    def predict_proba(self, xp: Namespace, z: Array) -> Array:
        """Return the probability of the label 1 for each output, both (…, batch, outputs)."""
        return special.sigmoid(xp, z)
