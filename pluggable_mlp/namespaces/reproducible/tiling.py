"""The number of tiles of a product, running them, and elementwise functions in blocks.

Time and memory depend on it, but no bit does.  How a tile is computed, and which side is cut,
belongs in `products`.
"""

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import TypeAlias

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.arrays.executor import RunAll, at_once, one_by_one
from pluggable_mlp.arrays.shortcuts import in_one_kernel

Elementwise: TypeAlias = Callable[[Namespace, Array], Array]
Ends: TypeAlias = tuple[int, int]

TILE = 200_000
SHORTEST_TILE = {-2: 48, -1: 80}
"""A product is cut into as many tiles as run at once, and so that a tile of the output, and of the
operand that is cut, has at most about TILE elements; but not into tiles of fewer rows (-2) or
columns (-1) than this: kernels are slow on narrow ones."""

SMALL = 2**22
"""A product of fewer multiplications is a single task: handing out tiles would take longer."""

SMALL_TILE, SHORTEST_SMALL_TILE = 2**15, 48
"""Tiles that are not handed out have about so many elements of the output, and at least so many
rows or columns: those in float64 then stay in a cache."""

BLOCK = 2**15  # elements: most temporaries are float64
MOST_BLOCKS = 16  # each costs launches, which devices with a queue feel


def run_tiles(
    run_all: RunAll | None,
    part: Callable[[Ends], Array],
    length: int,
    across: int,
    inner: int,
    *,
    axis: int,
) -> list[Array]:
    """Return the parts of a product in their order.

    Parameters
    ----------
    run_all
        Runs the tiles; None if the product is not to be cut.
    part
        Computes the part between two ends of the side that is cut.
    length, across, inner
        Lengths of the side that is cut, of the other side of the output, and of the sum.
    axis
        Which side is cut: rows (-2) or columns (-1).
    """
    if run_all is None:
        return [part((0, length))]
    few = _tiles(length, length * across // SMALL_TILE, SHORTEST_SMALL_TILE)
    if length * across * inner < SMALL:
        [parts] = run_all(partial(one_by_one, part), [few])
        return parts
    count = max(length * max(inner, across) // TILE, at_once(run_all))
    tiles = _tiles(length, count, SHORTEST_TILE[axis])
    if len(tiles) == 1:  # too narrow for several threads: the library has its own
        return one_by_one(part, few)
    return run_all(part, tiles)


def _tiles(length: int, count: int, shortest: int) -> list[Ends]:
    """Return the ends that cut the `length` of an axis evenly into about `count` parts."""
    count = max(1, min(count, length // shortest))
    if count > 1:
        count -= count % 2  # two at once leave no odd one
    return [(length * i // count, length * (i + 1) // count) for i in range(count)]


def in_blocks(xp: Namespace, queued: bool, function: Elementwise, x: Array) -> Array:
    """Return function(xp, x) for floats of any shape, in blocks, or on a queue in one kernel."""
    if queued:
        return in_one_kernel(xp, function, x)
    size = math.prod(x.shape)  # not x.size, which is a method in PyTorch
    count = min(MOST_BLOCKS, size // BLOCK)
    if count < 2:
        return function(xp, x)
    flat = xp.reshape(x, (-1,))
    ends = [size * index // count for index in range(count + 1)]
    parts = [function(xp, flat[start:stop]) for start, stop in pairwise(ends)]
    return xp.reshape(xp.concat(parts), x.shape)
