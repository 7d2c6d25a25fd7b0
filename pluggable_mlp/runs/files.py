"""The JSON files of a run: what each must hold, and its lines of metrics.

Ranges, and what values have to do with each other, are for those who use them.
"""

import json
import math
from pathlib import Path
from typing import Any

from pluggable_mlp.storage import check_shape, damaged, read_file

__all__ = ["CERTIFICATE", "CONFIG", "SUMMARY", "read_history"]

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
    "test_loss": (str, None),
    "final_parameters_sha256": str,
    "record_every": int,
    "tensors": [str],
    "records": {str: str},
}


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
