"""Checkpoints: all that a run needs to go on, in files that are whole or are not used.

A checkpoint is two files in the run's folder `checkpoints`: arrays in `NUMBER.safetensors`, and all
else in `NUMBER.json`, with the hashes of both.  The JSON is written last: a checkpoint without it,
or with another hash, is left aside for the one before.  The last two are kept.
"""

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from pluggable_mlp.storage import (
    damaged,
    json_sha256,
    read_file,
    read_json,
    sync_folder,
    write_file,
    write_json,
)
from pluggable_mlp.training.lbfgs import Memory
from pluggable_mlp.training.loop import Position
from pluggable_mlp.training.step import TrainState

__all__ = [
    "FOLDER",
    "CheckpointWarning",
    "checkpoint_steps",
    "load_checkpoint",
    "read_checkpoint",
    "save_checkpoint",
]

FOLDER = "checkpoints"
FORMAT = 2
KEPT = 2

_CLASSES: dict[str, Callable[..., Any]] = {of.__name__: of for of in (TrainState, Memory, Position)}


class CheckpointWarning(UserWarning):
    """A checkpoint that cannot be used."""


def save_checkpoint(folder: Path, number: int, content: dict[str, Any], backend: Any) -> bool:
    """Write a checkpoint, unless it holds numbers that are not finite; return if it was written.

    Parameters
    ----------
    folder : Path
        Of the run's checkpoints; is made if need be.
    number : int
        Increasing, as the count of steps.
    content : dict
        Of texts, numbers, arrays of the backend, and lists, tuples, dicts and states of these.
    backend : Backend

    Raises
    ------
    OSError
        If it cannot be written; the checkpoints before are as they were.
    """
    tensors: dict[str, Any] = {}
    layout = _packed(content, tensors, backend)
    if not all(np.isfinite(array).all() for array in tensors.values()):
        return False
    data = save(tensors)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)
    body = {
        "format": FORMAT,
        "tensors_sha256": hashlib.sha256(data).hexdigest(),
        "content": layout,
    }
    path = _path(folder, number)
    write_file(path.with_suffix(".safetensors"), data)
    write_json(path, {**body, "sha256": json_sha256(body)})
    _remove_old(folder)
    return True


def load_checkpoint(
    folder: Path, usable: Callable[[dict[str, Any]], bool]
) -> dict[str, Any] | None:
    """Return the content of the last checkpoint that is whole, its arrays NumPy's.

    A warning names each that is damaged.

    Parameters
    ----------
    folder : Path
        Of the run's checkpoints; None is found where there is no such folder.
    usable : callable
        Says whether the content of a checkpoint fits what stands beside it.
    """
    for path in sorted(folder.glob("*.json"), reverse=True):
        try:
            content: dict[str, Any] = _load(path)
        except (ValueError, KeyError, TypeError) as error:
            told = f"{path} is damaged and left aside: {error}"
        else:
            if usable(content):
                return content
            told = f"{path} does not fit metrics.jsonl and is left aside"
        warnings.warn(told, CheckpointWarning, stacklevel=3)
    return None


def checkpoint_steps(folder: Path) -> list[int]:
    """Return the numbers of the checkpoints in a folder, ascending; they may be damaged."""
    return sorted(int(path.stem) for path in folder.glob("*.json") if path.stem.isdecimal())


def read_checkpoint(folder: Path, number: int) -> dict[str, Any]:
    """Return the content of one checkpoint, its arrays NumPy's.

    Raises
    ------
    ValueError
        If it is missing or damaged.
    """
    path = _path(folder, number)
    with damaged(path):
        content: dict[str, Any] = _load(path)
    return content


def _path(folder: Path, number: int) -> Path:
    return folder / f"{number:012d}.json"


def _load(path: Path) -> Any:
    body = read_json(path, "a checkpoint")
    stated = body.pop("sha256")
    if body["format"] != FORMAT:
        raise ValueError(f"its format is {body['format']!r}, expected {FORMAT}")
    if json_sha256(body) != stated:
        raise ValueError("its SHA-256 is another than it states")
    data = read_file(path.with_suffix(".safetensors"), "the arrays of a checkpoint")
    if hashlib.sha256(data).hexdigest() != body["tensors_sha256"]:
        raise ValueError("its arrays have another SHA-256")
    return _unpacked(body["content"], load(data))


def _remove_old(folder: Path) -> None:
    """Remove all checkpoints but the last ones, and what was not finished before them."""
    last = {path.stem for path in sorted(folder.glob("*.json"))[-KEPT:]}
    for path in folder.iterdir():
        if path.name.partition(".")[0] not in last:
            path.unlink(missing_ok=True)


def _packed(value: Any, tensors: dict[str, Any], backend: Any) -> Any:
    """Return a value as JSON, with a reference for each array, which goes to the tensors."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return {"float": value.hex()}
    if isinstance(value, dict):
        return {"dict": [[key, _packed(one, tensors, backend)] for key, one in value.items()]}
    if isinstance(value, list | tuple):
        kind = type(value).__name__
        return {kind: [_packed(one, tensors, backend) for one in value]}
    name = str(len(tensors))
    array = backend.to_numpy(value)
    tensors[name] = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
    return {"array": name}


def _unpacked(value: Any, tensors: dict[str, Any]) -> Any:
    """Return what `_packed` was given."""
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "float":
        return float.fromhex(content)
    if kind == "array":
        return tensors[content]
    if kind == "dict":
        return {key: _unpacked(one, tensors) for key, one in content}
    parts = [_unpacked(one, tensors) for one in content]
    if kind == "list":
        return parts
    return tuple(parts) if kind == "tuple" else _CLASSES[kind](*parts)
