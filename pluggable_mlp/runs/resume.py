"""Continuing a run from the last checkpoint in its folder."""

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pluggable_mlp.distributed import Communicator, backend_of_process
from pluggable_mlp.files import json_lines, json_sha256
from pluggable_mlp.hashing import sha256_of
from pluggable_mlp.registry import parse_component
from pluggable_mlp.runs.checkpoints import (
    FOLDER,
    Checkpoint,
    CheckpointWarning,
    checkpoint_steps,
    in_short,
    read_checkpoint,
)
from pluggable_mlp.runs.run import Run
from pluggable_mlp.runs.saved import load_own_data, read_history, read_settings, read_summary
from pluggable_mlp.settings import Settings
from pluggable_mlp.training.schedules import SCHEDULES
from pluggable_mlp.training.sharding import check_same

_WHERE = ("data", "test")
"""Settings that say where something is: it may be elsewhere now."""


def resumed_run(
    folder: Path,
    backend: str | None = None,
    given: Mapping[str, Any] | None = None,
    communicator: Communicator | None = None,
) -> Run:
    """Return the run of a folder, ready to continue from its last good checkpoint.

    Parameters
    ----------
    folder : Path
        Locked by this process, so that nothing else writes to it.
    backend : str, optional
        By default the one that made the checkpoint.
    given : mapping, optional
        Settings that are given again: `epochs`, which may be larger, `data` and `test`, which may
        be elsewhere, and others, which must not differ.
    communicator : Communicator, optional
        The processes that continue it, in any number; each of them reads the folder.

    Raises
    ------
    ValueError
        If the folder is not that of a run, its data have changed, a setting differs, given or in
        `config.json`, `metrics.jsonl` was edited, or the run has ended and has no checkpoint; or if
        the processes see different checkpoints.
    """
    config, settings, preparation = read_settings(folder / "config.json")
    prepared = json_sha256(preparation.to_dict())
    hashes = {"data_sha256": config["data_sha256"], "preparation_sha256": prepared}
    ended = (folder / "summary.json").exists()
    if ended:
        read_summary(folder, config)
    others = dict(given or {})
    epochs = others.pop("epochs", None)
    moved = {name: others.pop(name) for name in _WHERE if name in others}
    _refuse_different("", others, asdict(settings))
    history = read_history(folder / "metrics.jsonl", validated=settings.keeps_best)
    checkpoint = last_checkpoint(folder / FOLDER, epochs=len(history))
    if communicator is not None:
        check_same(communicator, {"the checkpoint": in_short(checkpoint)})
    done = 0 if checkpoint is None else checkpoint.epochs
    if checkpoint is None:
        more = (epochs or settings.epochs) > len(history)
        _warn_of_beginning(folder, refused=ended and not more)
    else:
        _refuse_edited(folder, asdict(settings) | hashes, history, checkpoint)
    if epochs is not None:
        settings = _with_epochs(settings, epochs, done)
    settings = replace(settings, **moved)
    data = load_own_data(
        settings,
        config["data_sha256"],
        preparation if checkpoint else None,  # a run that starts over is fitted again, too
        in_files=communicator is not None,
    )
    spec = backend or (checkpoint.backend if checkpoint else "numpy")
    run = Run(settings, backend_of_process(spec, communicator), data, communicator)
    if checkpoint is not None:
        run.go_on_from(checkpoint, history[:done])
    return run


def last_checkpoint(folder: Path, epochs: int) -> Checkpoint | None:
    """Return the last whole checkpoint after at most this many epochs, if any.

    Warns
    -----
    CheckpointWarning
        For each checkpoint that is skipped.
    """
    for step in reversed(checkpoint_steps(folder)):
        try:
            checkpoint = read_checkpoint(folder, step)
        except ValueError as error:
            fault = f"{error}; it"
        else:
            if checkpoint.epochs <= epochs:
                return checkpoint
            fault = f"the checkpoint after step {step} in {folder} does not fit metrics.jsonl and"
        warnings.warn(f"{fault} is left aside", CheckpointWarning, stacklevel=3)
    return None


def _refuse_different(
    prefix: str, values: Mapping[str, Any], trained: Mapping[str, Any], free: Collection[str] = ()
) -> None:
    """Raise ValueError if a setting differs from training, except free ones."""
    for name, value in values.items():
        if name not in free and value != trained[name]:
            expected = _written(trained[name])
            raise ValueError(f"{prefix}{name} is {_written(value)}, expected {expected} as trained")


def _refuse_edited(
    folder: Path,
    values: Mapping[str, Any],
    history: Sequence[dict[str, Any]],
    checkpoint: Checkpoint,
) -> None:
    """Raise ValueError if files of a run have changed since a checkpoint was made."""
    if sha256_of(map(json_lines, history[: checkpoint.epochs])) != checkpoint.metrics_sha256:
        raise ValueError(
            f"{folder / 'metrics.jsonl'} is not what the run wrote: a checkpoint has another "
            f"SHA-256 of the first {checkpoint.epochs} lines"
        )
    settings = Settings.from_dict(checkpoint.settings)
    hashes = ("data_sha256", "preparation_sha256")
    trained = asdict(settings) | {name: getattr(checkpoint, name) for name in hashes}
    free = _WHERE if _ends_with_epochs(settings) else (*_WHERE, "epochs")
    _refuse_different(f"{folder / 'config.json'}: ", values, trained, free)


def _warn_of_beginning(folder: Path, refused: bool) -> None:
    """Warn that a run starts over, or refuse one that has ended and gets no more epochs."""
    if refused:
        raise ValueError(
            f"{folder} holds a run that has ended, and no checkpoint to go on from; use --overwrite"
        )
    message = f"{folder} holds no checkpoint: the run begins again with its first epoch"
    warnings.warn(message, CheckpointWarning, stacklevel=3)


def _written(value: Any) -> str:
    """Return a setting as written on the command line."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else repr(value)


def _with_epochs(settings: Settings, epochs: int, done: int) -> Settings:
    """Return the settings with another number of epochs; refuse to change finished epochs."""
    if epochs < done:
        raise ValueError(f"epochs is {epochs}, but the run has {done} already")
    name = _ends_with_epochs(settings)
    if name is not None and epochs != settings.epochs:
        raise ValueError(
            f"epochs is {epochs}, expected {settings.epochs} as when the run began: {name} ends "
            "with them"
        )
    return replace(settings, epochs=epochs)


def _ends_with_epochs(settings: Settings) -> str | None:
    """Return what depends on the number of epochs: the schedule, or a part of the recipe."""
    schedule = settings.used("schedule")
    if schedule is not None:
        name, _ = parse_component(schedule, "schedule")
        if "total_steps" in getattr(SCHEDULES[name], "__dataclass_fields__", {}):
            return f"the schedule {name}"
    decay = settings.to_dict()["weight_decay"]
    if settings.made_recipe.ends_with_training(settings.dropout, decay or 0.0):
        return f"the dropout or decay of {settings.recipe}"
    return None
