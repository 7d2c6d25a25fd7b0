"""Files of saved runs: the required content of each file in a run's folder, and the run's data.

Training belongs in `run.py`, predictions in `predict.py`.
"""

import math
import warnings
from dataclasses import replace
from os.path import splitdrive
from pathlib import Path
from typing import NotRequired, TypedDict

import msgspec
import numpy as np

from pluggable_mlp.arrays import LibraryArrays, map_nested
from pluggable_mlp.backends import Backend
from pluggable_mlp.data.dataset import Dataset
from pluggable_mlp.data.errors import DataError, DataWarning
from pluggable_mlp.data.preparation import Preparation
from pluggable_mlp.fields import PositiveCount
from pluggable_mlp.files import Json, blame, json_sha256, parse_json, read_file, read_json
from pluggable_mlp.files.hashing import parameters_sha256
from pluggable_mlp.files.serialization import ArrayTree, check_form, read_tree
from pluggable_mlp.network.mlp import MLP
from pluggable_mlp.options import Options
from pluggable_mlp.plan import Plan, read_data

_WHERE = "say with --data, and --test, where those of the run are"


FORMAT = 7
"""The version of the format of runs and certificates."""

READ_BY = "1.0.0rc1"
"""The version of this library that reads earlier formats."""


class _Config(TypedDict):
    """The least that config.json holds, besides the preparation."""

    format: NotRequired[int]
    settings: Json
    data_sha256: str


class _Summary(TypedDict):
    """The least that summary.json holds."""

    backend: str
    device: str
    versions: dict[str, str]
    epochs: PositiveCount
    kept_epoch: PositiveCount
    config_sha256: str
    parameters_sha256: str


class _Epoch(msgspec.Struct, forbid_unknown_fields=True):
    """A line of metrics.jsonl; null stands for infinity or NaN."""

    epoch: PositiveCount
    train_loss: float | None
    seconds: float
    parameters_sha256: str
    validation_loss: float | None = None
    validation_accuracy: float | None = None
    validation_log_loss: float | None = None
    validation_roc_auc: float | None = None
    validation_r2: float | None = None
    validation_mean_absolute_error: float | None = None
    validation_mean_squared_error: float | None = None


def check_format(number: int | None) -> None:
    """Raise ValueError, with the version that reads it, if a file has another format."""
    if number != FORMAT:
        is_later = number is not None and number > FORMAT
        reader = "a later version of pluggable-mlp" if is_later else f"pluggable-mlp {READ_BY}"
        stated = "none" if number is None else number
        raise ValueError(f"its format is {stated}, expected {FORMAT}; {reader} reads it")


def read_config(path: Path) -> Json:
    """Return the content of a config.json; ValueError if it is missing, damaged or older."""
    config = read_json(path, "the config.json that train --output writes", _Config)
    with blame(path, "is of another version"):
        check_format(config.get("format"))
    return config


def read_run(folder: Path, ended: bool = False) -> tuple[Json, Json, Plan, Preparation]:
    """Return config.json, summary.json, and the plan and the preparation in the former.

    The summary of a run that has not ended is {}, unless the run must have `ended`.

    Raises
    ------
    ValueError
        If a file is missing or damaged, or the summary has another hash of config.json.
    """
    path, end = folder / "config.json", folder / "summary.json"
    config, summary = read_config(path), {}
    if ended and not end.exists():
        raise ValueError(f"the run in {folder} has not ended; finish it with --resume {folder}")
    if end.exists():
        summary = read_json(end, "a file of a run that has ended", _Summary)
        if summary["config_sha256"] != json_sha256(config):
            raise ValueError(f"{path} is not what the run was trained with, by its hash in {end}")
        if summary["kept_epoch"] > summary["epochs"]:
            raise ValueError(f"{end} is damaged: it keeps an epoch after the last")
    with blame(path):
        preparation = Preparation.from_dict(config)
        options = Options(**config["settings"])
        if options.task != preparation.task:
            raise ValueError(f"its tasks are {options.task} and {preparation.task}")
        return config, summary, Plan.read(options, preparation), preparation


def zeros_of(mlp: MLP, dtype: str) -> ArrayTree:
    """Return parameters of a network that are 0: the form of those in a file."""
    return [
        {name: np.zeros(shape, dtype) for name, shape in shapes.items()} for shapes in mlp.shapes
    ]


def read_parameters(path: Path, backend: Backend, sha256: str, zeros: ArrayTree) -> LibraryArrays:
    """Return the parameters in a file, on the backend.

    Raises
    ------
    ValueError
        If it cannot be read, is damaged, its parameters do not have this hash, or their shapes and
        dtypes are not those of the network's `zeros`.
    """
    parameters = read_tree(path, "a model that train --output wrote")
    with blame(path):
        check_form("parameters", parameters, zeros)
        actual = parameters_sha256(parameters)
    if actual != sha256:
        raise ValueError(
            f"{path} holds parameters of SHA-256 {actual}, expected {sha256} as trained"
        )
    on_backend: LibraryArrays = map_nested(backend.asarray, parameters)
    return on_backend


def read_history(path: Path) -> list[Json]:
    """Return the lines of metrics.jsonl before the first that is not whole; none without a file.

    Raises
    ------
    ValueError
        If the file cannot be read, or a whole line is not that of its epoch.
    """
    lines: list[Json] = []
    content = read_file(path, "a line for each epoch") if path.exists() else b""
    for number, text in enumerate(content.splitlines(), 1):
        try:
            line = parse_json(text)
        except (ValueError, RecursionError):  # the process was killed while it wrote
            break
        with blame(path, f"is damaged: line {number}"):
            values = msgspec.structs.asdict(msgspec.convert(line, _Epoch))
            if line["epoch"] != number:
                raise ValueError(f"it is of epoch {line['epoch']}")
            if lines and line.keys() != lines[0].keys():
                raise ValueError(f"it has {', '.join(line)}, the first {', '.join(lines[0])}")
        for name in line:
            is_loss = name.endswith(("loss", "error"))
            unknown = math.inf if is_loss else math.nan  # for which JSON has null
            line[name] = unknown if values[name] is None else values[name]
        lines.append(line)
    return lines


def at_place(options: Options, data: str | None = None, test: str | None = None) -> Options:
    """Return the options of a run with the places of its data, where a user has named them.

    Raises
    ------
    DataError
        If the run itself names another machine, to which Windows would send the user's credentials.
    """
    for name, place in {"data": data, "test": test}.items():
        own = getattr(options, name)
        if not place and isinstance(own, str) and splitdrive(own)[0].startswith(("//", r"\\")):
            raise DataError(own, "is on another machine, as the run says", f"repeat it as --{name}")
    return replace(options, data=data or options.data, test=test or options.test)


def load_own_data(
    options: Options, data_sha256: str, preparation: Preparation | None = None
) -> Dataset:
    """Return the data that a run was trained on, if they are still those.

    Parameters
    ----------
    options : Options
        Those of the run, with the current place of the data.
    data_sha256 : str
        The hash of the data in training.
    preparation : Preparation, optional
        That of the run, to be applied; by default one is fitted, as in training.

    Raises
    ------
    DataError
        If they cannot be read, or have changed.
    """
    try:
        with warnings.catch_warnings(action="ignore", category=DataWarning):  # training gave them
            dataset = read_data(options, preparation)
    except DataError as error:
        source, fault, remedy = error.args
        raise DataError(source, fault, f"{remedy}, or {_WHERE}") from None
    if dataset.sha256() != data_sha256:
        fault = "holds other data than the run was trained on (their SHA-256 differ)"
        raise DataError(dataset.name, fault, _WHERE)
    return dataset
