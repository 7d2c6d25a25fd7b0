"""Checkpoints: all that a run needs to go on, each in a file that is whole or is not used.

`NUMBER-SHA256.safetensors`, in the run's folder `checkpoints`, holds the arrays, and all else as
JSON in its metadata.  The rename makes it whole; a file whose bytes have another SHA-256 than its
name is left aside for the one before.  The last two are kept.
"""

import hashlib
import json
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from pluggable_mlp.backends import Backend
from pluggable_mlp.storage import read_file, sync_folder, to_json, write_file
from pluggable_mlp.training.checkpoints import tensor_file
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
FORMAT = 3
KEPT = 2

_NAME = re.compile(r"(\d{12,})-([0-9a-f]{64})\.safetensors(\.part)?")
_CLASSES: dict[str, Callable[..., Any]] = {of.__name__: of for of in (TrainState, Memory, Position)}


class CheckpointWarning(UserWarning):
    """A checkpoint that cannot be used."""


def save_checkpoint(folder: Path, number: int, content: dict[str, Any], backend: Backend) -> bool:
    """Write a checkpoint, unless it holds numbers that are not finite; return if it was written.

    Those of higher numbers are removed: they were left aside where the run went on from.

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
    layout = {"format": FORMAT, "content": _packed(content, tensors, backend)}
    if not all(np.isfinite(array).all() for array in tensors.values()):
        return False
    data = tensor_file(tensors, {"checkpoint": to_json(layout)})
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)
    path = folder / f"{number:012d}-{hashlib.sha256(data).hexdigest()}.safetensors"
    write_file(path, data)
    _remove_others(folder, number, path)
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
    for _, path in reversed(_checkpoints(folder)):
        try:
            content = _load(path)
        except ValueError as error:
            message = f"{error}; it is left aside"
        else:
            if usable(content):
                return content
            message = f"{path} does not fit metrics.jsonl and is left aside"
        warnings.warn(message, CheckpointWarning, stacklevel=3)
    return None


def checkpoint_steps(folder: Path) -> list[int]:
    """Return the numbers of the checkpoints in a folder, ascending; they may be damaged."""
    return [number for number, _ in _checkpoints(folder)]


def read_checkpoint(folder: Path, number: int) -> dict[str, Any]:
    """Return the content of one checkpoint, which is there, its arrays NumPy's.

    Raises
    ------
    ValueError
        If it is damaged.
    """
    return _load(dict(_checkpoints(folder))[number])


def _checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """Return the number and the path of each checkpoint, ascending."""
    found = ((_NAME.fullmatch(path.name), path) for path in sorted(folder.glob("*.safetensors")))
    return sorted((int(name[1]), path) for name, path in found if name)


def _load(path: Path) -> dict[str, Any]:
    """Return the content of a checkpoint; ValueError, which names it, where it is damaged."""
    data = read_file(path, "a checkpoint")
    name = _NAME.fullmatch(path.name)
    if name is None or hashlib.sha256(data).hexdigest() != name[2]:
        raise ValueError(f"{path} is damaged: its SHA-256 is another than its name says")
    try:
        (length,) = np.frombuffer(data[:8], "<u8").tolist()
        layout = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["checkpoint"])
        if layout["format"] != FORMAT:
            raise ValueError(f"its format is {layout['format']!r}, expected {FORMAT}")
        content: dict[str, Any] = _unpacked(layout["content"], load(data))
        if not isinstance(content, dict):
            raise TypeError(f"it holds {content!r}")
    except (ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise ValueError(f"{path} is damaged: {error!r}") from None
    return content


def _remove_others(folder: Path, number: int, newest: Path) -> None:
    """Remove all checkpoints but the newest and those before it that are kept, and their parts."""
    before = [path for of, path in _checkpoints(folder) if of < number]
    last = [*before, newest][-KEPT:]
    for path in folder.iterdir():
        if _NAME.fullmatch(path.name) and path not in last:
            path.unlink(missing_ok=True)


def _packed(value: Any, tensors: dict[str, Any], backend: Backend) -> Any:
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
