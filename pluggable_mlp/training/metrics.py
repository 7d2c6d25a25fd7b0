"""Metrics: how good predictions are, computed on the device, read by the caller.

Shapes: z, the network's outputs, are (…, batch, outputs), predictions have that shape; labels are
(…, batch) integers or rows (…, batch, outputs); a metric is (…), one number per network, but
`confusion_matrix` is (…, classes, classes).  What a run reports is chosen in the loop.
"""

from pluggable_mlp import special
from pluggable_mlp.arrays import Array, Namespace, transpose
from pluggable_mlp.network.targets import rows

__all__ = [
    "accuracy",
    "confusion_matrix",
    "correct_labels",
    "correct_predictions",
    "macro_f1",
    "mean_absolute_error",
    "r2",
    "top_k_accuracy",
]


def correct_predictions(xp: Namespace, logits: Array, labels: Array) -> Array:
    """Return how many examples have their largest logit at the label: (…), int64."""
    if labels.ndim == logits.ndim:
        labels = xp.argmax(labels, axis=-1)
    right = xp.argmax(logits, axis=-1) == labels
    return xp.sum(xp.astype(right, xp.int64), axis=-1)


def correct_labels(xp: Namespace, logits: Array, labels: Array) -> Array:
    """Return how many examples have all their yes-or-no labels right: (…), int64.

    A logit above 0, a probability above 1/2, says yes.  labels: (…, batch, outputs), or (…, batch)
    for one output.
    """
    if labels.shape[-2:] != logits.shape[-2:]:
        labels = xp.expand_dims(labels, axis=-1)
    right = (logits > 0.0) == (xp.astype(labels, logits.dtype) > 0.5)
    return xp.sum(xp.astype(xp.all(right, axis=-1), xp.int64), axis=-1)


def accuracy(xp: Namespace, logits: Array, labels: Array) -> Array:
    """Return the share of examples whose largest logit is at the label, (…)."""
    return top_k_accuracy(xp, logits, labels, 1)


def top_k_accuracy(xp: Namespace, logits: Array, labels: Array, k: int) -> Array:
    """Return the share of examples whose label is among the k largest logits.

    Of equal logits the first counts as the larger one, as for argmax.  NaN is never right.

    Parameters
    ----------
    xp
        The namespace of the arrays.
    logits : array (…, batch, classes)
    labels : array (…, batch) of integers, or (…, batch, classes)
    k : int
        From 1 to the number of classes.

    Returns
    -------
    array (…), of the dtype of the logits

    Raises
    ------
    ValueError
        If k is out of its range.
    """
    classes = logits.shape[-1]
    if not 1 <= k <= classes:
        raise ValueError(f"k is {k}, expected 1 to {classes}, the number of classes")
    if labels.ndim == logits.ndim:
        labels = xp.argmax(labels, axis=-1)
    index = xp.expand_dims(xp.astype(labels, xp.int64), axis=-1)
    own = xp.take_along_axis(logits, index, axis=-1)
    places = xp.arange(classes, dtype=xp.int64, device=logits.device)
    behind = (logits < own) | ((logits == own) & (places >= index))
    ahead = xp.sum(xp.astype(~behind, xp.int64), axis=-1)
    return xp.mean(xp.astype(ahead < k, logits.dtype), axis=-1)


def confusion_matrix(xp: Namespace, predicted: Array, labels: Array, classes: int) -> Array:
    """Return how often class i was predicted as class j: (…, classes, classes), int64.

    Parameters
    ----------
    xp
        The namespace.
    predicted, labels : array (…, batch) of integers
        Class indices from 0.
    classes : int
    """
    places = xp.arange(classes, dtype=xp.int64, device=labels.device)
    rows_of = [
        xp.astype(xp.expand_dims(xp.astype(of, xp.int64), axis=-1) == places, xp.float64)
        for of in (labels, predicted)
    ]
    # Sums of ones are exact in float64, in any order; products of integers are not on every device.
    return xp.astype(xp.matmul(transpose(rows_of[0]), rows_of[1]), xp.int64)


def macro_f1(xp: Namespace, confusion: Array) -> Array:
    """Return the mean over the classes of F1 = 2 TP / (2 TP + FP + FN), (…), float64.

    TP, FP, FN: true positives, false positives and false negatives of a class, from a confusion
    matrix (…, classes, classes).  A class that neither occurs nor is predicted does not count, as
    in scikit-learn.
    """
    counts = xp.astype(confusion, xp.float64)
    identity = xp.eye(counts.shape[-1], dtype=xp.float64, device=confusion.device)
    hits = xp.sum(counts * identity, axis=-1)
    total = xp.sum(counts, axis=-1) + xp.sum(counts, axis=-2)
    present = total > 0.0
    scores = (hits + hits) * (1.0 / xp.where(present, total, 1.0))
    number = xp.sum(xp.astype(present, xp.float64), axis=-1)
    return xp.sum(scores, axis=-1) * (1.0 / number)


def mean_absolute_error(xp: Namespace, predictions: Array, targets: Array) -> Array:
    """Return the mean of |prediction - target| over examples and outputs, (…).

    predictions (…, batch, outputs); targets likewise, or (…, batch) for one output.
    """
    errors = xp.abs(predictions - rows(xp, targets, predictions))
    return special.mean(xp, special.mean(xp, errors, axis=-1), axis=-1)


def r2(xp: Namespace, predictions: Array, targets: Array) -> Array:
    """Return the mean over the outputs of R² = 1 - sum (y - t)² / sum (t - mean t)², (…).

    predictions y (…, batch, outputs); targets t likewise, or (…, batch) for one output.  Where all
    targets are equal R² is 1 for perfect predictions and else 0, as in scikit-learn.
    """
    t = rows(xp, targets, predictions)
    residual = _sum_of_squares(xp, predictions - t)
    total = _sum_of_squares(xp, t - xp.mean(t, axis=-2, keepdims=True))
    varied = total > 0.0
    ratio = residual * (1.0 / xp.where(varied, total, 1.0))
    constant = xp.astype(residual > 0.0, t.dtype)
    return special.mean(xp, 1.0 - xp.where(varied, ratio, constant), axis=-1)


def _sum_of_squares(xp: Namespace, x: Array) -> Array:
    return xp.sum(x * x, axis=-2)
