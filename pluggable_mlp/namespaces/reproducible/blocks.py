"""Elementwise functions over blocks of an array, so that their temporaries stay in a cache.

A function of float64 makes dozens of temporaries; on an array of a layer's size the passes over
memory, not the operations, are then the price, and the peak of memory.  No bit depends on it.
"""

import math
from collections.abc import Callable
from itertools import pairwise

from pluggable_mlp.arrays import Array, Namespace

__all__ = ["in_blocks"]

BLOCK = 2**15  # elements: most temporaries are float64
MOST_BLOCKS = 16  # each costs launches, which devices with a queue feel


def in_blocks(function: Callable[[Namespace, Array], Array], xp: Namespace, x: Array) -> Array:
    """Return function(xp, x) for an elementwise function of `x` (float32 or float64, any shape)."""
    size = math.prod(x.shape)  # not x.size, which is a method in PyTorch
    count = min(MOST_BLOCKS, size // BLOCK)
    if count < 2:
        return function(xp, x)
    flat = xp.reshape(x, (-1,))
    ends = [size * index // count for index in range(count + 1)]
    parts = [function(xp, flat[start:stop]) for start, stop in pairwise(ends)]
    return xp.reshape(xp.concat(parts), x.shape)
