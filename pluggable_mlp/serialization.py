"""Arrays with a description in one file: safetensors, whose metadata hold JSON and a hash.

The metadata "pluggable_mlp" is the description as JSON, and "sha256" the hash of that text and of
each array's name, dtype, shape and bytes.  It finds damage, not forgery.  Nothing in a file is
executed.  What a description says belongs elsewhere.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from pluggable_mlp.storage import damaged, read_file, write_file

__all__ = ["Arrays", "read_arrays", "write_arrays"]

Arrays = dict[str, NDArray[Any]]


def write_arrays(path: Path, arrays: Arrays, description: Any) -> None:
    """Write a file, whole or not at all.

    Parameters
    ----------
    path : Path
    arrays : dict of numpy.ndarray
    description
        What JSON can hold, and NaN and infinity.

    Raises
    ------
    OSError
        As `write_file`.
    """
    little = {
        name: np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        for name, array in arrays.items()
    }
    text = json.dumps(description)
    metadata = {"pluggable_mlp": text, "sha256": _sha256(text, little)}
    write_file(path, save(little, metadata=metadata))


def read_arrays(path: Path, expected: str) -> tuple[Any, Arrays]:
    """Return the description and the arrays of a file.

    Parameters
    ----------
    path, expected
        As for `read_file`.

    Raises
    ------
    ValueError
        If it cannot be read, is no such file, or has changed since it was written.
    """
    data = read_file(path, expected)
    with damaged(path):
        length = int.from_bytes(data[:8], "little")
        try:
            metadata = json.loads(data[8 : 8 + length])["__metadata__"]
            text, stated = metadata["pluggable_mlp"], metadata["sha256"]
            arrays: Arrays = load(data)
        except (SafetensorError, UnicodeDecodeError) as error:
            raise ValueError(str(error)) from None
        if _sha256(text, arrays) != stated:
            raise ValueError("its SHA-256 is another than it states")
        return json.loads(text), arrays


def _sha256(text: str, arrays: Arrays) -> str:
    digest = hashlib.sha256(text.encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.name} {array.shape}".encode())
        digest.update(array.data)
    return digest.hexdigest()
