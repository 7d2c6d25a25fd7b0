"""Continuing a run from the last checkpoint in its folder."""

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pluggable_mlp.distributed.communicators import Communicator, backend_of_process
from pluggable_mlp.options import written
from pluggable_mlp.runs.checkpoints import (
    FOLDER,
    WHERE,
    Checkpoint,
    CheckpointWarning,
    checkpoint_steps,
    in_short,
    read_checkpoint,
    written_sha256,
)
from pluggable_mlp.runs.run import Run
from pluggable_mlp.runs.saved import load_own_data, read_history, read_run
from pluggable_mlp.training.sharding import check_same


def resumed_run(
    folder: Path,
    backend: str | None = None,
    changes: Mapping[str, Any] | None = None,
    communicator: Communicator | None = None,
) -> Run:
    """Return the run of a folder, ready to continue from its last good checkpoint.

    Parameters
    ----------
    folder : Path
        Locked by this process, so that nothing else writes to it.
    backend : str, optional
        By default the one that made the checkpoint.
    changes : mapping, optional
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
    config, summary, settings, preparation = read_run(folder)
    values = dict(changes or {})
    epochs = values.pop("epochs", settings.epochs)
    moved = {name: values.pop(name) for name in WHERE if name in values}
    restated = replace(settings, **values).for_preparation(preparation)
    for name in values:
        if (value := getattr(restated, name)) != (trained := getattr(settings, name)):
            raise ValueError(f"{name} is {written(value)}, expected {written(trained)} as trained")
    history = read_history(folder / "metrics.jsonl")
    checkpoint = last_checkpoint(folder / FOLDER, epochs=len(history))
    if communicator is not None:
        check_same(communicator, {"the checkpoint": in_short(folder / FOLDER, checkpoint)})
    done = 0 if checkpoint is None else checkpoint.epochs
    if checkpoint is None:
        if summary and epochs <= len(history):
            fault = "holds a run that has ended, and no checkpoint to go on from"
            raise ValueError(f"{folder} {fault}; use --overwrite")
        message = f"{folder} holds no checkpoint: the run begins again with its first epoch"
        warnings.warn(message, CheckpointWarning, stacklevel=2)
    elif written_sha256(settings, config, history[:done]) != checkpoint.files_sha256:
        raise ValueError(
            f"{folder / 'config.json'} or metrics.jsonl is not what the run wrote: a checkpoint "
            "has another SHA-256 of the settings and the epochs"
        )
    if epochs < done:
        raise ValueError(f"epochs is {epochs}, but the run has {done} already")
    if settings.ends_with_epochs and epochs != settings.epochs:
        fault = f"epochs is {epochs}, expected {settings.epochs} as when the run began"
        raise ValueError(f"{fault}: {settings.ends_with_epochs} ends with them")
    settings = replace(settings, epochs=epochs, **moved)
    data = load_own_data(settings, config["data_sha256"], preparation)
    spec = backend or (checkpoint.backend if checkpoint else "numpy")
    run = Run(settings, backend_of_process(spec, communicator), data, communicator)
    run.config["settings"]["recipe"] = config["settings"]["recipe"]  # the text of its checkpoints
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
