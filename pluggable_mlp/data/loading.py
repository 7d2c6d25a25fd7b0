"""From what a user writes, a name or a path, to the reader that it asks for."""

import os
from collections.abc import Callable

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.classic_pickle import read_classic_pickle
from pluggable_mlp.data.dataset import DataError, Dataset, Source
from pluggable_mlp.data.digits import load_digits
from pluggable_mlp.data.idx import read_idx, read_idx_folder
from pluggable_mlp.data.mnist import PUBLISHED, load_named
from pluggable_mlp.data.preprocessing import build_dataset
from pluggable_mlp.data.tables import read_csv, read_csv_table, read_npy, read_npz, read_npz_arrays

__all__ = ["load_dataset", "load_inputs", "load_source"]

READERS: dict[tuple[str, ...], Callable[[str], Source]] = {
    (".pkl", ".pkl.gz"): read_classic_pickle,
    (".npz",): read_npz,
    (".csv", ".csv.gz"): read_csv,
}


def load_dataset(
    spec: str | os.PathLike[str], seed: int = 0, task: str | None = "classification"
) -> Dataset:
    """Load a data set by its name or its path.

    Parameters
    ----------
    spec : str or path
        "digits": 1,797 embedded images of 8 x 8 pixels.
        "mnist", "fashion-mnist": 70,000 images of 28 x 28 pixels, looked for in the folders of
        PLUGGABLE_MLP_DATA and the user's cache, else downloaded (see `load_named`).
        A path: a folder of IDX files, or a file `*.pkl.gz` or `*.pkl` (the classic MNIST
        pickle), `*.npz` (`X` and `y`, perhaps with `_test` or `_validation` at their end), `*.csv`
        or `*.csv.gz` (the target in the last column).
    seed : int, default 0
        Of the division into examples for training and for testing, where the data have none.
    task : {"classification", "multilabel", "regression"} or None, default "classification"
        Whether targets are class labels, rows of yes or no, or numbers to predict; None: what the
        targets speak of.

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        If there are no such data, or they cannot be used; names the file and the fault.
    """
    return build_dataset(load_source(spec), seed, task)


def load_source(spec: str | os.PathLike[str]) -> Source:
    """Load a data set as `load_dataset` does, but neither converted nor divided."""
    path = os.fspath(spec)
    if path == "digits":
        return load_digits()
    if path in PUBLISHED:
        return load_named(path)
    if os.path.isdir(path):
        return read_idx_folder(path)
    for suffixes, reader in READERS.items():
        if path.lower().endswith(suffixes):
            return reader(path)
    raise DataError(
        repr(path),
        "is not a data set",
        f"give digits, {', '.join(PUBLISHED)}, a folder of IDX files, or a path that ends in "
        + ", ".join(suffix for suffixes in READERS for suffix in suffixes),
    )


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
        return read_npy(name)
    if lower.endswith(".npz"):
        return read_npz_arrays(name, ["X"])["X"]
    if lower.endswith((".csv", ".csv.gz")):
        return read_csv_table(name)
    return read_idx(name)
