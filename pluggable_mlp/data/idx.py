"""Files in the IDX format, in which MNIST and Fashion-MNIST are published.

A file is 0, 0, the type of its entries (8: unsigned byte), the number of axes, each axis's
length as a big-endian 32-bit integer, and the entries in C order
(LeCun, Cortes, Burges, http://yann.lecun.com/exdb/mnist).  Only unsigned bytes are read.
Where published files are found and what their hashes are belongs in `mnist.py`.
"""

import hashlib
import math
import os
import struct

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.dataset import DataError, Source, Split
from pluggable_mlp.data.files import GET_A_NEW_COPY, open_bounded

__all__ = ["FILE_NAMES", "find_idx", "idx_sha256", "idx_source", "read_idx", "read_idx_folder"]

FILE_NAMES = {
    "train_inputs": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_inputs": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}
"""The published names of the four files, by what each holds."""

UNSIGNED_BYTE = 8


def find_idx(folder: str, file_name: str) -> str | None:
    """Return the path of a file in the folder, plain or with .gz; None where there is none."""
    for suffix in ("", ".gz"):
        path = os.path.join(folder, file_name + suffix)
        if os.path.isfile(path):
            return path
    return None


def read_idx(path: str) -> Array:
    """Read one IDX file of unsigned bytes, plain or gzipped.

    Returns
    -------
    array of uint8
        In the shape that the file's header gives.

    Raises
    ------
    DataError
        If the file is not exactly what its header says.
    """
    with open_bounded(path) as file:
        magic = file.read(min(4, file.remaining))
        if len(magic) < 4 or magic[:2] != b"\0\0" or not 1 <= magic[3] <= 4:
            fault = f"is not an IDX file: it begins with {magic.hex(' ') or 'nothing'}"
            raise DataError(path, fault, "an IDX file begins with 00 00 08 01 to 00 00 08 04")
        if magic[2] != UNSIGNED_BYTE:
            fault = f"holds entries of type {magic[2]:#04x}"
            raise DataError(path, fault, "only unsigned bytes (type 0x08) are read")
        lengths = file.read(4 * magic[3])
        if len(lengths) < 4 * magic[3]:
            raise DataError(path, "is truncated in its header", GET_A_NEW_COPY)
        shape = struct.unpack(f">{magic[3]}I", lengths)
        due = math.prod(shape)
        file.admit(due)
        data = np.empty(due, dtype=np.uint8)
        present = file.readinto(data)
        if present < due:
            fault = f"is truncated: {present} bytes of data, shape {shape} needs {due}"
            raise DataError(path, fault, GET_A_NEW_COPY)
        file.expect_end()
    return data.reshape(shape)


def idx_sha256(array: Array) -> str:
    """Return the SHA-256 of the uncompressed IDX file that holds an array of uint8."""
    header = struct.pack(f">4B{array.ndim}I", 0, 0, UNSIGNED_BYTE, array.ndim, *array.shape)
    digest = hashlib.sha256(header)
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def read_idx_folder(folder: str) -> Source:
    """Read a folder with the four IDX files that MNIST and its successors consist of.

    Parameters
    ----------
    folder : str
        Holds train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and
        t10k-labels-idx1-ubyte, each plain or with .gz.

    Raises
    ------
    DataError
        If a file is missing or damaged, or if the four do not go together.
    """
    arrays = {}
    for field, file_name in FILE_NAMES.items():
        path = find_idx(folder, file_name)
        if path is None:
            fault = f"the folder has no {file_name} and no {file_name}.gz"
            raise DataError(folder, fault, "put all four IDX files of the data set into it")
        arrays[field] = read_idx(path)
    return idx_source(folder, arrays)


def idx_source(name: str, arrays: dict[str, Array]) -> Source:
    """Return the arrays of the four files, by the keys of `FILE_NAMES`, as what a reader gives."""
    splits = {
        part: Split(arrays[f"{part}_inputs"], arrays[f"{part}_labels"])
        for part in ("train", "test")
    }
    return Source(name, splits)
