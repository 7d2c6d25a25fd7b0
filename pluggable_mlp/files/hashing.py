"""SHA-256 of arrays, texts and all parameters of a network.

The bytes of an array are hashed little-endian, in C order.
"""

import hashlib
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pluggable_mlp.arrays import LibraryArrays
from pluggable_mlp.arrays.shortcuts import backend_context

if TYPE_CHECKING:
    from pluggable_mlp.backends import Backend

HostArray: TypeAlias = NDArray[Any]

HASH_DIGITS = 16
"""Digits of the hash of a single tensor, the first 64 bits of its SHA-256."""


def sha256_of(parts: Iterable[str | bytes | HostArray]) -> str:
    """Return the hexadecimal SHA-256 of texts, in UTF-8, bytes and arrays, one after the other."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            digest.update(part.encode())
        else:
            digest.update(part if isinstance(part, bytes) else little_endian(part).data)
    return digest.hexdigest()


def parameters_sha256(parameters: LibraryArrays, backend: "Backend | None" = None) -> str:
    """Return the SHA-256 over all parameters in layer order, W before b.

    They are arrays of the backend, by default NumPy's.
    """
    return sha256_of(_tensors(parameters, backend))


def tensor_hashes(parameters: LibraryArrays, backend: "Backend | None" = None) -> str:
    """Return the hashes of all parameters, one after the other, each of `HASH_DIGITS` digits."""
    return "".join([sha256_of([array])[:HASH_DIGITS] for array in _tensors(parameters, backend)])


def tensor_names(parameters: LibraryArrays) -> list[str]:
    """Return the names of all parameters, such as "0.W", in the order of the hashes."""
    return [f"{index}.{name}" for index, layer in enumerate(parameters) for name in sorted(layer)]


def _tensors(parameters: LibraryArrays, backend: "Backend | None") -> list[HostArray]:
    """Return the parameters in the order of the hashes, as arrays of NumPy."""
    arrays = [layer[name] for layer in parameters for name in sorted(layer)]
    if backend is None:
        return [*map(np.asarray, arrays)]
    if not getattr(backend, "queued", False) or len({array.dtype for array in arrays}) != 1:
        return [*map(backend.to_numpy, arrays)]
    xp = backend.xp
    with backend_context(backend):  # one download of all, if each waits for the device
        joined = backend.to_numpy(xp.concat([xp.reshape(array, (-1,)) for array in arrays]))
    sizes = [math.prod(array.shape) for array in arrays]
    parts = np.split(joined, np.cumsum(sizes)[:-1])
    return [part.reshape(array.shape) for part, array in zip(parts, arrays, strict=True)]


def little_endian(array: HostArray) -> HostArray:
    """Return an array in C order with little-endian bytes."""
    return array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
