"""Going on with a run from the last checkpoint in its folder."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from pluggable_mlp.backends import get_backend
from pluggable_mlp.checkpoints import FOLDER, load_checkpoint
from pluggable_mlp.data.dataset import DataError, told_already
from pluggable_mlp.registry import parse_component
from pluggable_mlp.runs import Run
from pluggable_mlp.settings import Settings
from pluggable_mlp.storage import damaged, read_json
from pluggable_mlp.training.schedules import SCHEDULES

__all__ = ["read_history", "resumed_run"]


def resumed_run(folder: Path, backend: str | None = None, epochs: int | None = None) -> Run:
    """Return the run of a folder, ready to go on where its last good checkpoint was made.

    Parameters
    ----------
    folder : Path
    backend : str, optional
        By default the one that the checkpoint was made on.
    epochs : int, optional
        How many epochs it is to have in all; by default as it began.

    Raises
    ------
    ValueError
        If the folder is not that of a run, its data have changed, or it cannot have so many epochs.
    """
    config = read_json(folder / "config.json", "a folder that train --output wrote")
    with damaged(folder / "config.json"):
        settings = Settings.from_dict(config["settings"])
        data_sha256 = config["data_sha256"]
    history = read_history(folder / "metrics.jsonl")
    checkpoint = load_checkpoint(
        folder / FOLDER, usable=lambda content: content["epochs"] <= len(history)
    )
    done = 0 if checkpoint is None else checkpoint["epochs"]
    if epochs is not None:
        settings = _with_epochs(settings, epochs, done)
    spec = backend or (checkpoint["backend"] if checkpoint else "numpy")
    with told_already():
        run = Run(settings, get_backend(spec))
    if run.data_sha256 != data_sha256:
        fault = "holds other data than the run was trained on (their SHA-256 differ)"
        raise DataError(settings.data, fault, "put them back to go on with the run")
    if checkpoint is not None:
        run.go_on_from(checkpoint, history[:done])
    return run


def read_history(path: Path) -> list[dict[str, Any]]:
    """Return the lines of metrics.jsonl up to the first that is not whole."""
    lines: list[dict[str, Any]] = []
    if path.exists():
        for text in path.read_bytes().splitlines():
            try:
                lines.append(json.loads(text))
            except ValueError:
                break
    return lines


def _with_epochs(settings: Settings, epochs: int, done: int) -> Settings:
    """Return the settings with another number of epochs; refuse what would change those done."""
    if epochs < done:
        raise ValueError(f"epochs is {epochs}, but the run has {done} already")
    if settings.schedule is not None and epochs != settings.epochs:
        name, _ = parse_component(settings.schedule, "schedule")
        if "total_steps" in getattr(SCHEDULES[name], "__dataclass_fields__", {}):
            raise ValueError(
                f"epochs is {epochs}, but the schedule {name} ends with the {settings.epochs} "
                "epochs that the run began with; leave --epochs out"
            )
    return replace(settings, epochs=epochs)
