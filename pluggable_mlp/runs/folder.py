"""The folder of a run, which belongs to one process and is written from the start of training.

The contents of its files are defined in `run.py` and `certificate.py`; how several take their
places as one, in `locking.py`.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from traceback import clear_frames
from types import TracebackType

from pluggable_mlp.backends import out_of_memory
from pluggable_mlp.files import Remark, json_lines, read_json, write_file, write_json
from pluggable_mlp.runs.certificate import write_certificate
from pluggable_mlp.runs.checkpoints import (
    FOLDER,
    checkpoint_steps,
    remove_checkpoints,
    save_checkpoint,
)
from pluggable_mlp.runs.locking import (
    LOCK,
    REPLACEMENT,
    RESULT,
    FolderLock,
    TakenError,
    commit,
    finish_moves,
    recover,
    remove,
    stage,
)
from pluggable_mlp.runs.run import Run
from pluggable_mlp.training.loop import Position

SHORTEST_SECONDS = 1.0
"""Epochs that take less share a checkpoint."""

KEPT_CHECKPOINTS = 2

GRAPH, PLOTS, REPORT = "model.onnx", "plots", "report.html"
"""By `export`, `plot` and `report`, where no other place is named."""

_CONFIG, _SUMMARY = "config.json", "summary.json"
_OF_RESULT = ("config_sha256", "parameters_sha256")
_FILES = (
    "certificate.json",
    _SUMMARY,
    "model.safetensors",
    "metrics.jsonl",
    GRAPH,
    REPORT,
    _CONFIG,
)
_FOLDERS = (FOLDER, PLOTS, "tensorboard", REPLACEMENT, RESULT)
_UNUSED = {LOCK, f"{_CONFIG}.part"}
"""What a process leaves that is killed before there is a run."""


class RunFolder:
    """What `train --output` writes: the settings first, each epoch's line, at the end the rest.

    A context: whatever ends it, the whole epochs of the run are then saved.  The folder of a run
    that has none is removed, so that it is not in the way of the next.  A run that replaces another
    is beside it until it has a checkpoint.

    Parameters
    ----------
    path : Path
        A new folder, or an empty one.
    run : Run
        Not yet trained.
    overwrite : bool, default False
        Replace the run that is there.
    resume : FolderLock, optional
        Go on with the run that is there; its `lock_run`.
    minutes : float, default 5
        How often a checkpoint is made within an epoch.

    Attributes
    ----------
    place : Path
        Where the files of the run are now.

    Raises
    ------
    ValueError
        If something else is there, another process trains there, or the folder cannot be made and
        written.
    """

    def __init__(
        self,
        path: Path,
        run: Run,
        overwrite: bool = False,
        resume: FolderLock | None = None,
        minutes: float = 5.0,
    ) -> None:
        self._path, self._run, self.place = path, run, path
        self._seconds, self._checked = 60.0 * minutes, time.monotonic()
        self._is_saved = resume is not None  # so far that it may be gone on with
        at = 0 if run.position is None else run.position.state.t
        # Those after later steps were left aside where the run goes on from.
        self._checkpoints = [step for step in checkpoint_steps(path / FOLDER) if step <= at]
        self._has_tried = run.position is not None
        self._kept: tuple[int, int] | None = None  # where this process made the last checkpoint
        self._recorded: int | None = None if resume else 0  # lines; None: all are to be written
        self._lock = resume or _locked(path, lambda: refuse_used_folder(path, overwrite))
        try:
            self._begin()
        except OSError as error:
            self._leave()
            raise _cannot_be_made(path, error) from None

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, Exception) and out_of_memory(error):
            clear_frames(traceback)  # what the step had made is in the way of what is left to do
        try:
            if self._run.history:
                self._save()
        except Exception as fault:
            message = self._not_saved(fault)
            if error is not None:  # it decides the exit code
                error.add_note(Remark(message))
            elif isinstance(fault, OSError | ValueError):
                raise OSError(message) from None
            else:
                fault.add_note(Remark(message))
                raise
        finally:
            self._leave()

    @property
    def replaces(self) -> bool:
        """Whether there is an old run, whose place this one has not taken yet."""
        return self.place != self._path

    def record(self) -> None:
        """Append what is new in the run's history to `metrics.jsonl`.

        Raises
        ------
        OSError
            If that fails.  The next call then writes all lines.
        """
        try:
            self._hold()
            self._append()
        except OSError as error:
            self._recorded = None
            raise OSError(f"--output {self._path} cannot be written: {_why(error)}") from None

    def keep(self, position: Callable[[], Position], now: bool = False) -> None:
        """Make a checkpoint within an epoch where one is due, or `now`, unless an old run is there.

        Raises
        ------
        OSError
            If that fails; the checkpoints before are as they were.
        """
        due = time.monotonic() - self._checked >= self._seconds
        if due or (now and not self.replaces):
            self._try_checkpoint(position())

    def keep_epoch(self) -> None:
        """Make a checkpoint after the first epoch, and each that ends a second after the last one.

        Raises
        ------
        OSError
            As `keep`.
        """
        due = time.monotonic() - self._checked >= SHORTEST_SECONDS
        if self._run.position and (due or not self._has_tried):
            self._try_checkpoint(self._run.position)

    def _try_checkpoint(self, position: Position) -> None:
        try:
            self._make_checkpoint(position)
        except OSError as error:
            raise OSError(
                f"--output {self._path}: no checkpoint can be written: {_why(error)}"
            ) from None

    def _make_checkpoint(self, position: Position) -> None:
        self._checked, self._has_tried = time.monotonic(), True
        self._hold()
        if self._recorded is None:
            self._append()
        self._sync_metrics()
        folder = self.place / FOLDER
        if save_checkpoint(folder, self._run.checkpoint(position), self._run.backend):
            steps = dict.fromkeys([*self._checkpoints, position.state.t])
            self._checkpoints = [*steps][-KEPT_CHECKPOINTS:]
            remove_checkpoints(folder, but=self._checkpoints)
            self._take_place()
            self._is_saved, self._kept = True, _place_of(position)

    def _sync_metrics(self) -> None:
        """Have the lines of the epochs on the disk before a checkpoint counts on them."""
        with suppress(FileNotFoundError), (self.place / "metrics.jsonl").open("rb") as file:
            os.fsync(file.fileno())

    def _append(self) -> None:
        """Write the lines that `metrics.jsonl` lacks: all, whole or not, after one failed."""
        history, path = self._run.history, self.place / "metrics.jsonl"
        lines = b"".join(json_lines(line) for line in history[self._recorded or 0 :])
        if self._recorded is None:
            write_file(path, lines)  # checkpoints count on the lines that are there
        else:
            with path.open("ab") as file:
                file.write(lines)
        self._recorded = len(history)

    def _begin(self) -> None:
        """Write the settings, where the files of a run that has ended do not need the old ones."""
        if self._is_saved:
            if not (self._path / _SUMMARY).exists():
                write_json(self._path / _CONFIG, self._run.config)
            return
        if (self._path / _CONFIG).exists():
            recover(self._path)
            self.place = stage(self._path, REPLACEMENT)
        write_json(self.place / _CONFIG, self._run.config)

    def _hold(self) -> None:
        """Raise OSError unless the folder is this run's."""
        if not self._lock.is_held:
            raise FileNotFoundError("it has vanished, or another process has taken it")
        if self.place.name == REPLACEMENT:  # it could not be moved before
            self._take_place()

    def _take_place(self) -> None:
        """Replace the old run, if there is one: this one has something to go on from."""
        if not self.replaces:
            return
        if self.place.name != REPLACEMENT:
            self.place = commit(self._path, REPLACEMENT)
        finish_moves(self._path)
        self.place = self._path

    def _save(self) -> None:
        """Write all that the folder lacks."""
        self._hold()
        self._append()
        position = self._run.position
        if position is not None and _place_of(position) != self._kept:
            self._make_checkpoint(position)
        self._take_place()
        staged = stage(self._path, RESULT)
        try:
            self._run.save(staged)
            write_certificate(self._run, staged / "certificate.json")
            write_json(staged / _CONFIG, self._run.config)
            self._remove_outdated(staged)
            commit(self._path, RESULT)
            finish_moves(self._path)
        finally:
            with suppress(OSError):
                remove(staged)

    def _remove_outdated(self, staged: Path) -> None:
        """Remove what was made of the result before, where the staged one is another."""
        with suppress(OSError, ValueError):
            places = (folder / _SUMMARY for folder in (self._path, staged))
            before, after = (read_json(place, "the summary of a run") for place in places)
            if all(before.get(name) == after[name] for name in _OF_RESULT):
                return
        for name in (GRAPH, PLOTS, REPORT):
            with suppress(OSError):  # as of a picture that a viewer holds: the model matters more
                remove(self._path / name)

    def _not_saved(self, fault: Exception) -> str:
        message = f"--output {self._path} cannot be written: {_why(fault)}"
        if self._checkpoints and self._lock.is_held:
            message += f"; --resume {self._path} goes on from its last checkpoint"
        return message

    def _leave(self) -> None:
        """Give the folder up; remove what this run wrote where nothing can be made of it."""
        with suppress(OSError):
            if self._lock.is_held and self.replaces:
                remove(self.place)
            elif self._lock.is_held and not (self._is_saved or self._run.history):
                for name in (*_FILES, FOLDER):
                    remove(self._path / name)
        self._lock.release()
        if self._lock.made:
            with suppress(OSError):  # it is not empty
                self._path.rmdir()


