"""Targets: their kinds, and their conversion to rows of the shape of the outputs.

Shapes: targets are (…, batch) or rows (…, batch, outputs); `like`, the outputs, is
(…, batch, outputs).  Their checks are in `checks.py`.
"""

from typing import Literal

from pluggable_mlp.arrays import Array, Namespace, by_columns, device_of, transpose

TargetKind = Literal["classes", "labels", "numbers", "counts"]
"""The kinds of targets: one of several classes (indices or rows of probabilities); 0 or 1 for
each output; numbers; numbers of at least 0."""


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
