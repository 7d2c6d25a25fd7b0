"""The classic mnist.pkl.gz: MNIST as a pickle of three pairs, for training, validation, test.

What the arrays mean belongs here; how they are read without running anything belongs in
`opcodes.py`.
"""

from typing import Any

import numpy as np

from pluggable_mlp.data.conversion import as_bytes
from pluggable_mlp.data.errors import DataError
from pluggable_mlp.data.files import open_bounded
from pluggable_mlp.data.opcodes import read_pickled_arrays
from pluggable_mlp.data.source import PIXEL_SCALE, Source

__all__ = ["read_classic_pickle"]


def read_classic_pickle(path: str) -> Source:
    """Read a pickle ((x, y), (x, y), (x, y)): training, validation and test part.

    The three parts stay three: training uses the first (50,000 of MNIST's images), as the
    classic exercises do; the second (10,000) is in `validation`.  Inputs that are multiples of
    1/256 from 0 to 255/256, as in the published file, become the uint8 pixels that they were made
    of, worth 1/256 each: the same values.  Other floats are kept as they are.

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
    pixels = [as_bytes(values, PIXEL_SCALE) for values in inputs]
    if all(values is not None for values in pixels):
        inputs = pixels
    train, validation, test = zip(inputs, (part[1] for part in parts), strict=True)
    return Source(path, train, test, validation)


def _is_three_pairs(parts: Any) -> bool:
    return (
        isinstance(parts, list)
        and len(parts) == 3
        and all(isinstance(part, list) and len(part) == 2 for part in parts)
        and all(isinstance(values, np.ndarray) for part in parts for values in part)
    )
