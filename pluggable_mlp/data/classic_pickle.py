"""The classic mnist.pkl.gz: MNIST as a pickle of three pairs, for training, validation, test.

What the arrays mean belongs here; how they are read without running anything belongs in
`opcodes.py`.
"""

from typing import Any

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.conversion import PIXEL_SCALE, build_dataset
from pluggable_mlp.data.dataset import Dataset
from pluggable_mlp.data.errors import DataError
from pluggable_mlp.data.files import open_bounded
from pluggable_mlp.data.opcodes import read_pickled_arrays

__all__ = ["read_classic_pickle"]

BLOCK = 4096
"""So many rows are converted at once, which keeps temporary arrays small."""


def read_classic_pickle(path: str) -> Dataset:
    """Read a pickle ((x, y), (x, y), (x, y)): training, validation and test part.

    The three parts stay three: training uses the first (50,000 of MNIST's images), as the
    classic exercises do; the second (10,000) is in `validation_inputs` and
    `validation_labels`.  Inputs that are multiples of 1/256 from 0 to 255/256, as in the
    published file, become the uint8 pixels that they were made of, with `scale` 1/256: the
    same values.  Other floats are kept as they are.

    Parameters
    ----------
    path : str
        A file written by Python 2 (protocol 2), or by Python 3 with protocol 3 or 4, plain or
        gzipped.

    Raises
    ------
    DataError
        If the file is damaged, holds anything else than such arrays, or is not three pairs.
    """
    with open_bounded(path) as file:
        parts = read_pickled_arrays(file)
    if not _is_three_pairs(parts):
        fault = "does not hold three pairs of inputs and labels"
        raise DataError(path, fault, "pickle ((x, y), (x, y), (x, y)), or use .npz with X and y")
    inputs = [part[0] for part in parts]
    pixels = [_as_pixels(values) for values in inputs]
    if all(values is not None for values in pixels):
        inputs = pixels
    train, validation, test = zip(inputs, (part[1] for part in parts), strict=True)
    return build_dataset(path, train, test, validation)


def _is_three_pairs(parts: Any) -> bool:
    return (
        isinstance(parts, list)
        and len(parts) == 3
        and all(isinstance(part, list) and len(part) == 2 for part in parts)
        and all(isinstance(values, np.ndarray) for part in parts for values in part)
    )


def _as_pixels(values: Array) -> Array:
    """Return the uint8 array whose entries / 256 are `values`, or None if there is none."""
    if values.dtype.kind != "f" or values.ndim < 2:
        return values if values.dtype == np.uint8 else None
    pixels = np.empty(values.shape, dtype=np.uint8)
    for start in range(0, len(values), BLOCK):
        block = values[start : start + BLOCK]
        if not ((block >= 0) & (block <= 255 * PIXEL_SCALE)).all():  # False for NaN, too
            return None
        scaled = block / PIXEL_SCALE
        pixels[start : start + BLOCK] = scaled
        if not np.array_equal(pixels[start : start + BLOCK], scaled):
            return None
    return pixels
