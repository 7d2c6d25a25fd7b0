"""Rows of arrays on the host, also in files: chosen in any order, and their hash."""

import hashlib
import itertools
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from array_api_compat import is_array_api_obj

from pluggable_mlp.arrays import Array
from pluggable_mlp.backends import Backend, backend_of
from pluggable_mlp.shortcuts import on_device_of
from pluggable_mlp.stored import Range, Rows, StoredArray, as_rows, gather

__all__ = [
    "Places",
    "bytes_of_row",
    "on_host",
    "places_of",
    "rows_at",
    "rows_on_host",
    "sha256_of_rows",
]

Places = npt.NDArray[np.int64]

_BYTES_AT_ONCE = 2**22


def on_host(data: Array) -> npt.NDArray[Any]:
    """Return an array of any library, or what NumPy makes one of, as NumPy's."""
    if is_array_api_obj(data) and not isinstance(data, np.ndarray | np.generic):
        with on_device_of(data):  # to make a backend may change the current device
            data = backend_of(data).to_numpy(data)
    return np.asarray(data)


def rows_on_host(values: Any, backend: Backend) -> Rows:
    """Return `as_rows` of values, of arrays of the backend's library in NumPy."""
    rows = as_rows(values)
    is_of_library = is_array_api_obj(rows) and not isinstance(rows, np.ndarray)
    return backend.to_numpy(backend.asarray(rows)) if is_of_library else rows


def places_of(ranges: Iterable[Range], order: Places | None = None) -> Places:
    """Return the places (n,) in ranges of rows, or order (n,) as indices into them."""
    parts = [np.arange(start, stop) for start, stop in ranges]
    places = np.concatenate(parts) if parts else np.arange(0)
    return places if order is None else places[order]


def rows_at(values: Rows, places: Places) -> Array:
    """Return the rows at different places, in their order."""
    if isinstance(values, np.ndarray):
        return values[places]
    order = np.argsort(places)
    at_once = max(1, _BYTES_AT_ONCE // bytes_of_row(values))
    result = np.empty((len(places), *values.shape[1:]), values.dtype)
    for start in range(0, len(places), at_once):
        some = order[start : start + at_once]
        is_stored = isinstance(values, StoredArray)
        result[some] = values.at(places[some]) if is_stored else gather(values, _runs(places[some]))
    return result


def _runs(places: Places) -> list[Range]:
    """Return the ranges that increasing places make."""
    ends = [0, *(np.flatnonzero(np.diff(places) > 1) + 1).tolist(), len(places)]
    return [
        (int(places[start]), int(places[stop - 1]) + 1)
        for start, stop in itertools.pairwise(ends)
        if start < stop
    ]


def bytes_of_row(values: Rows) -> int:
    """Return how much memory a row takes, at least 1."""
    return max(1, int(math.prod(values.shape[1:])) * int(np.dtype(values.dtype).itemsize))


def sha256_of_rows(values: Rows) -> str:
    """Return the SHA-256 of shape, dtype and values."""
    sha = hashlib.sha256(f"{values.dtype} {tuple(values.shape)}".encode())
    at_once = max(1, _BYTES_AT_ONCE // bytes_of_row(values))
    values = values if values.shape else np.asarray([values])
    for start in range(0, values.shape[0], at_once):
        sha.update(np.ascontiguousarray(values[start : start + at_once]).tobytes())
    return sha.hexdigest()
