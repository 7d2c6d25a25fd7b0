"""Files of arrays: .npz, .npy, folders of .npy, IDX files, and the classic pickle of MNIST.

Also the bytes of any file, plain or gzipped, and how many it may unpack to.

No file runs code: Python objects are refused, and the pickle may name only three objects of NumPy,
which a class of this file replaces.

Shapes: X (n, ...), y (n,) or (n, outputs).
"""

import gzip
import io
import math
import os
import pickle
import struct
import zlib
from collections.abc import Callable, Collection, Sequence
from typing import Any, ClassVar

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.errors import DataError
from pluggable_mlp.data.values import PIXEL_SCALE, Split, Splits, as_bytes
from pluggable_mlp.fields import NonNegative, convert

PAIRS = {
    "train": ("X", "y"),
    "test": ("X_test", "y_test"),
    "validation": ("X_validation", "y_validation"),
}
"""The names of the inputs and the targets of each split."""

IDX_NAMES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
"""The published names of the four IDX files, by their split."""

CHUNK = 2**20
GZIP_MAGIC = b"\x1f\x8b"
GET_A_NEW_COPY = "get a new copy of the file"
UNPACKED_GIB = "PLUGGABLE_MLP_UNPACKED_GIB"
"""The environment variable with the size that any file may become, in GiB."""

_DEFAULT_GIB = "0.0625"
_TIMES = 256
"""A file may also become this many times its size, more than any uncompressed file does."""


def check_file(path: str) -> None:
    """Raise `DataError` unless it is a regular file; say where a relative path begins."""
    if os.path.isdir(path):
        raise DataError(path, "is a folder", "give a file")
    if not os.path.isfile(path):  # a device or a pipe might never end
        start = "" if os.path.isabs(path) else f", which begins in {os.getcwd()}"
        raise DataError(path, "there is no such file", f"check the path{start}")


def read_bytes(path: str) -> bytearray:
    """Return all bytes of a file, decompressed if its first two are those of gzip.

    Raises
    ------
    DataError
        If it is not a readable regular file, not a whole gzip file, or becomes too large.
    """
    check_file(path)
    data, most = bytearray(), _most_bytes(path)
    try:
        with open(path, "rb") as file:
            is_packed = file.read(2) == GZIP_MAGIC
            file.seek(0)
            stream = gzip.GzipFile(fileobj=file) if is_packed else file
            while len(data) <= most and (chunk := stream.read(CHUNK)):
                data += chunk
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(path, f"cannot be read: {error}", GET_A_NEW_COPY) from error
    check_unpacked(path, len(data))
    return data


def check_unpacked(path: str, size: int) -> None:
    """Raise `DataError` if a file would take too many bytes in memory."""
    most = _most_bytes(path)
    if size > most:
        fault = f"becomes more than {most / 2**20:,.0f} MiB in memory, the most for its size"
        raise DataError(path, fault, f"if you trust it, set {UNPACKED_GIB} to more, such as 4")


def _most_bytes(path: str) -> float:
    """Return how many bytes a file may become: 64 MiB, or 256 times its size if that is more."""
    text = os.environ.get(UNPACKED_GIB, _DEFAULT_GIB)
    gib: float = convert(UNPACKED_GIB, text, NonNegative, text)
    return max(gib * 2**30, _TIMES * os.path.getsize(path))


def read_arrays(path: str) -> Splits:
    """Read a folder with `X.npy` and `y.npy` or of four IDX files, an .npz, or MNIST's pickle.

    Raises
    ------
    DataError
        If a file is missing or damaged, or holds anything but arrays of numbers or texts.
    """
    if path.lower().endswith(".npz"):
        arrays = read_npz(path, [name for pair in PAIRS.values() for name in pair])
        return _splits(path, arrays, arrays.__getitem__)
    if not os.path.isdir(path):
        return _read_pickle(path)
    if not os.path.isfile(os.path.join(path, "X.npy")):
        return read_idx_folder(path)
    names = [name.removesuffix(".npy") for name in os.listdir(path) if name.endswith(".npy")]
    return _splits(path, names, lambda name: read_npy(f"{path}/{name}.npy"))


