"""Examples without labels, for prediction: a table of features or a file of images.

What is said of labelled data belongs in the other readers.
"""

import os

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.csv_text import read_csv_table
from pluggable_mlp.data.errors import DataError
from pluggable_mlp.data.files import open_bounded
from pluggable_mlp.data.idx import read_idx
from pluggable_mlp.data.npz import read_npz_arrays

__all__ = ["load_inputs"]


def load_inputs(path: str | os.PathLike[str]) -> Array:
    """Read examples without labels, as their file holds them.

    Parameters
    ----------
    path : str or path
        `*.npy`, `*.npz` with `X`, `*.csv` or `*.csv.gz` of features only, or else a file of IDX
        images, plain or gzipped.

    Returns
    -------
    array (n, ...)
        What it means to a network is said by `Schema.inputs`.

    Raises
    ------
    DataError
        If the file cannot be read; names the file and the fault.
    """
    name = os.fspath(path)
    lower = name.lower()
    if lower.endswith(".npy"):
        return _read_npy(name)
    if lower.endswith(".npz"):
        return read_npz_arrays(name, ["X"])["X"]
    if lower.endswith((".csv", ".csv.gz")):
        return read_csv_table(name)
    return read_idx(name)


def _read_npy(path: str) -> Array:
    with open_bounded(path):
        pass  # a path that is no file is told as by the other readers
    try:
        # Maps: nothing is allocated, and what is longer than the file is refused.
        array = np.load(path, allow_pickle=False, mmap_mode="r")
        if not isinstance(array, np.ndarray):
            raise ValueError("it holds no single array of numbers")
        return array
    except (ValueError, EOFError, OSError, SyntaxError) as error:
        reason = str(error).partition("\n")[0]
        remedy = "write it with numpy.save(path, X)"
        raise DataError(path, f"is no readable .npy file: {reason}", remedy) from error
