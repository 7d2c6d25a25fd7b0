"""The JSON files of a run: what each must hold, and the one way to read them.

A shape says what a value must be: a type of Python, a tuple of them and None, `[shape]` for a list
of such values, or a dict for an object: a shape for each name that must be there, and with the key
`str` one for all other names.  A float must be finite.  Ranges, and what values have to do with
each other, are for those who use them.
"""

import json
import math
from pathlib import Path
from typing import Any

from pluggable_mlp.storage import damaged, read_file

__all__ = [
    "CERTIFICATE",
    "CHECKPOINT",
    "CONFIG",
    "SUMMARY",
    "check_shape",
    "parse_object",
    "read_history",
    "read_json",
]

CONFIG = {"settings": dict, "data_sha256": str}
SUMMARY = {
    "backend": str,
    "device": str,
    "versions": {str: str},
    "config_sha256": str,
    "parameters_sha256": str,
}
EPOCH = {
    "epoch": int,
    "train_loss": float,
    "seconds": float,
    "parameters_sha256": str,
    str: (float, None),
}
"""A line of metrics.jsonl."""
CERTIFICATE = {
    "made_on": str,
    "settings": dict,
    "settings_sha256": str,
    "data_sha256": str,
    "initial_parameters_sha256": str,
    "epochs": [{"epoch": int, str: str}],
    "kept_epoch": int,
    "test_loss": str,
    "final_parameters_sha256": str,
    "record_every": int,
    "tensors": [str],
    "records": {str: str},
}
CHECKPOINT = {"format": int, "tensors_sha256": str, "content": dict, "sha256": str}

MOST_LEVELS = 100
"""Of objects and lists within each other: far more than any file of ours has."""

_WORDS = {
    str: "a text",
    int: "a whole number",
    float: "a number with a point",
    dict: "an object",
    list: "a list",
    None: "null",
}


def read_json(path: Path, expected: str, shape: dict[Any, Any]) -> dict[str, Any]:
    """Return the object that a file of JSON holds.

    Parameters
    ----------
    path : Path
    expected : str
        What should be there, for the error.
    shape : dict
        What the object must hold at least.

    Raises
    ------
    ValueError
        If the file cannot be read, or holds anything else: names the file and what is wrong.
    """
    content = read_file(path, expected)
    with damaged(path):
        return parse_object(content, shape)


def read_history(path: Path, validated: bool = False) -> list[dict[str, Any]]:
    """Return the lines of metrics.jsonl up to the first that is not whole; none without a file.

    Parameters
    ----------
    path : Path
    validated : bool, default False
        Whether each line must have a loss of the validation part.

    Raises
    ------
    ValueError
        If the file cannot be read, or a whole line is not that of its epoch, or lacks a measure
        that the first one has.
    """
    lines: list[dict[str, Any]] = []
    shape = EPOCH | ({"validation_loss": EPOCH[str]} if validated else {})
    content = read_file(path, "a line for each epoch") if path.exists() else b""
    for number, text in enumerate(content.splitlines(), 1):
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):  # the process was killed while it wrote
            break
        with damaged(path):
            check_shape(line, shape, f"line {number}")
            if line["epoch"] != number:
                raise ValueError(f"line {number} is of epoch {line['epoch']}")
        if line.get("validation_loss", 0.0) is None:
            line["validation_loss"] = math.inf  # for which JSON has null
        lines.append(line)
        shape = dict.fromkeys(line, EPOCH[str]) | EPOCH  # each has what the first one has
    return lines


def parse_object(text: bytes, shape: dict[Any, Any]) -> dict[str, Any]:
    """Return the object that JSON holds; ValueError if it holds anything else."""
    found: dict[str, Any] = json.loads(text)
    _refuse_deep(found, MOST_LEVELS)
    check_shape(found, shape, "it")
    return found


def check_shape(value: Any, shape: Any, name: str) -> None:
    """Raise ValueError unless a value, called `name` there, has a shape."""
    if isinstance(shape, dict):
        _check_type(value, (dict,), name)
        missing = [key for key in shape if key is not str and key not in value]
        if missing:
            raise ValueError(f"{name} lacks {', '.join(map(repr, missing))}")
        for key, one in value.items():
            expected = shape.get(key, shape.get(str))
            if expected is not None:
                check_shape(one, expected, f"{key!r} of {name}")
    elif isinstance(shape, list):
        _check_type(value, (list,), name)
        for index, one in enumerate(value):
            check_shape(one, shape[0], f"{name}[{index}]")
    else:
        _check_type(value, shape if isinstance(shape, tuple) else (shape,), name)


def _check_type(value: Any, allowed: tuple[Any, ...], name: str) -> None:
    kind = None if value is None else type(value)
    if kind not in allowed or (kind is float and not math.isfinite(value)):
        expected = " or ".join(_WORDS[each] for each in allowed)
        raise ValueError(f"{name} is {json.dumps(value)[:50]}, expected {expected}")


def _refuse_deep(value: Any, levels: int) -> None:
    """Raise ValueError where objects and lists are within more than so many others."""
    if isinstance(value, dict | list):
        if not levels:
            raise ValueError(f"it has more than {MOST_LEVELS} objects and lists within each other")
        for one in value.values() if isinstance(value, dict) else value:
            _refuse_deep(one, levels - 1)