def _splits(path: str, names: Collection[str], read: Callable[[str], Array]) -> Splits:
    """Return the splits whose arrays are among the names of a file or a folder."""
    splits = {}
    for part, pair in PAIRS.items():
        missing = [name for name in pair if name not in names]
        if len(missing) == 1 or (missing and part == "train"):
            fault = f"has no {' and no '.join(missing)}; it has {', '.join(sorted(names)[:20])}"
            raise DataError(path, fault, "write numpy.savez(path, X=X, y=y), or X.npy and y.npy")
        if not missing:
            splits[part] = Split(*map(read, pair))
    return splits


def read_npz(path: str, names: Sequence[str]) -> dict[str, Array]:
    """Read the arrays of an .npz file that have one of these names.

    Raises
    ------
    DataError
        If the file is damaged, has none of them, or holds objects instead of numbers.
    """
    check_file(path)
    open_npz: Any = np.lib.npyio.NpzFile  # `np.load` would take an .npy, too
    try:
        with open_npz(path) as archive:
            present = [name for name in names if name in archive.files]
            if not present:
                fault = f"has no {names[0]}; it has {', '.join(archive.files[:20])}"
                raise DataError(path, fault, "name the arrays as numpy.savez(path, X=X, y=y) does")
            members = [archive.zip.getinfo(f"{name}.npy") for name in present]
            check_unpacked(path, sum(member.file_size for member in members))
            return {name: np.asarray(archive[name]) for name in present}
    except DataError:
        raise
    except Exception as error:  # zipfile and numpy.lib.format do not say what a bad file raises
        raise _unreadable(path, ".npz", error) from error


def _unreadable(path: str, kind: str, error: Exception) -> DataError:
    reason = str(error).partition("\n")[0] or type(error).__name__
    remedy = "write it with numpy.save or savez, objects by .astype(float) or .astype(str)"
    return DataError(path, f"is not a readable {kind} file: {reason}", remedy)


def read_npy(path: str) -> Array:
    """Map an array from an .npy file; one that is longer than its file is refused.

    Raises
    ------
    DataError
        If the file is damaged, or holds anything but numbers or texts.
    """
    check_file(path)
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except Exception as error:  # numpy.lib.format does not say what a damaged header raises
        raise _unreadable(path, ".npy", error) from error


def read_idx(path: str) -> Array:
    """Read one IDX file of unsigned bytes, plain or gzipped.

    It is 0, 0, the type of its entries (8: unsigned byte), the number of axes, each axis's length
    as a big-endian 32-bit integer, and the entries in C order
    (LeCun, Cortes, Burges, http://yann.lecun.com/exdb/mnist).

    Returns
    -------
    array of uint8
        In the shape that the file's header gives.

    Raises
    ------
    DataError
        If the file is not exactly what its header says.
    """
    data = read_bytes(path)
    axes = data[3] if data[:3] == b"\0\0\x08" and len(data) > 3 else 0
    start = 4 + 4 * axes
    if not 1 <= axes <= 4 or len(data) < start:
        fault = f"is not an IDX file of bytes: it begins with {data[:4].hex(' ') or 'nothing'}"
        raise DataError(path, fault, "one of bytes begins with 00 00 08 01 to 00 00 08 04")
    shape = struct.unpack_from(f">{axes}I", data, 4)
    if len(data) - start != math.prod(shape):
        fault = f"holds {len(data) - start} bytes, and its shape {shape} needs {math.prod(shape)}"
        raise DataError(path, fault, GET_A_NEW_COPY)
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def find_idx(folder: str, file_name: str) -> str | None:
    """Return the path of a file in the folder, plain or with .gz, or None."""
    paths = (os.path.join(folder, file_name + suffix) for suffix in ("", ".gz"))
    return next(filter(os.path.isfile, paths), None)


