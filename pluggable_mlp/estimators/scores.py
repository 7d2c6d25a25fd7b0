"""Scores of predictions on any device: the accuracy and R², with weights of examples.

Shapes: predictions and targets (examples,) or (examples, outputs), sample_weight (examples,).
"""

from pluggable_mlp.arrays import Array, Namespace

__all__ = ["accuracy", "r2"]


def accuracy(xp: Namespace, right: Array, sample_weight: Array | None, dtype: Array) -> float:
    """Return the weighted share of the right ones.

    Parameters
    ----------
    xp
        The namespace of the arrays.
    right : array (examples,) or (examples, labels) of bool
        Of several labels all must be right.
    sample_weight : array (examples,) or None
    dtype
        Of the result.
    """
    if right.ndim == 2:
        right = xp.all(right, axis=-1)
    return float(_average(xp, xp.astype(right, dtype), sample_weight))


def r2(xp: Namespace, predictions: Array, targets: Array, sample_weight: Array | None) -> float:
    """Return the mean over the outputs of R² = 1 - sum w (y - t)² / sum w (t - mean t)².

    Where all targets are equal it is 1 for perfect predictions and else 0, as in scikit-learn.
    """
    t = xp.reshape(targets, predictions.shape)
    residual = _average(xp, (predictions - t) ** 2, sample_weight)
    total = _average(xp, (t - _average(xp, t, sample_weight)) ** 2, sample_weight)
    varied = total > 0.0
    ratio = residual / xp.where(varied, total, 1.0)
    scores = 1.0 - xp.where(varied, ratio, xp.astype(residual > 0.0, residual.dtype))
    return float(xp.mean(scores))


def _average(xp: Namespace, values: Array, sample_weight: Array | None) -> Array:
    """Return the weighted average of values (examples, …) over the examples."""
    if sample_weight is None:
        return xp.mean(values, axis=0)
    weights = sample_weight if values.ndim == 1 else sample_weight[:, None]
    return xp.sum(values * weights, axis=0) / xp.sum(sample_weight)
