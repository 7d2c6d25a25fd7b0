"""`load_dataset`: from what a user writes to the reader that it asks for."""

import os
from collections.abc import Callable

from pluggable_mlp.data.classic_pickle import read_classic_pickle
from pluggable_mlp.data.dataset import Dataset
from pluggable_mlp.data.digits import load_digits
from pluggable_mlp.data.errors import DataError
from pluggable_mlp.data.idx import read_idx_folder
from pluggable_mlp.data.named import PUBLISHED, load_named
from pluggable_mlp.data.tables import read_csv, read_npz

__all__ = ["load_dataset"]

READERS: dict[tuple[str, ...], Callable[[str], Dataset]] = {
    (".pkl", ".pkl.gz"): read_classic_pickle,
    (".npz",): read_npz,
    (".csv", ".csv.gz"): read_csv,
}


def load_dataset(spec: str | os.PathLike[str]) -> Dataset:
    """Load a data set by its name or its path.

    Parameters
    ----------
    spec : str or path
        "digits": 1,797 embedded images of 8 x 8 pixels.
        "mnist", "fashion-mnist": 70,000 images of 28 x 28 pixels, looked for in the folders of
        PLUGGABLE_MLP_DATA and the user's cache, else downloaded (see `load_named`).
        A path: a folder of IDX files, or a file `*.pkl.gz` or `*.pkl` (the classic MNIST
        pickle), `*.npz` (`X` and `y`), `*.csv` or `*.csv.gz` (the label in the last column).

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        If there are no such data, or they cannot be used; names the file and the fault.
    """
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
        "is no data set",
        f"give digits, {', '.join(PUBLISHED)}, a folder of IDX files, or a path that ends in "
        + ", ".join(suffix for suffixes in READERS for suffix in suffixes),
    )
