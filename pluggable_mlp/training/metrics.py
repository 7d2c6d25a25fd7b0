"""Metrics: how good predictions are, computed on the device, read by the caller.

Shapes: logits (…, batch, classes); labels (…, batch) integers or (…, batch, classes) rows.
"""

from pluggable_mlp.arrays import Array, Namespace

__all__ = ["correct_predictions"]


def correct_predictions(xp: Namespace, logits: Array, labels: Array) -> Array:
    """Return how many examples have their largest logit at the label: (…), int64."""
    if labels.ndim == logits.ndim:
        labels = xp.argmax(labels, axis=-1)
    right = xp.argmax(logits, axis=-1) == labels
    return xp.sum(xp.astype(right, xp.int64), axis=-1)
