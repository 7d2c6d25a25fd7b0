"""Parameters on disk, and their hash.

One safetensors file holds the parameters by layer and name ("0.W", "0.b", "1.W", …); the hash is
SHA-256 over every parameter in layer order, W before b, each as little-endian bytes in C order.
"""

import hashlib
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from pluggable_mlp.training.trees import Tree

__all__ = ["load_parameters", "parameters_sha256", "save_parameters"]


def save_parameters(path: Path, parameters: Tree, backend: Any) -> None:
    """Write parameters, arrays of the backend, to a safetensors file."""
    tensors = {
        f"{index}.{name}": backend.to_numpy(array)
        for index, layer in enumerate(parameters)
        for name, array in layer.items()
    }
    save_file(tensors, path)


def load_parameters(path: Path, backend: Any) -> Tree:
    """Read parameters from a safetensors file to the backend.

    Raises
    ------
    ValueError
        If the file is missing, damaged, or holds other tensors than a network's.
    """
    try:
        tensors = load_file(path)
        keys = [(int(index), name) for index, name in (key.split(".") for key in tensors)]
    except FileNotFoundError:
        raise ValueError(
            f"{path} is missing; expected a folder written by train --output"
        ) from None
    except (SafetensorError, OSError, ValueError) as error:
        raise ValueError(f"{path} is no file of a network's parameters: {error}") from None
    layers: Tree = [{} for _ in range(1 + max((index for index, _ in keys), default=-1))]
    for index, name in sorted(keys):
        layers[index][name] = backend.asarray(tensors[f"{index}.{name}"])
    return layers


def parameters_sha256(parameters: Tree, backend: Any) -> str:
    """Return the hexadecimal SHA-256 over all parameters, as the file's first lines say."""
    digest = hashlib.sha256()
    for layer in parameters:
        for name in sorted(layer):  # "W" sorts before "b"
            array = backend.to_numpy(layer[name])
            digest.update(array.astype(array.dtype.newbyteorder("<"), order="C").tobytes())
    return digest.hexdigest()
