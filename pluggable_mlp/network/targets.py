"""Targets: their conversion to rows with the shape of the outputs, and their checks.

Shapes: targets are (…, batch) or rows (…, batch, outputs); `like`, the outputs, is
(…, batch, outputs).
"""

from typing import Literal

from pluggable_mlp.arrays import (
    Array,
    DType,
    Namespace,
    by_columns,
    device_of,
    dtype_name,
    has_values,
    transpose,
)
from pluggable_mlp.namespaces.reproducible.rounding import SMALLEST_NORMAL, type_name

__all__ = ["TargetKind", "as_kind", "one_hot", "rows"]

TargetKind = Literal["classes", "labels", "numbers", "counts"]
"""The kinds of targets: one of several classes (indices or rows of probabilities); 0 or 1 for
each output; numbers; numbers of at least 0."""

# The sum of a row of probabilities may differ from 1 by this much.
_ROW_SUM_TOLERANCE = 1e-3


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


def as_kind(
    xp: Namespace, kind: TargetKind, targets: Array, batch: int, outputs: int, dtype: DType
) -> Array:
    """Return targets as a loss of this kind takes them, or raise if they do not fit.

    This reads a few numbers from the device.

    Parameters
    ----------
    xp
        The targets' namespace.
    kind : {"classes", "labels", "numbers", "counts"}
    targets : array
        For classes: integer or boolean indices (…, batch), one-hot rows (…, batch, outputs) of
        integers or booleans, or rows of probabilities of the dtype.  Else integers, booleans or
        numbers of the dtype (…, batch, outputs), or (…, batch) for one output.
    batch, outputs : int
        Of the network's outputs (…, batch, outputs).
    dtype
        Of these outputs.

    Returns
    -------
    array
        For classes: integer indices (…, batch), or rows (…, batch, outputs) of the dtype.  Else
        the targets themselves.

    Raises
    ------
    ValueError
        Naming what came and what was expected.
    """
    if kind == "classes":
        return _check_classes(xp, targets, batch, outputs, dtype)
    floating = xp.isdtype(targets.dtype, "real floating")
    single = outputs == 1 and targets.shape[-1:] == (batch,)
    if (floating and targets.dtype != dtype) or not (
        single or targets.shape[-2:] == (batch, outputs)
    ):
        shorter = f" or ({batch},)" if outputs == 1 else ""
        raise ValueError(
            f"targets are {targets.dtype} of shape {tuple(targets.shape)}, expected "
            f"{dtype_name(dtype)} or integers of shape (batch, outputs) = ({batch}, {outputs})"
            f"{shorter}"
        )
    _check_range(xp, kind, xp.astype(targets, dtype, copy=False))
    return targets


def _check_range(xp: Namespace, kind: TargetKind, targets: Array) -> None:
    """Raise if a number is not finite, or out of the range of its kind."""
    low, high = xp.min(targets), xp.max(targets)
    if not has_values(low):
        return
    low, high = float(low), float(high)
    least = -SMALLEST_NORMAL[type_name(xp, targets)]  # above, devices disagree on what is 0
    if not bool(xp.all(xp.isfinite(targets))):
        raise ValueError("targets hold NaN or infinity, expected finite numbers")
    if kind == "labels" and not least < low <= high <= 1.0:
        raise ValueError(
            f"targets run from {low:g} to {high:g}, expected 0 for no, 1 for yes, or probabilities"
        )
    if kind == "counts" and low <= least:
        raise ValueError(f"targets run from {low:g}, expected counts or rates of at least 0")


def _check_classes(xp: Namespace, targets: Array, batch: int, classes: int, dtype: DType) -> Array:
    """Return class indices as integers, rows as numbers of the dtype; raise for anything else."""
    whole = xp.isdtype(targets.dtype, ("integral", "bool"))
    if targets.shape[-2:] == (batch, classes) and (whole or targets.dtype == dtype):
        rows = xp.astype(targets, dtype, copy=False)
        if _are_distributions(xp, rows):
            return rows
        # Integers of as many networks as there are examples, as many as classes, may be indices.
        if not whole or targets.shape[-1:] != (batch,):
            raise ValueError(
                "targets hold a row that is not a distribution over the classes, expected one-hot "
                "rows or probabilities: at least 0, each row summing to 1"
            )
    if not whole:
        raise ValueError(
            f"targets are {targets.dtype} of shape {tuple(targets.shape)}, expected integers "
            f"(batch,) = ({batch},), or rows (batch, classes) = ({batch}, {classes}) of "
            f"{dtype_name(dtype)} or integers"
        )
    if targets.shape[-1:] != (batch,):
        raise ValueError(
            f"targets have shape {tuple(targets.shape)}, expected ({batch},) as x has rows"
        )
    if xp.isdtype(targets.dtype, "bool"):
        targets = xp.astype(targets, xp.int64)
    low, high = xp.min(targets), xp.max(targets)
    if not has_values(low):
        return targets
    low, high = int(low), int(high)
    if low < 0 or high >= classes:
        raise ValueError(
            f"targets run from {low} to {high}, expected 0 to {classes - 1}: "
            f"the network has {classes} outputs"
        )
    return targets


def _are_distributions(xp: Namespace, rows: Array) -> bool:
    """Return whether each row is at least 0 and sums to 1; NaN fails both comparisons.

    Rows without values are assumed to be distributions.
    """
    errors = xp.abs(xp.sum(rows, axis=-1) - 1.0)
    least = -SMALLEST_NORMAL[type_name(xp, rows)]  # above, devices disagree on what is 0
    right = xp.all(rows > least) & xp.all(errors <= _ROW_SUM_TOLERANCE)
    return not has_values(right) or bool(right)
