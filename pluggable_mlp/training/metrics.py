"""Metrics of predictions, computed on the device.

Shapes: z, the outputs of the network, and predictions are (…, batch, outputs); targets are
(…, batch) integers or rows (…, batch, outputs); a metric is (…), one number per network;
correctness is (…, batch).
"""

from pluggable_mlp import special
from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.network.loss import rows, shares, weighted_average


def correct_predictions(xp: Namespace, logits: Array, targets: Array) -> Array:
    """Return whether the largest logit of each example is that of its label: (…, batch)."""
    if targets.ndim == logits.ndim:
        targets = xp.argmax(targets, axis=-1)
    return xp.argmax(logits, axis=-1) == targets


def correct_labels(xp: Namespace, logits: Array, targets: Array) -> Array:
    """Return whether all labels of each example are right: (…, batch).

    A logit above 0, a probability above 1/2, means yes.  targets: (…, batch, outputs), or
    (…, batch) for one output.
    """
    if targets.shape[-2:] != logits.shape[-2:]:
        targets = xp.expand_dims(targets, axis=-1)
    right = (logits > 0.0) == (xp.astype(targets, logits.dtype) > 0.5)
    return xp.all(right, axis=-1)


def mean_absolute_error(
    xp: Namespace, predictions: Array, targets: Array, sample_weight: Array | None = None
) -> Array:
    """Return the mean of |prediction - target| over examples and outputs, (…).

    predictions (…, batch, outputs); targets likewise, or (…, batch) for one output; sample_weight
    (…, batch).
    """
    errors = xp.abs(predictions - rows(xp, targets, predictions))
    average, _ = weighted_average(xp, special.mean(xp, errors, axis=-1), sample_weight)
    return average


def r2(
    xp: Namespace, predictions: Array, targets: Array, sample_weight: Array | None = None
) -> Array:
    """Return the mean over the outputs of R² = 1 - sum w (y - t)² / sum w (t - mean t)², (…).

    predictions y (…, batch, outputs); targets t likewise, or (…, batch) for one output;
    sample_weight w (…, batch), in the mean of t as well.  If all targets are equal, R² is 1 for
    perfect predictions and else 0, as in scikit-learn.
    """
    t = rows(xp, targets, predictions)
    if sample_weight is None:
        share, mean = None, xp.mean(t, axis=-2, keepdims=True)
    else:
        share = xp.expand_dims(shares(xp, sample_weight), axis=-1)
        mean = xp.sum(t * share, axis=-2, keepdims=True)
    residual = _sum_of_squares(xp, predictions - t, share)
    total = _sum_of_squares(xp, t - mean, share)
    varied = total != 0.0
    ratio = residual * (1.0 / xp.where(varied, total, 1.0))
    constant = xp.astype(residual != 0.0, t.dtype)
    return special.mean(xp, 1.0 - xp.where(varied, ratio, constant), axis=-1)


def _sum_of_squares(xp: Namespace, x: Array, share: Array | None) -> Array:
    squares = x * x
    return xp.sum(squares if share is None else squares * share, axis=-2)
