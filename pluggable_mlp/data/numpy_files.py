"""NumPy's files: .npz, .npy, and folders of .npy that belong together.

Shapes: X (n, ...), y (n,) or (n, outputs).
"""

import os
import zipfile
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import IO

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.dataset import DataError, Source, Split
from pluggable_mlp.data.files import GET_A_NEW_COPY, decompressed_limit, missing_file, open_bounded

__all__ = ["read_npy", "read_npy_pairs", "read_npz", "read_npz_arrays"]

PAIRS = {
    "train": ("X", "y"),
    "test": ("X_test", "y_test"),
    "validation": ("X_validation", "y_validation"),
}
"""The names of the inputs and the targets of each split."""


def read_npz(path: str) -> Source:
    """Read an .npz file with `X` and `y`, and perhaps others for testing and for validation.

    `X` is (n, ...), `y` (n,) or (n, outputs); the others are `X_test` and `y_test`,
    `X_validation` and `y_validation`.  Which numbers are pixels, and what is for testing where
    there is no such pair, is said in `build_dataset`.

    Raises
    ------
    DataError
        If the file is damaged, an array is missing, or holds objects instead of numbers.
    """
    needed, *optional = PAIRS.values()
    return _source(path, read_npz_arrays(path, needed, optional))


def read_npy_pairs(folder: str) -> Source:
    """Read a folder with `X.npy` and `y.npy`, and perhaps others as `read_npz` takes them.

    Raises
    ------
    DataError
        If a file is missing or damaged, or holds objects instead of numbers.
    """
    there = set(os.listdir(folder))
    arrays: dict[str, Array] = {}
    for part, pair in PAIRS.items():
        files = [f"{name}.npy" for name in pair]
        missing = [file for file in files if file not in there]
        if len(missing) == 1 or (missing and part == "train"):
            fault = f"the folder has no {' and no '.join(missing)}"
            raise DataError(folder, fault, "write it with numpy.save")
        if not missing:
            arrays |= {name: read_npy(os.path.join(folder, f"{name}.npy")) for name in pair}
    return _source(folder, arrays)


def _source(path: str, arrays: dict[str, Array]) -> Source:
    splits = {part: Split(arrays[x], arrays[y]) for part, (x, y) in PAIRS.items() if x in arrays}
    return Source(path, splits)


def read_npz_arrays(
    path: str, needed: Sequence[str], optional: Iterable[Sequence[str]] = ()
) -> dict[str, Array]:
    """Read arrays of an .npz file by their names.

    The needed ones, and of the optional groups each that has one of its arrays there.

    Raises
    ------
    DataError
        If the file is damaged, an array is missing, or holds objects instead of numbers.
    """
    if not os.path.isfile(path):
        raise missing_file(path)
    remedy = f"write it with numpy.savez(path, {', '.join(f'{name}={name}' for name in needed)})"
    try:
        with zipfile.ZipFile(path) as archive:
            present = {name.removesuffix(".npy") for name in archive.namelist()}
            groups = [group for group in optional if present & set(group)]
            wanted = [*needed, *chain.from_iterable(groups)]
            missing = [name for name in wanted if name not in present]
            if missing:
                fault = (
                    f"has no {' and no '.join(missing)}; it has {', '.join(sorted(present)[:20])}"
                )
                raise DataError(path, fault, remedy)
            return _read_members(path, archive, wanted)
    except DataError:
        raise
    except Exception as error:  # zipfile and numpy.lib.format do not say what a bad file raises
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise DataError(path, f"is not a readable .npz file: {reason}", remedy) from error


def _read_members(path: str, archive: zipfile.ZipFile, names: list[str]) -> dict[str, Array]:
    limit = decompressed_limit(path)
    arrays = {}
    for name in names:
        entry = archive.getinfo(f"{name}.npy")
        limit -= entry.file_size
        if limit < 0:
            fault = "its arrays decompress to unreasonably many bytes"
            raise DataError(path, fault, "write it with numpy.savez, which does not compress")
        with archive.open(entry) as member:
            arrays[name] = _read_array(path, name, member)
            if member.read(1):  # at its end the checksum is compared, too
                raise DataError(path, f"bytes follow after the end of {name}", GET_A_NEW_COPY)
    return arrays


def _read_array(path: str, name: str, member: IO[bytes]) -> Array:
    """Read an array in NumPy's format; DataError with the remedy for one of Python objects."""
    try:
        return np.lib.format.read_array(member, allow_pickle=False)
    except ValueError as error:
        raise _of_objects(path, name, error) or error from None


def _of_objects(path: str, name: str, error: ValueError) -> DataError | None:
    """Return an error for an array of Python objects; None where it is another fault."""
    if not ("Object arrays" in str(error) or "Python objects" in str(error)):
        return None
    remedy = f"save {name}.astype(str), or {name}.astype(float) of numbers"
    return DataError(path, f"{name} holds Python objects, which only pickle could read", remedy)


def read_npy(path: str) -> Array:
    """Read an array of numbers from an .npy file.

    Raises
    ------
    DataError
        If the file is damaged, or holds anything else.
    """
    with open_bounded(path):
        pass  # a path without a file gives the error of the other readers
    try:
        if zipfile.is_zipfile(path):
            raise ValueError("it holds no single array of numbers; name it .npz")
        # A map: nothing is allocated, and what is longer than the file is refused.
        return np.lib.format.open_memmap(path, mode="r")
    except Exception as error:  # numpy.lib.format does not say what a damaged header raises
        objects = (
            _of_objects(path, Path(path).stem, error) if isinstance(error, ValueError) else None
        )
        if objects is not None:
            raise objects from None
        reason = str(error).partition("\n")[0] or type(error).__name__
        remedy = "write it with numpy.save(path, X)"
        raise DataError(path, f"is not a readable .npy file: {reason}", remedy) from error
