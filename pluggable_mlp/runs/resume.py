"""Going on with a run from the last checkpoint in its folder."""

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pluggable_mlp.backends import get_backend
from pluggable_mlp.runs.checkpoints import FOLDER, CheckpointWarning, load_checkpoint
from pluggable_mlp.data.dataset import DataError, no_data_warnings
from pluggable_mlp.registry import parse_component
from pluggable_mlp.runs.files import CONFIG, read_history
from pluggable_mlp.runs.run import Run
from pluggable_mlp.runs.saved import read_summary
from pluggable_mlp.settings import Settings
from pluggable_mlp.storage import damaged, json_lines, read_json
from pluggable_mlp.training.schedules import SCHEDULES

__all__ = ["are_written_before", "resumed_run"]


_WHERE = ("data", "test")
"""Settings that say where something is: it may be elsewhere now."""


def resumed_run(
    folder: Path, backend: str | None = None, given: Mapping[str, Any] | None = None
) -> Run:
    """Return the run of a folder, ready to go on where its last good checkpoint was made.

    Parameters
    ----------
    folder : Path
        Locked by this process: nothing else writes to it from here on.
    backend : str, optional
        By default the one that the checkpoint was made on.
    given : mapping, optional
        Settings that are named again: `epochs`, of which there may be more, `data` and `test`,
        which may be elsewhere, and others, which must be as they were.

    Raises
    ------
    ValueError
        If the folder is not that of a run, its data have changed, a setting is another, given or in
        `config.json`, `metrics.jsonl` was edited, or the run has ended and has no checkpoint.
    """
    config = read_json(folder / "config.json", "a folder that train --output wrote", CONFIG)
    with damaged(folder / "config.json"):
        settings = Settings.from_dict(config["settings"])
        data_sha256 = config["data_sha256"]
    ended = (folder / "summary.json").exists()
    if ended:
        read_summary(folder, config)
    others = dict(given or {})
    epochs = others.pop("epochs", None)
    moved = {name: others.pop(name) for name in _WHERE if name in others}
    _refuse_others(folder, settings, others)
    metrics = folder / "metrics.jsonl"
    history = read_history(metrics, settings.early_stopping is not None)
    checkpoint = load_checkpoint(
        folder / FOLDER, usable=lambda content: content["epochs"] <= len(history)
    )
    if checkpoint is None:
        _tell_beginning(folder, more=(epochs or settings.epochs) > len(history))
    else:
        if not are_written_before(history, checkpoint):
            raise ValueError(
                f"{metrics} is not what the run wrote: a checkpoint has another SHA-256 of the "
                f"first {checkpoint['epochs']} lines; undo what was edited, or train again"
            )
        if ended:
            settings = _prolonged(settings, checkpoint)
        _refuse_edited(folder / "config.json", settings, data_sha256, checkpoint)
    done = 0 if checkpoint is None else checkpoint["epochs"]
    if epochs is not None:
        settings = _with_epochs(settings, epochs, done)
    spec = backend or (checkpoint["backend"] if checkpoint else "numpy")
    run = _run_on(settings, moved, spec, data_sha256)
    if checkpoint is not None:
        run.go_on_from(checkpoint, history[:done])
    return run


def _run_on(settings: Settings, moved: dict[str, Any], backend: str, data_sha256: str) -> Run:
    """Return the run at its beginning, on data with this SHA-256 that may have been moved."""
    try:
        with no_data_warnings():
            run = Run(replace(settings, **moved), get_backend(backend))
    except DataError as error:
        raise error.or_else(settings.where_data_are) from None
    if run.data_sha256 != data_sha256:
        fault = "holds other data than the run was trained on (their SHA-256 differ)"
        raise DataError(run.settings.data, fault, "put them back to go on with the run")
    return run


def _refuse_others(folder: Path, settings: Settings, given: Mapping[str, Any]) -> None:
    """Raise ValueError where a setting is not that of the run."""
    for name, value in given.items():
        own = getattr(settings, name)
        if value != own:
            raise ValueError(
                f"--{name.replace('_', '-')} is {_written(value)}, but the run in {folder} has "
                f"{_written(own)}; leave it out, or train a new run"
            )


def _refuse_edited(
    path: Path, settings: Settings, data_sha256: str, checkpoint: dict[str, Any]
) -> None:
    """Raise ValueError where a checkpoint has another setting, but for fewer epochs."""
    free = {*_WHERE} if _schedule_to_the_end(settings) else {*_WHERE, "epochs"}
    trained = asdict(Settings.from_dict(checkpoint["settings"]))
    trained["data_sha256"] = checkpoint["data_sha256"]
    for name, value in (asdict(settings) | {"data_sha256": data_sha256}).items():
        if name not in free and value != trained[name]:
            raise ValueError(
                f"{path} is not what the run was trained with: {name} is {_written(value)}, a "
                f"checkpoint of it has {_written(trained[name])}; undo what was edited, or train "
                "again"
            )


def _prolonged(settings: Settings, checkpoint: dict[str, Any]) -> Settings:
    """Return the settings of a run that had ended, was to have more epochs, and was killed.

    The files of a run that has ended stay until it ends again.
    """
    later = Settings.from_dict(checkpoint["settings"])
    if later.epochs <= settings.epochs or _schedule_to_the_end(settings):
        return settings
    where = {name: getattr(later, name) for name in _WHERE}
    return replace(settings, epochs=later.epochs, **where)


def are_written_before(history: Sequence[dict[str, Any]], checkpoint: dict[str, Any]) -> bool:
    """Return whether the first lines of a history are those of the run before a checkpoint."""
    lines = b"".join(json_lines(line) for line in history[: checkpoint["epochs"]])
    written: str = checkpoint["metrics_sha256"]
    return hashlib.sha256(lines).hexdigest() == written


def _written(value: Any) -> str:
    """Return a setting as the command line has it."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else repr(value)


def _tell_beginning(folder: Path, more: bool) -> None:
    """Warn that a run begins again; ValueError where it has ended and gets no more epochs."""
    if (folder / "summary.json").exists() and not more:
        raise ValueError(
            f"{folder} holds a run that has ended, and no checkpoint to go on from; train it again "
            "with --output and --overwrite"
        )
    message = f"{folder} holds no checkpoint: the run begins again with its first epoch"
    warnings.warn(message, CheckpointWarning, stacklevel=3)


def _with_epochs(settings: Settings, epochs: int, done: int) -> Settings:
    """Return the settings with another number of epochs; refuse what would change those done."""
    if epochs < done:
        raise ValueError(f"epochs is {epochs}, but the run has {done} already")
    name = _schedule_to_the_end(settings)
    if name is not None and epochs != settings.epochs:
        raise ValueError(
            f"epochs is {epochs}, but the schedule {name} ends with the epochs of the run, "
            f"{settings.epochs} when it began; leave --epochs out"
        )
    return replace(settings, epochs=epochs)


def _schedule_to_the_end(settings: Settings) -> str | None:
    """Return the name of the schedule if it ends with the epochs of the run."""
    if settings.schedule is None:
        return None
    name, _ = parse_component(settings.schedule, "schedule")
    return name if "total_steps" in getattr(SCHEDULES[name], "__dataclass_fields__", {}) else None
