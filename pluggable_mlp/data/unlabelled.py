"""Examples without labels, for prediction: a table of features or a file of images.

Shapes: n examples, (n, features).  What is said of labelled data belongs in the other readers.
"""

import os

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.conversion import as_inputs
from pluggable_mlp.data.errors import DataError
from pluggable_mlp.data.files import open_bounded
from pluggable_mlp.data.idx import read_idx
from pluggable_mlp.data.tables import read_csv_table, read_npz_arrays

__all__ = ["load_inputs"]


def load_inputs(path: str | os.PathLike[str], features: int) -> Array:
    """Read examples without labels.

    Parameters
    ----------
    path : str or path
        `*.npy`, `*.npz` with `X`, `*.csv` or `*.csv.gz` of features only, or else a file of IDX
        images, plain or gzipped.
    features : int
        How many numbers an example must have.

    Returns
    -------
    array (n, features)
        uint8 where the file holds such, otherwise float32 or float64, all finite.

    Raises
    ------
    DataError
        If the file cannot be read, or holds something else; names the file and the fault.
    """
    name = os.fspath(path)
    lower = name.lower()
    if lower.endswith(".npy"):
        raw = _read_npy(name)
    elif lower.endswith(".npz"):
        raw = read_npz_arrays(name, ["X"])["X"]
    elif lower.endswith((".csv", ".csv.gz")):
        raw = read_csv_table(name)
    else:
        raw = read_idx(name)
    inputs = as_inputs(name, "unlabelled", raw)
    if inputs.shape[1] != features:
        fault = f"its examples have {inputs.shape[1]} features, the network takes {features}"
        raise DataError(name, fault, "give the features that it was trained on, without labels")
    if not np.isfinite([inputs.min(), inputs.max()]).all():
        row = np.argwhere(~np.isfinite(inputs))[0][0]
        raise DataError(name, f"example {row} holds NaN or infinity", "remove or fill such values")
    return inputs


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
