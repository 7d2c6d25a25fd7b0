"""Which inputs stay in their files, to be read a block at a time, and how long a block is.

Of the inputs of .npy files, those can that are in C order.  Targets are held in memory.
"""

import math
import warnings
from dataclasses import replace
from typing import Any

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.backends.memory import host_memory
from pluggable_mlp.data.dataset import DataWarning, Source
from pluggable_mlp.stored import StoredArray, as_rows

__all__ = ["block_of", "left_in_file", "left_in_files"]

PART_OF_MEMORY = 4
"""Inputs of more than one part in so many of the machine's memory stay in their file."""

BYTES_PER_BLOCK = 2**26


def left_in_files(source: Source, block_size: int | None) -> Source:
    """Return a source whose inputs stay in their files, where they do not fit or blocks are asked.

    Parameters
    ----------
    source : Source
    block_size : int or None
        0: none stays; None: they stay if all together take too large a part of the memory.
    """
    inputs = {part: given.inputs for part, given in source.splits.items()}
    if block_size == 0 or (block_size is None and not _are_large(*inputs.values())):
        return source
    splits = {
        part: given._replace(inputs=_in_file(given.inputs)) for part, given in source.splits.items()
    }
    return replace(source, splits=splits)


def left_in_file(values: Any) -> Any:
    """Return inputs that stay in their file, where they take too large a part of the memory."""
    return _in_file(values) if _are_large(values) else values


def block_of(inputs: Array) -> int:
    """Return how many examples a block has where no one says so; 0 where none stay in a file."""
    if not isinstance(inputs, StoredArray):
        return 0
    row: int = math.prod(inputs.shape[1:]) * inputs.dtype.itemsize
    return max(1, BYTES_PER_BLOCK // row)


def _are_large(*inputs: Any) -> bool:
    total = host_memory()
    size = sum(values.nbytes for values in inputs if isinstance(values, np.ndarray))
    return total is not None and size > total // PART_OF_MEMORY


def _in_file(values: Any) -> Any:
    """Return inputs that stay in their file, if they can; a warning tells of the wrong order."""
    if not isinstance(values, np.memmap):
        return values
    rows = as_rows(values)
    if not isinstance(rows, StoredArray) and not values.flags.c_contiguous:
        warnings.warn(
            f"{values.filename} is in Fortran order, of which no rows can be read alone: all of "
            "it is held in memory; to read it in blocks, save numpy.ascontiguousarray(X)",
            DataWarning,
            stacklevel=3,
        )
    return rows
