"""Checkpoints: the state from which a run continues, each in a file that is whole or not used.

They are in the run's folder `checkpoints`: `NUMBER.safetensors`, as `serialization.py` writes it.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from pluggable_mlp.arrays import Array, LibraryArrays, map_nested
from pluggable_mlp.distributed.communicators import Communicator, backend_of_process
from pluggable_mlp.fields import Count, PositiveCount
from pluggable_mlp.files import Json, blame, json_lines, json_sha256, make_folder, sync_folder
from pluggable_mlp.files.hashing import HASH_DIGITS, sha256_of
from pluggable_mlp.files.serialization import (
    ArrayTree,
    Components,
    check_form,
    read_tree,
    write_tree,
)
from pluggable_mlp.options import format_value
from pluggable_mlp.plan import Plan, with_members
from pluggable_mlp.runs.run import Run
from pluggable_mlp.runs.saved import at_place, load_own_data, read_history, read_run, zeros_of
from pluggable_mlp.training.lbfgs import Memory
from pluggable_mlp.training.loop import Position
from pluggable_mlp.training.sharding import check_same
from pluggable_mlp.training.step import TrainState, initial_state

FOLDER = "checkpoints"

WHERE = ("data", "test")
"""Options that say where something is: it may be elsewhere when a run goes on."""


class CheckpointWarning(UserWarning):
    """Issued for a checkpoint that cannot be used."""


class Checkpoint(NamedTuple):
    """The state from which a run continues, besides its history.

    Attributes
    ----------
    position : Position
        Where training is.
    epochs : int
        How many lines of the history were written before it.
    files_sha256 : str
        From `written_sha256`, of these lines and config.json.
    kept_epoch : int
        The epoch of `parameters`; 0 before the first has ended.
    parameters : list of dict of arrays or None
    record_every : int
    records : dict of int to str
        The hashes of the tensors, by step.
    backend : str
        The backend that it was made on: "numpy:cpu".
    """

    position: Position
    epochs: int
    files_sha256: str
    kept_epoch: int
    parameters: LibraryArrays | None
    record_every: int
    records: dict[int, str]
    backend: str


_Checkpoint = tuple[Any, Count, str, Count, ArrayTree | None, Count, dict[Count, str], str]
_Position = tuple[Any, PositiveCount, Count, tuple[float, ...], tuple[list[float], list[float]]]
_State = tuple[ArrayTree, ArrayTree, Any, Count]
"""The types of the fields of these three in a file; `_check_fit` has the forms of the arrays."""

_COMPONENTS: Components = {
    kind.__name__: kind for kind in (Checkpoint, Position, TrainState, Memory)
}


def files_sha256(plan: Plan, config: Json, history: Sequence[Json]) -> str:
    """Return the hash of what must not change until a run goes on: config.json and the epochs."""
    free = {*WHERE} if plan.ends_with_epochs else {*WHERE, "epochs"}
    kept = {name: value for name, value in config["settings"].items() if name not in free}
    content = {**config, "settings": kept}
    return sha256_of([json_sha256(content), *map(json_lines, history)])


def checkpoint_of(run: Run, position: Position) -> Checkpoint | None:
    """Return the state to continue from a position, with NumPy's arrays; None if not finite."""
    finite: list[bool] = []

    def to_host(array: Array) -> Array:
        host = run.backend.to_numpy(array)
        finite.append(np.isfinite(host).all())
        return host

    checkpoint = Checkpoint(
        position=map_nested(to_host, position),
        epochs=len(run.history),
        files_sha256=files_sha256(run.plan, run.config, run.history),
        kept_epoch=run.kept_epoch,
        parameters=map_nested(to_host, run.parameters) if run.kept_epoch else None,
        record_every=run.record_every,
        records=run.records,
        backend=f"{run.backend.name}:{run.backend.device}",
    )
    return checkpoint if all(finite) else None


def restore(run: Run, checkpoint: Checkpoint) -> None:
    """Let a run continue from a checkpoint, on any backend and any processes."""
    moved = map_nested(run.backend.asarray, checkpoint)
    run.kept_epoch, run.position, run.records = moved.kept_epoch, moved.position, moved.records
    run.record_every = max(run.record_every, moved.record_every)  # powers of two
    if run.kept_epoch:
        run.parameters = moved.parameters


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint whose arrays are NumPy's to the run's folder of checkpoints.

    Raises
    ------
    OSError
        If it cannot be written; earlier checkpoints are unchanged.
    """
    make_folder(folder)
    sync_folder(folder.parent)
    write_tree(_path(folder, checkpoint.position.state.t), checkpoint, _COMPONENTS)


def in_short(folder: Path, checkpoint: Checkpoint | None) -> str:
    """Return the hash of a checkpoint's file, and its step; or "none"."""
    if checkpoint is None:
        return "none"
    step = checkpoint.position.state.t
    return f"{sha256_of([_path(folder, step).read_bytes()])[:HASH_DIGITS]} after step {step}"


def checkpoint_steps(folder: Path) -> list[int]:
    """Return after which steps there are checkpoints, ascending; they may be damaged."""
    names = (path.stem for path in folder.glob("*.safetensors"))
    return sorted(int(name) for name in names if name.isdigit())


