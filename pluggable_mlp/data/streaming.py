"""Which inputs are made or read a block at a time, and how long a block is.

Of the inputs of .npy files, those can stay there that are in C order; of a table, categories can
stay codes.  Targets are held in memory.
"""

import math
import warnings
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.dataset import Source
from pluggable_mlp.data.encoded import EncodedArray
from pluggable_mlp.data.errors import DataWarning
from pluggable_mlp.lazy import LazyArray, StoredArray, as_lazy

LARGEST_IN_MEMORY = 2**30
"""Bytes of inputs: larger ones stay in their file, or codes.

The same on every machine, since the order of the examples depends on the blocks.
"""

BYTES_PER_BLOCK = 2**26


def needs_blocks(inputs: Iterable[Any], block_size: int | None) -> bool:
    """Return whether inputs are taken a block at a time.

    Parameters
    ----------
    inputs : iterable of arrays
        Of all splits.
    block_size : int or None
        0: they are not; None: if all together take more than `LARGEST_IN_MEMORY`.
    """
    return bool(block_size) or (block_size is None and _are_large(*inputs))


def keep_on_disk(source: Source, block_size: int | None, in_files: bool = False) -> Source:
    """Return a source whose inputs stay in their files, where it is asked or they need blocks."""
    inputs = (given.inputs for given in source.splits.values())
    if not (in_files or needs_blocks(inputs, block_size)):
        return source
    splits = {
        part: given._replace(inputs=_in_file(given.inputs)) for part, given in source.splits.items()
    }
    return replace(source, splits=splits)


def keep_on_disk_if_large(values: Any) -> Any:
    """Return inputs that stay in their file, where they take more than `LARGEST_IN_MEMORY`."""
    return _in_file(values) if _are_large(values) else values


def in_memory(inputs: dict[str, Any], block_size: int | None) -> dict[str, Any]:
    """Return the inputs of all splits, those of a table whole, unless blocks are asked or needed.

    Parameters
    ----------
    inputs : dict of arrays
    block_size : int or None
        As for `needs_blocks`.
    """
    if needs_blocks(inputs.values(), block_size):
        return inputs
    return {part: v[:] if isinstance(v, EncodedArray) else v for part, v in inputs.items()}


def block_of(inputs: Array, needed: bool) -> int:
    """Return how many examples a block has where no one says so; 0 where all are taken at once.

    Parameters
    ----------
    inputs : array
        Prepared ones.
    needed : bool
        What `needs_blocks` says of the inputs before; codes of a table need them anyway.
    """
    if not (isinstance(inputs, EncodedArray) or (needed and isinstance(inputs, LazyArray))):
        return 0
    row: int = math.prod(inputs.shape[1:]) * inputs.dtype.itemsize
    return max(1, BYTES_PER_BLOCK // row)


def _are_large(*inputs: Any) -> bool:
    size = sum(v.nbytes for v in inputs if isinstance(v, np.ndarray | EncodedArray))
    return size > LARGEST_IN_MEMORY


def _in_file(values: Any) -> Any:
    """Return inputs that stay in their file, if they can; warn of those in Fortran order."""
    if not isinstance(values, np.memmap):
        return values
    rows = as_lazy(values)
    if not isinstance(rows, StoredArray) and not values.flags.c_contiguous:
        warnings.warn(
            f"{values.filename} is in Fortran order, of which no rows can be read alone: all of "
            "it is held in memory; to read it in blocks, save numpy.ascontiguousarray(X)",
            DataWarning,
            stacklevel=3,
        )
    return rows
