"""Rows of arrays on the host that may be larger than memory: taken, chosen, hashed.

A `LazyArray` reads or makes rows when they are requested.  A memory map would not do, because the
pages read from it count as memory of the process.

Shapes: an array is (n, …), rows of it are (m, …).
"""

import itertools
import math
import mmap
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt
from array_api_compat import is_array_api_obj

from pluggable_mlp.arrays import DType
from pluggable_mlp.backends import Backend, backend_of
from pluggable_mlp.backends.transfer import HostArray as Array
from pluggable_mlp.files.hashing import sha256_of

Prepare = Callable[[Array], Array]
Places = npt.NDArray[np.int64]
Range = tuple[int, int]
"""Rows from start to stop."""
Version = tuple[int, int, int, int]

_BYTES_AT_ONCE = 2**22


class Rows(Protocol):
    """A NumPy array, or an object with a shape, a dtype and slices of rows, such as h5py's."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, …)."""

    @property
    def dtype(self) -> DType:
        """The dtype of all values."""

    def __getitem__(self, rows: Any, /) -> Any:
        """Return a slice of rows (m, …)."""


class LazyArray(ABC):
    """An array that makes rows when they are sliced.

    Attributes
    ----------
    shape : tuple of int
        (n, …).
    dtype : numpy.dtype
    ndim : int
    """

    shape: tuple[int, ...]
    dtype: DType
    ndim: int

    def __len__(self) -> int:
        return self.shape[0]

    @abstractmethod
    def __getitem__(self, rows: Any) -> Any:
        """Return a slice of rows (m, …), in memory."""

    @abstractmethod
    def map(self, function: Prepare) -> "LazyArray":
        """Return an array that applies a function to rows, each by itself, when they are taken."""

    def min(self) -> np.generic:
        """Return the smallest of all values, NaN if one is."""
        return self._range[0]

    def max(self) -> np.generic:
        """Return the largest of all values, NaN if one is."""
        return self._range[1]

    @cached_property
    def _range(self) -> tuple[np.generic, np.generic]:
        ends = [(block.min(), block.max()) for block in blocks(self)]
        low, high = np.asarray(ends).T
        return low.min(), high.max()


class StoredArray(LazyArray):
    """An array in C order in a file, read by slices of rows.

    Parameters
    ----------
    path : str
    dtype : numpy.dtype
    shape : tuple of int
        (n, …), as in the file.
    offset : int
        Where the array begins in the file.
    version : tuple of int, optional
        The version of the file, from `_version`; by default the current one.
    chosen : array of int64, optional
        The increasing places of the rows that belong to the array; by default all.
    prepare : callable, optional
        Converts the rows (m, …) read, each on its own.
    """

    def __init__(
        self,
        path: str,
        dtype: DType,
        shape: tuple[int, ...],
        offset: int,
        version: Version | None = None,
        chosen: npt.NDArray[np.int64] | None = None,
        prepare: Prepare | None = None,
    ) -> None:
        if version is None:
            with open(path, "rb") as file:
                version = _version(file)
        self._stored = (path, dtype, shape, offset, version)
        self._chosen, self._prepare = chosen, prepare
        first = self[:1]
        self.dtype: DType = first.dtype
        self.shape: tuple[int, ...] = (len(self), *first.shape[1:])
        self.ndim: int = len(self.shape)

    def __len__(self) -> int:
        return self._stored[2][0] if self._chosen is None else len(self._chosen)

    def __getitem__(self, rows: Any) -> Any:
        """Return a slice of rows (m, …), in memory; or those chosen by flags (n,), still stored.

        Raises
        ------
        OSError
            If they cannot be read, or the file has changed since the array was made.
        """
        if not isinstance(rows, slice):
            places = np.flatnonzero(rows)
            chosen = places if self._chosen is None else self._chosen[places]
            return StoredArray(*self._stored, chosen, self._prepare)
        start, stop, _ = rows.indices(len(self))
        if self._chosen is None:
            values = self._read(start, stop)
        else:
            values = self._among(self._chosen[start:stop])
        return values if self._prepare is None else self._prepare(values)

    def at(self, places: npt.NDArray[np.int64]) -> Array:
        """Return the rows (m, …) at increasing places, in memory; OSError as for a slice."""
        rows = self._among(places if self._chosen is None else self._chosen[places])
        return rows if self._prepare is None else self._prepare(rows)

    def map(self, function: Prepare) -> "StoredArray":
        """Return an array that applies a function to rows, each by itself, when they are read."""
        before = self._prepare
        both = function if before is None else lambda rows: function(before(rows))
        return StoredArray(*self._stored, self._chosen, both)

    def _among(self, places: npt.NDArray[np.int64]) -> Array:
        """Return the rows at increasing places of the file, reading neighbours together."""
        _, dtype, shape, *_ = self._stored
        rows = np.empty((len(places), *shape[1:]), dtype)
        at_once = rows_within(_BYTES_AT_ONCE, self._stored[2], dtype)
        done = 0
        while done < len(places):
            first = int(places[done])
            end = int(np.searchsorted(places, first + at_once))
            near = places[done:end] - first
            rows[done:end] = self._read(first, first + int(near[-1]) + 1)[near]
            done = end
        return rows

    def _read(self, start: int, stop: int) -> Array:
        path, dtype, (_, *row_shape), offset, version = self._stored
        width = int(np.prod(row_shape, dtype=np.int64))
        with open(path, "rb") as file:
            rows = np.fromfile(
                file,
                dtype,
                count=(stop - start) * width,
                offset=offset + start * width * dtype.itemsize,
            )
            now = _version(file)
        if now != version:
            raise OSError(
                f"{path} was replaced or written to while it was in use; put back what it held, "
                "and train again, or go on from a checkpoint with --resume"
            )
        return rows.reshape(stop - start, *row_shape)


