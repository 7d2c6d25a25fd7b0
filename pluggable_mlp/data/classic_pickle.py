"""The classic mnist.pkl.gz: MNIST as a pickle of three pairs, for training, validation and test.

A pickle may call what it names, and CPython's unpickler can be made to fill the memory by a file
of ten bytes (https://github.com/python/cpython/issues/115952, mended in Python 3.15).  Therefore
a file is read twice: first only its operations are looked at, and what arrays do not need is
refused; then `pickle.Unpickler` reads it, with three NumPy names, `_reconstruct`, `ndarray` and
`dtype`, that stand for the recorders of this file.  No other name is looked up.
"""

import math
import pickle
import pickletools
from typing import Any

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.dataset import PIXEL_SCALE, DataError, Source, Split
from pluggable_mlp.data.files import BoundedFile, open_bounded
from pluggable_mlp.data.preprocessing import as_bytes

__all__ = ["read_classic_pickle", "read_pickled_arrays"]

SPLITS = ("train", "validation", "test")
MOST_OPERATIONS = 10_000
"""MNIST's classic pickle has about 110."""

# fmt: off
OPERATIONS = frozenset((
    "PROTO", "FRAME", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1",
    "BININT2", "BINSTRING", "SHORT_BINSTRING", "BINUNICODE", "SHORT_BINUNICODE", "BINBYTES",
    "SHORT_BINBYTES", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST",
    "APPEND", "APPENDS", "BINPUT", "LONG_BINPUT", "MEMOIZE", "BINGET", "LONG_BINGET", "GLOBAL",
    "STACK_GLOBAL", "REDUCE", "BUILD",
))
# fmt: on
"""What arrays need of protocols 2 to 4.

Nothing here hashes, compares or prints what a file builds: a tuple of tuples of tuples, each held
twice, would take two to the power of its depth steps.
"""

DTYPES = frozenset(("f4", "f8", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8"))
MOST_AXES = 4
MOST_ARRAYS = 6
REMEDY = "save the arrays with numpy.savez instead, or get a new copy of the file"


def read_classic_pickle(path: str) -> Source:
    """Read a pickle ((x, y), (x, y), (x, y)): training, validation and test part.

    The three parts stay three: training uses the first (50,000 of MNIST's images), as the
    classic exercises do; the second (10,000) is the split "validation".  Inputs that are
    multiples of 1/256 from 0 to 255/256, as in the published file, become the uint8 pixels that
    they were made of, worth 1/256 each: the same values.  Other floats are kept as they are.

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
    parts = read_pickled_arrays(path)
    if not _is_three_pairs(parts):
        fault = "does not hold three pairs of inputs and labels"
        raise DataError(path, fault, "pickle ((x, y), (x, y), (x, y)), or use .npz with X and y")
    splits = {name: Split(*part) for name, part in zip(SPLITS, parts, strict=True)}
    pixels = {name: as_bytes(part.inputs, PIXEL_SCALE) for name, part in splits.items()}
    if all(values is not None for values in pixels.values()):
        splits = {name: Split(pixels[name], part.targets) for name, part in splits.items()}
    return Source(path, splits)


def _is_three_pairs(parts: Any) -> bool:
    return (
        isinstance(parts, list)
        and len(parts) == 3
        and all(isinstance(part, list) and len(part) == 2 for part in parts)
        and all(isinstance(values, np.ndarray) for part in parts for values in part)
    )


def read_pickled_arrays(path: str) -> Any:
    """Read a pickle of NumPy arrays of numbers, plain or gzipped.

    Returns
    -------
    array, or list of arrays and of lists of arrays
        For a tuple or a list in the file; the arrays are read-only.

    Raises
    ------
    DataError
        If the file is damaged, or holds anything else.
    """
    try:
        with open_bounded(path) as file:
            _check_operations(file)
        with open_bounded(path) as file:
            return _arrays(_ArrayUnpickler(file, encoding="bytes").load())
    except DataError:
        raise
    except Exception as error:  # pickle does not say what a damaged file makes it raise
        raise DataError(path, f"is not a pickle of NumPy arrays: {error}", REMEDY) from error


def _check_operations(file: BoundedFile) -> None:
    """Raise an error unless a pickle has few operations, all of those that arrays need."""
    # genops reads and reads lines, nothing more; its type asks for a whole file.
    for count, (operation, argument, _) in enumerate(pickletools.genops(file)):  # type: ignore[arg-type]
        if operation.name not in OPERATIONS or count > MOST_OPERATIONS:
            raise ValueError(f"arrays need no operation {count}, {operation.name}")
        if operation.name == "LONG_BINPUT" and int(argument or 0) > MOST_OPERATIONS:
            raise ValueError(f"operation {count} asks for a memo of {argument} entries")
    file.expect_end()


def _arrays(item: Any, depth: int = 0) -> Any:
    if isinstance(item, tuple | list) and depth < 2 and len(item) <= MOST_ARRAYS:
        return [_arrays(part, depth + 1) for part in item]
    if isinstance(item, _NDArray) and item.values is not None:
        return item.values
    raise ValueError("it holds more than a few tuples of a few arrays")


class _ArrayUnpickler(pickle.Unpickler):
    """Knows three names of NumPy, and looks none of them up."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for an admitted name; refuse any other."""
        if (module, name) not in ADMITTED:
            raise ValueError(f"it names {f'{module}.{name}'[:100]!r}, which is refused")
        return ADMITTED[module, name]

    def persistent_load(self, _: Any) -> Any:
        """Refuse what is stored elsewhere."""
        raise ValueError("it refers to an object that is stored elsewhere")


class _DType:
    """Stands for numpy.dtype."""

    def __init__(self, code: Any, *_: Any) -> None:
        self.code, self.byte_order = _text(code), "="
        if self.code not in DTYPES:
            raise ValueError(f"a dtype, {self.code[:20]!r}, is not one of numbers")

    def __setstate__(self, state: Any) -> None:
        self.byte_order = order if (order := _text(state[1])) in ("<", ">") else "="


class _NDArray:
    """Stands for numpy.ndarray: an array, once its state is set."""

    values: Array = None

    def __setstate__(self, state: Any) -> None:
        """Set the state as `numpy.ndarray.__setstate__` would, after checking every part."""
        _version, shape, dtype, fortran_order, data = state
        if not (
            isinstance(dtype, _DType)
            and isinstance(shape, tuple)
            and len(shape) <= MOST_AXES
            and all(type(length) is int and length >= 0 for length in shape)
        ):
            raise ValueError("an array has no proper shape and dtype")
        # A view: no array takes memory beside its bytes, which may serve for several.
        values = np.frombuffer(data, dtype=np.dtype(dtype.byte_order + dtype.code))
        if math.prod(shape) != values.size:
            raise ValueError(f"an array of shape {shape} has {values.size} entries")
        self.values = values.reshape(shape, order="F" if fortran_order else "C")


def _reconstruct(kind: Any, *_: Any) -> _NDArray:
    """Stand for numpy._core.multiarray._reconstruct."""
    if kind is not _NDArray:
        raise ValueError("an array is of a class of its own")
    return _NDArray()


def _text(value: Any) -> str:
    """Return a short text, which Python 2 wrote as bytes."""
    text = value.decode("latin1") if isinstance(value, bytes) else value
    if not isinstance(text, str):
        raise TypeError(f"a text is of type {type(value).__name__}")
    return text


ADMITTED = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): _NDArray,
    ("numpy", "dtype"): _DType,
}
