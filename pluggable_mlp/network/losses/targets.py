"""Targets as rows: the shape in which every loss compares them with the network's outputs.

Shapes: `like`, the outputs, is (…, batch, outputs); targets have that shape or one axis less.
What a user brings is checked elsewhere (`network/checks.py`).
"""

from pluggable_mlp.arrays import Array, Namespace, by_columns, device_of, transpose

__all__ = ["one_hot", "rows"]


def one_hot(xp: Namespace, targets: Array, like: Array) -> Array:
    """Return targets as rows (…, batch, classes) of the dtype of `like` (…, batch, classes).

    Integer class indices k (…, batch) become rows with 1 at k, counted from 0, and 0 elsewhere;
    floats are rows, and come back in that dtype.  Either may lack leading axes that `like` has.
    """
    if not xp.isdtype(targets.dtype, "real floating"):
        classes = xp.arange(like.shape[-1], dtype=targets.dtype, device=device_of(like))
        if by_columns(*like.shape[-2:]):  # as outputs mostly are
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
