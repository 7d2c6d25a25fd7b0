"""Functions of the standard that move, join or reshape axes, one of which may be cut."""

import math
from collections.abc import Sequence
from dataclasses import replace

from pluggable_mlp.namespaces import kinds
from pluggable_mlp.namespaces.sharded.array import ShardedArray, ShardingError, cut_of, part_of


def matrix_transpose(x: ShardedArray, /) -> ShardedArray:
    """Return (…, n, m) of x (…, m, n)."""
    axis = None if x.axis is None else {-1: -2, -2: -1}.get(x.axis, x.axis)
    xp = x.namespace
    return ShardedArray(xp.inner.matrix_transpose(x.part), xp, axis, x.layout)


def permute_dims(x: ShardedArray, /, axes: tuple[int, ...]) -> ShardedArray:
    """Return the array with its axes in another order."""
    places = [axis % x.ndim - x.ndim for axis in axes]
    axis = None if x.axis is None else places.index(x.axis) - x.ndim
    xp = x.namespace
    return ShardedArray(xp.inner.permute_dims(x.part, axes), xp, axis, x.layout)


def expand_dims(x: ShardedArray, /, *, axis: int = 0) -> ShardedArray:
    """Return the array with a new axis of length 1."""
    place = axis if axis < 0 else axis - x.ndim - 1
    moved = None if x.axis is None else x.axis - (x.axis <= place)
    xp = x.namespace
    return ShardedArray(xp.inner.expand_dims(x.part, axis=axis), xp, moved, x.layout)


def squeeze(x: ShardedArray, /, axis: int) -> ShardedArray:
    """Return the array without an axis of length 1."""
    place = axis if axis < 0 else axis - x.ndim
    moved = None if x.axis is None else x.axis + (place > x.axis)
    xp = x.namespace
    return ShardedArray(xp.inner.squeeze(x.part, axis=axis), xp, moved, x.layout)


def concat(arrays: Sequence[ShardedArray], /, *, axis: int | None = 0) -> ShardedArray:
    """Return the arrays one after the other, along an axis that is not cut.

    Raises
    ------
    ShardingError
        If it is.
    """
    cut, layout = cut_of(arrays)
    if cut is not None and axis in (None, cut, cut + arrays[0].ndim):
        raise ShardingError("xp.concat along the axis that is cut over processes has no rule")
    xp = arrays[0].namespace
    parts = [part_of(xp.inner, x, cut, layout) for x in arrays]
    return ShardedArray(xp.inner.concat(parts, axis=axis), xp, cut, layout)


def broadcast_to(x: ShardedArray, /, shape: tuple[int, ...]) -> ShardedArray:
    """Return the array repeated along axes that it lacks, or that have one element."""
    xp, lengths = x.namespace, [*shape]
    if x.axis is not None:
        lengths[x.axis] = x.part.shape[x.axis]
    return ShardedArray(xp.inner.broadcast_to(x.part, tuple(lengths)), xp, x.axis, x.layout)


def reshape(x: ShardedArray, /, shape: tuple[int, ...], **settings: object) -> ShardedArray:
    """Return the array in another shape: an example may become several rows, and the reverse.

    Raises
    ------
    ShardingError
        If the shape has no axis of examples.
    """
    xp = x.namespace
    if x.axis is None or x.layout is None:
        return ShardedArray(xp.inner.reshape(x.part, shape, **settings), xp)
    known = math.prod(length for length in shape if length >= 0)
    lengths = [x.size // known if length < 0 else length for length in shape]
    before, examples = math.prod(x.shape[: x.axis]), x.layout.edges[-1]
    for place, length in enumerate(lengths):
        if length % examples == 0 and math.prod(lengths[:place]) == before:
            layout = replace(x.layout, rows=length // examples)
            lengths[place] = x.part.shape[x.axis] // x.layout.rows * layout.rows
            part = xp.inner.reshape(x.part, tuple(lengths), **settings)
            return ShardedArray(part, xp, place - len(lengths), layout)
    raise ShardingError(f"xp.reshape of {x.shape} to {shape}: it would take examples apart")


FUNCTIONS = kinds.by_name(
    *(broadcast_to, concat, expand_dims, matrix_transpose, permute_dims, reshape, squeeze)
)