def read_idx_folder(folder: str) -> Splits:
    """Read a folder with the four IDX files that MNIST and its successors consist of."""
    splits = {}
    for part, file_names in IDX_NAMES.items():
        paths = [find_idx(folder, file_name) or file_name for file_name in file_names]
        if missing := [path for path in paths if path in file_names]:
            fault = f"the folder has no {missing[0]} and no {missing[0]}.gz"
            raise DataError(folder, fault, "put all four IDX files of the data set into it")
        splits[part] = Split(*map(read_idx, paths))
    return splits


def _read_pickle(path: str) -> Splits:
    """Read the classic pickle ((x, y), (x, y), (x, y)): training, validation and test part.

    It is of protocol 2 (Python 2), 3 or 4, plain or gzipped.  Inputs that are multiples of 1/256
    from 0 to 255/256, as in the published file, become the uint8 pixels that they were made of,
    worth 1/256 each: the same values.  Other floats are kept as they are.
    """
    try:
        content = _Unpickler(io.BytesIO(read_bytes(path)), encoding="bytes").load()
        pairs = [Split(x.array(), y.array()) for x, y in content]
        if len(pairs) != len(PAIRS):
            raise ValueError(f"it has {len(pairs)} pairs")
    except DataError:
        raise
    except Exception as error:  # pickle does not document what a damaged file raises
        fault = f"is not a pickle of three pairs of NumPy arrays: {str(error)[:200]}"
        raise DataError(path, fault, "save X and y with numpy.savez instead") from error
    pixels = [as_bytes(inputs, PIXEL_SCALE) for inputs, _ in pairs]
    if all(values is not None for values in pixels):
        pairs = [Split(values, y) for values, (_, y) in zip(pixels, pairs, strict=True)]
    return dict(zip(("train", "validation", "test"), pairs, strict=True))


class _Stored:
    """Stands for the array, its maker and its dtype: keeps what the file says of them."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def array(self) -> Array:
        """Return the array, whose values are bytes of the file."""
        _, shape, kind, is_fortran, data = self.state
        order = ">" if kind.state[1] in (">", b">") else "<"
        dtype = np.dtype(kind.arguments[0]).newbyteorder(order)
        if dtype.kind not in "fiu":
            raise ValueError("a dtype is not one of numbers")
        return np.frombuffer(data, dtype).reshape(shape, order="F" if is_fortran else "C")


_MOST_OPERATIONS = 10_000
"""Three pairs of arrays take about a hundred."""

_REFUSED = b"sud\x90\x91\x96"  # SETITEM, SETITEMS, DICT, ADDITEMS, FROZENSET, BYTEARRAY8


def _limit(load: Callable[[Any], None]) -> Callable[["_Unpickler"], None]:
    """Return an operation of a pickle that is refused beyond a number of them."""

    def operation(unpickler: "_Unpickler") -> None:
        unpickler.operations += 1
        if unpickler.operations > _MOST_OPERATIONS:
            raise ValueError(f"it has more than {_MOST_OPERATIONS:,} operations")
        load(unpickler)

    return operation


class _Unpickler(pickle._Unpickler):
    """Looks no name up, and knows three of NumPy: nothing that a file names is run.

    Unlike the unpickler in C, the one in Python takes no memory that a file only announces, but for
    a bytearray.  Nothing is hashed: a nest of tuples, each held twice, would take two to the power
    of its depth steps.
    """

    dispatch: ClassVar[Any] = {
        code: _limit(load)
        for code, load in pickle._Unpickler.dispatch.items()
        if code not in _REFUSED
    }
    operations = 0

    def find_class(self, module: str, name: str) -> type:
        """Return the substitute for an admitted name; refuse any other."""
        if name not in _NAMES.get(module, ()):
            raise ValueError(f"it names {f'{module}.{name}'[:100]!r}, which is refused")
        return _Stored


_NAMES = {
    "numpy": ("ndarray", "dtype"),
    "numpy.core.multiarray": ("_reconstruct",),
    "numpy._core.multiarray": ("_reconstruct",),
}
