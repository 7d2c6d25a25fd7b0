"""Parameters on disk, and their hashes.

One safetensors file holds the parameters by layer and name ("0.W", "0.b", "1.W", …); the hash is
SHA-256 over every parameter in layer order, W before b, each as little-endian bytes in C order.
`tensor_hashes` gives a short one for each.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import load, save

from pluggable_mlp.backends import Backend
from pluggable_mlp.storage import read_file, write_file
from pluggable_mlp.training.trees import Tree

__all__ = [
    "HASH_DIGITS",
    "load_parameters",
    "parameters_sha256",
    "save_parameters",
    "tensor_file",
    "tensor_hashes",
    "tensor_names",
]

HASH_DIGITS = 16
"""Of the hash of a single tensor: the first of its SHA-256, 64 bits."""


def save_parameters(path: Path, parameters: Tree, backend: Backend, sha256: str) -> None:
    """Write parameters to a safetensors file, and read it back.

    Parameters
    ----------
    path : Path
    parameters : list of dict of arrays
        Of the backend.
    backend : Backend
    sha256 : str
        Their `parameters_sha256`.

    Raises
    ------
    OSError
        If the file cannot be written.
    ValueError
        If the hash of the file's content differs.
    """
    tensors = {
        f"{index}.{name}": _little_endian(backend.to_numpy(array))
        for index, layer in enumerate(parameters)
        for name, array in layer.items()
    }
    write_file(path, tensor_file(tensors))
    load_parameters(path, backend, sha256)


def tensor_file(tensors: dict[str, Any], metadata: dict[str, str] | None = None) -> bytes:
    """Return NumPy arrays by their names as the bytes of a safetensors file.

    Raises
    ------
    MemoryError
        If there is no room for it: safetensors would end the process, which has a run to save.
    """
    bytearray(2**20 + 3 * sum(array.nbytes for array in tensors.values()))
    content: bytes = save(tensors, metadata)
    return content


def load_parameters(path: Path, backend: Backend, sha256: str) -> Tree:
    """Read parameters from a safetensors file to the backend.

    Parameters
    ----------
    path : Path
    backend : Backend
    sha256 : str
        The `parameters_sha256` of the saved parameters.

    Raises
    ------
    ValueError
        If the file cannot be read, does not contain the tensors of a network, or has changed since
        it was saved.
    """
    layers = _layers(path, read_file(path, "a model that train --output wrote"))
    found = _sha256(array for layer in layers for _, array in sorted(layer.items()))
    if found != sha256:
        raise ValueError(
            f"{path} holds parameters of SHA-256 {found}, expected {sha256} as trained: the file "
            "is damaged or of another run"
        )
    return [{name: backend.asarray(array) for name, array in layer.items()} for layer in layers]


def parameters_sha256(parameters: Tree, backend: Backend) -> str:
    """Return the hexadecimal SHA-256 over all parameters, as the file's first lines say."""
    return _sha256(
        backend.to_numpy(array) for layer in parameters for _, array in sorted(layer.items())
    )


def tensor_names(parameters: Tree) -> list[str]:
    """Return the names of all tensors, such as "0.W", in the order of the hashes."""
    return [f"{index}.{name}" for index, layer in enumerate(parameters) for name in sorted(layer)]


def tensor_hashes(parameters: Tree, backend: Backend) -> str:
    """Return the hashes of all tensors, one after the other, each of `HASH_DIGITS` digits."""
    return "".join(
        _sha256([backend.to_numpy(layer[name])])[:HASH_DIGITS]
        for layer in parameters
        for name in sorted(layer)
    )


def _sha256(arrays: Iterable[Any]) -> str:
    """Return the hash of NumPy arrays in the order of the file's first lines: "W" < "b"."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(_little_endian(array).data)
    return digest.hexdigest()


def _little_endian(array: Any) -> Any:
    """Return a NumPy array in C order with little-endian bytes.

    safetensors writes the memory as it is, whatever the strides.
    """
    return array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)


def _layers(path: Path, content: bytes) -> Tree:
    """Return the NumPy arrays of a safetensors file by layers; ValueError if it is another."""
    try:
        tensors = load(content)
    except (SafetensorError, KeyError, ValueError) as error:  # KeyError: a dtype of its own
        raise ValueError(f"{path} is not a file of a network's parameters: {error!r}") from None
    count = len({key.partition(".")[0] for key in tensors})
    numbers = {str(number): number for number in range(count)}
    layers: Tree = [{} for _ in range(count)]
    for key, array in sorted(tensors.items()):
        index, _, name = key.partition(".")
        if index not in numbers:
            raise ValueError(
                f"{path} is not a file of a network's parameters: it holds {key[:50]!r}, expected "
                "a layer's number and a name such as '0.W', with no layer left out"
            )
        layers[numbers[index]][name] = array
    return layers