def _version(file: BinaryIO) -> Version:
    """Return values that change if the file is replaced or its contents change."""
    status = os.fstat(file.fileno())  # Windows numbers its disks otherwise for a path
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def rows_within(size: int, shape: tuple[int, ...], dtype: DType) -> int:
    """Return how many rows of an array (n, …) fit into this many bytes, at least 1."""
    row: int = math.prod(shape[1:]) * np.dtype(dtype).itemsize
    return max(1, size // max(1, row))


def as_lazy(values: Any) -> Rows:
    """Return an object to slice rows from without keeping them in memory, if known.

    Parameters
    ----------
    values
        A memory map of a whole file in C order becomes a `StoredArray`; what has a shape and a
        dtype stays as it is; anything else becomes an array.
    """
    whole = isinstance(values, np.memmap) and isinstance(values.base, mmap.mmap)
    if whole and values.flags.c_contiguous and values.ndim and len(values):
        path = str(values.filename)
        return StoredArray(path, values.dtype, values.shape, values.offset)
    return values if hasattr(values, "shape") and hasattr(values, "dtype") else np.asarray(values)


def gather(values: Rows, ranges: Iterable[Range]) -> Array:
    """Return the rows from start to stop of each range, one after the other.

    Parameters
    ----------
    values : Rows
    ranges : iterable of (start, stop)
    """
    (start, stop), *others = ranges = list(ranges)
    if not others:
        return np.asarray(values[start:stop])
    rows = np.empty((sum(stop - start for start, stop in ranges), *values.shape[1:]), values.dtype)
    done = 0
    for start, stop in ranges:
        rows[done : done + stop - start] = values[start:stop]
        done += stop - start
    return rows


def blocks(values: Array | LazyArray) -> Iterator[Array]:
    """Yield an array as it is, or rows of a `LazyArray`, some at a time."""
    if not isinstance(values, LazyArray):
        yield values
        return
    at_once = rows_within(_BYTES_AT_ONCE, values.shape, values.dtype)
    for start in range(0, len(values), at_once):
        yield values[start : start + at_once]


def lazy_map(values: Array | LazyArray, function: Prepare) -> Array | LazyArray:
    """Apply a function to rows, each by itself; for a `LazyArray`, when they are taken."""
    return values.map(function) if isinstance(values, LazyArray) else function(values)


def on_host(data: object) -> Array:
    """Return an array of any library, or anything that NumPy converts, as a NumPy array."""
    if is_array_api_obj(data) and not isinstance(data, np.ndarray | np.generic):
        data = backend_of(data).to_numpy(data)
    return np.asarray(data)


def rows_on_host(values: object, backend: Backend) -> Rows:
    """Return `as_lazy` of values, with arrays of the backend's library moved to NumPy."""
    rows = as_lazy(values)
    is_of_library = is_array_api_obj(rows) and not isinstance(rows, np.ndarray)
    return backend.to_numpy(backend.asarray(rows)) if is_of_library else rows


def places_of(ranges: Iterable[Range], order: Places | None = None) -> Places:
    """Return the places (n,) in ranges of rows, or order (n,) as indices into them."""
    parts = [np.arange(start, stop) for start, stop in ranges]
    places = np.concatenate(parts) if parts else np.arange(0)
    return places if order is None else places[order]


def rows_at(values: Rows, places: Places) -> Array:
    """Return the rows at places of any shape, which differ unless there are several axes."""
    if isinstance(values, np.ndarray):
        return values[places]
    if places.ndim > 1:
        different, where = np.unique(places, return_inverse=True)
        return rows_at(values, different)[where.reshape(places.shape)]
    order = np.argsort(places)
    at_once = rows_within(_BYTES_AT_ONCE, values.shape, values.dtype)
    result: Array = np.empty((len(places), *values.shape[1:]), values.dtype)
    for start in range(0, len(places), at_once):
        some = order[start : start + at_once]
        if isinstance(values, StoredArray):
            result[some] = values.at(places[some])
        else:
            result[some] = gather(values, _runs(places[some]))
    return result


def _runs(places: Places) -> list[Range]:
    """Return the ranges that increasing places form."""
    ends = [0, *(np.flatnonzero(np.diff(places) > 1) + 1).tolist(), len(places)]
    return [
        (int(places[start]), int(places[stop - 1]) + 1)
        for start, stop in itertools.pairwise(ends)
        if start < stop
    ]


def sha256_of_rows(values: Rows) -> str:
    """Return the SHA-256 of shape, dtype and values."""
    head = f"{values.dtype} {tuple(values.shape)}"
    at_once = rows_within(_BYTES_AT_ONCE, values.shape, values.dtype)
    values = values if values.shape else np.asarray([values])
    starts = range(0, values.shape[0], at_once)
    parts = (np.asarray(values[start : start + at_once]) for start in starts)
    return sha256_of(itertools.chain([head], parts))