def read_checkpoint(folder: Path, step: int) -> Checkpoint:
    """Return the existing checkpoint after a step, with NumPy arrays.

    Raises
    ------
    ValueError
        If it is damaged; the message names the file.
    """
    path = _path(folder, step)
    checkpoint: Checkpoint = read_tree(path, "a checkpoint", _COMPONENTS)
    with blame(path):
        for part, kind, types in (
            (checkpoint, Checkpoint, _Checkpoint),
            (checkpoint.position, Position, _Position),
            (checkpoint.position.state, TrainState, _State),
        ):
            if type(part) is not kind:
                raise ValueError(f"it holds a {type(part).__name__}, expected a {kind.__name__}")
            msgspec.convert(tuple(part), types)
        if (after := checkpoint.position.state.t) != step:
            raise ValueError(f"it is after step {after}")
    return checkpoint


def _check_fit(checkpoint: Checkpoint, plan: Plan) -> None:
    """Raise ValueError unless a run of this plan could have written the checkpoint."""
    state, epoch, start, losses, recorded = checkpoint.position
    epochs, kept_epoch, batches = checkpoint.epochs, checkpoint.kept_epoch, len(recorded[0])
    counts = epoch - 1, len(losses), batches, len(recorded[1]), state.t
    done = -(-start // plan.batch_size)
    expected = epochs, epochs, done, done, epochs * plan.steps_per_epoch + done
    if counts != expected and start:
        raise ValueError(f"its epochs, losses and steps are {counts}, expected {expected}")
    if kept_epoch > epochs or (checkpoint.parameters is None) != (kept_epoch == 0):
        raise ValueError(f"it keeps epoch {kept_epoch} of {epochs}")
    zeros = zeros_of(plan.mlp, plan.options.dtype)
    first = initial_state(np, plan.mlp, zeros, plan.optimizer)
    if isinstance(memory := state.slots, Memory):
        gradients = memory.gradients and first.parameters
        pairs = ((first.parameters, first.parameters, 0.0),) * len(memory.pairs)
        loss = None if memory.loss is None else 0.0
        first = first._replace(slots=Memory(loss, gradients, pairs))
    check_form("position.state", state._replace(t=0), first)
    if checkpoint.parameters is not None:
        check_form("parameters", checkpoint.parameters, zeros)


def remove_checkpoints(folder: Path, but: Iterable[int]) -> None:
    """Remove all checkpoints except those after these steps, and unfinished files."""
    kept = {_path(folder, step) for step in but}
    for path in folder.iterdir():
        if path not in kept and path.suffix in (".safetensors", ".part"):
            path.unlink(missing_ok=True)


def resume_run(
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
        Options that are given again: `epochs`, which may be larger, `data` and `test`, which may
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
    config, summary, plan, preparation = read_run(folder)
    options, values = plan.options, dict(changes or {})
    epochs = values.pop("epochs", plan.epochs)
    moved = {name: values.pop(name) for name in WHERE if name in values}
    replace(options, **values)  # refuses what is no option's value
    if recipe := values.get("recipe"):
        rows, optimizer = preparation.examples["train"], str(options.optimizer).partition(":")[0]
        values["recipe"] = with_members(recipe, rows, optimizer)
    for name, value in values.items():
        if value != (trained := getattr(options, name)):
            raise ValueError(
                f"{name} is {format_value(value)}, expected {format_value(trained)} as trained"
            )
    metrics = folder / "metrics.jsonl"
    history = read_history(metrics)
    checkpoint = last_checkpoint(folder / FOLDER, len(history), plan)
    if communicator is not None:
        check_same(communicator, {"the checkpoint": in_short(folder / FOLDER, checkpoint)})
    done = 0 if checkpoint is None else checkpoint.epochs
    if checkpoint is None:
        if summary and epochs <= len(history):
            fault = "holds a run that has ended, and no checkpoint to go on from"
            raise ValueError(f"{folder} {fault}; use --overwrite")
        message = f"{folder} holds no checkpoint: the run begins again with its first epoch"
        warnings.warn(message, CheckpointWarning, stacklevel=2)
    elif files_sha256(plan, config, history[:done]) != checkpoint.files_sha256:
        raise ValueError(
            f"{folder / 'config.json'} or metrics.jsonl was changed after the last checkpoint"
        )
    if epochs < done:
        raise ValueError(f"epochs is {epochs}, but the run has {done} already")
    if plan.ends_with_epochs and epochs != plan.epochs:
        fault = f"epochs is {epochs}, expected {plan.epochs} as when the run began"
        raise ValueError(f"{fault}: {plan.ends_with_epochs} ends with them")
    options = at_place(replace(options, epochs=epochs), **moved)
    data = load_own_data(options, config["data_sha256"], preparation)
    spec = backend or (checkpoint.backend if checkpoint else "numpy")
    plan = Plan.read(options, preparation)
    run = Run(plan, data, backend_of_process(spec, communicator), communicator)
    with blame(metrics):
        run.add_history(history[:done])
    if checkpoint is not None:
        restore(run, checkpoint)
    return run


def last_checkpoint(folder: Path, epochs: int, plan: Plan) -> Checkpoint | None:
    """Return the last whole checkpoint of a run after at most this many epochs, if any.

    Warns
    -----
    CheckpointWarning
        For each checkpoint that is skipped.
    """
    for step in reversed(checkpoint_steps(folder)):
        try:
            checkpoint = read_checkpoint(folder, step)
            with blame(_path(folder, step)):
                _check_fit(checkpoint, plan)
        except ValueError as error:
            fault = f"{error}; it"
        else:
            if checkpoint.epochs <= epochs:
                return checkpoint
            fault = f"the checkpoint after step {step} in {folder} does not fit metrics.jsonl and"
        warnings.warn(f"{fault} is left aside", CheckpointWarning, stacklevel=3)
    return None


def _path(folder: Path, step: int) -> Path:
    return folder / f"{step:012d}.safetensors"