def _place_of(position: Position) -> tuple[int, int]:
    """Return what tells a position of a run from others; it keeps no arrays alive."""
    return position.epoch, position.start


def lock_run(path: Path) -> FolderLock:
    """Lock the folder of a run that is gone on with.

    Raises
    ------
    ValueError
        If there is no run, another process trains it, or the folder cannot be written.
    """

    def refuse_other() -> None:
        if not (path / _CONFIG).is_file():
            raise ValueError(
                f"{path / _CONFIG} is missing; expected a folder that train --output wrote"
            )

    refuse_other()
    lock = _locked(path, refuse_other, "--resume")
    try:
        recover(path)
    except OSError as error:
        lock.release()
        raise _cannot_be_made(path, error) from None
    return lock


def _locked(path: Path, check: Callable[[], None], option: str = "--output") -> FolderLock:
    """Lock the folder of an option that passes a check; ValueError where another has it."""
    try:
        lock = FolderLock(path)
    except TakenError:
        raise ValueError(f"{option} {path}: another process trains it; wait for its end") from None
    except OSError as error:
        raise _cannot_be_made(path, error) from None
    try:
        check()
    except BaseException:
        lock.release()
        raise
    return lock


def refuse_used_folder(path: Path, overwrite: bool = False) -> None:
    """Raise ValueError if something is in the place of a new run, unless it is an empty folder.

    With `overwrite` the files of a run may be there, and no others.
    """
    try:
        # A link that leads nowhere cannot be made a folder, either.
        is_other = (path.exists() or path.is_symlink()) and not path.is_dir()
        names = sorted(one.name for one in path.iterdir()) if path.is_dir() else []
    except OSError as error:
        raise _cannot_be_made(path, error) from None
    others = [name for name in names if name not in _UNUSED]
    if not (is_other or others):
        return
    if not overwrite:
        raise _used(path)
    if _CONFIG not in names:
        kind = "a file" if path.exists() else "a link that leads nowhere"
        what = f"holds {others[0]}, but no {_CONFIG} of a run" if others else f"is {kind}"
        raise ValueError(
            f"--output {path} {what}, which --overwrite does not replace; choose another --output"
        )
    known = (*_FILES, *_FOLDERS, LOCK)
    strange = [name for name in names if name.removesuffix(".part") not in known]
    if strange:
        raise ValueError(
            f"--output {path} holds {strange[0]}, which train did not write; remove it, or name a "
            "new folder"
        )


def _used(path: Path) -> ValueError:
    return ValueError(
        f"--output {path} already holds something, maybe a run that another process trains; name "
        "a new folder, go on with an old run by --resume, or replace it with --overwrite"
    )


def _cannot_be_made(path: Path, error: OSError) -> ValueError:
    return ValueError(
        f"--output {path} cannot be made: {_why(error)}; name a folder where you may write"
    )


def _why(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "out of memory"
    return getattr(error, "strerror", None) or str(error)
