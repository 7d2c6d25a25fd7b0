"""The folder of a run, which belongs to one process and is written from the start of training.

The contents of its files are defined in `run.py` and `certificate.py`.  Each file is whole or not
there; `summary.json` is the last, and the first that goes if training goes on: with it the run has
ended.
"""

import os
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from traceback import clear_frames
from types import TracebackType

from filelock import FileLock, Timeout

from pluggable_mlp.backends import out_of_memory
from pluggable_mlp.files import json_lines, remove, write_file, write_json
from pluggable_mlp.runs import checkpoints
from pluggable_mlp.runs.certificate import write_certificate
from pluggable_mlp.runs.run import Run
from pluggable_mlp.training.loop import Position

SHORTEST_SECONDS = 1.0
"""Epochs that take less share a checkpoint."""

KEPT_CHECKPOINTS = 2

GRAPH, PLOTS, REPORT = "model.onnx", "plots", "report.html"
"""By `export`, `plot` and `report`, if no other place is named."""

_LOCK = "lock"
_CONFIG, _SUMMARY = "config.json", "summary.json"
_FILES = (
    "certificate.json", _SUMMARY, "model.safetensors", "metrics.jsonl", GRAPH, REPORT, _CONFIG,
)  # fmt: skip
_FOLDERS = (checkpoints.FOLDER, PLOTS, "tensorboard")
_UNUSED = {_LOCK, f"{_CONFIG}.part"}
"""What a process leaves that is killed before there is a run."""


class FolderLock:
    """A folder that belongs to this process until the lock is released, or the process ends.

    Parameters
    ----------
    path : Path
        Made if it is not there.

    Attributes
    ----------
    made : bool
        Whether the folder was made.

    Raises
    ------
    OSError
        If it cannot be created or written.
    Timeout
        If another process has it.
    """

    def __init__(self, path: Path) -> None:
        self._file, self.made = path / _LOCK, not path.exists()
        path.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(self._file)
        self._lock.acquire(blocking=False)
        self._stat = self._file.stat()

    @property
    def is_held(self) -> bool:
        """Whether the folder is there and this process's."""
        with suppress(OSError):
            return self._lock.is_locked and os.path.samestat(self._file.stat(), self._stat)
        return False

    def release(self) -> None:
        """Give the folder up; a second time does nothing."""
        if self.is_held:
            with suppress(OSError):  # Windows removes no file that is open
                self._file.unlink()
        self._lock.release()


class RunFolder:
    """What `train --output` writes: the settings first, each epoch's line, at the end the rest.

    A context: whatever ends it, the whole epochs of the run are then saved.  The folder of a run
    that has none is removed, so that it is not in the way of the next.  A run that is replaced is
    in `old_run(path)` until the new one has a checkpoint, and comes back if that never does.

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
    path : Path
        Behind all links.

    Raises
    ------
    ValueError
        If something else is there, another process trains there, or the folder cannot be created
        or written.
    """

    def __init__(
        self,
        path: Path,
        run: Run,
        overwrite: bool = False,
        resume: FolderLock | None = None,
        minutes: float = 5.0,
    ) -> None:
        self._name, self._run, self.path = path, run, path.resolve()
        self._seconds, self._checked = 60.0 * minutes, time.monotonic()
        self._is_saved = resume is not None  # so far that it may be gone on with
        self._old: Path | None = None
        at = 0 if run.position is None else run.position.state.t
        # Those after later steps were left aside where the run goes on from.
        steps = [] if resume is None else checkpoints.checkpoint_steps(path / checkpoints.FOLDER)
        self._checkpoints = [step for step in steps if step <= at]
        self._has_tried = run.position is not None
        self._kept: tuple[int, int] | None = None  # where this process made the last checkpoint
        self._recorded: int | None = None if resume else 0  # lines; None: all are to be written
        self._lock = resume or _locked(path, lambda: refuse_used_folder(path, overwrite))
        try:
            self._begin()
        except (OSError, ValueError) as error:
            self._leave()
            raise (_cannot_be_made(path, error) if isinstance(error, OSError) else error) from None

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
            if error is None and isinstance(fault, OSError | ValueError):
                raise OSError(message) from None
            warnings.warn(message, stacklevel=2)  # what is raised decides the exit code
            if error is None:
                raise
        finally:
            self._leave()

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
            raise OSError(f"--output {self._name} cannot be written: {_why(error)}") from None

    def keep(self, position: Callable[[], Position], now: bool = False) -> None:
        """Make a checkpoint within an epoch if one is due, or `now` if there is no old run.

        Raises
        ------
        OSError
            If that fails; the checkpoints before are as they were.
        """
        due = time.monotonic() - self._checked >= self._seconds
        if due or (now and self._old is None):
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
                f"--output {self._name}: no checkpoint can be written: {_why(error)}"
            ) from None

    def _make_checkpoint(self, position: Position) -> None:
        self._checked, self._has_tried = time.monotonic(), True
        self._hold()
        if self._recorded is None:
            self._append()
        self._sync_metrics()
        folder = self.path / checkpoints.FOLDER
        if checkpoints.save_checkpoint(folder, self._run.checkpoint(position), self._run.backend):
            steps = dict.fromkeys([*self._checkpoints, position.state.t])
            self._checkpoints = [*steps][-KEPT_CHECKPOINTS:]
            checkpoints.remove_checkpoints(folder, but=self._checkpoints)
            self._kept = _place_of(position)
            self._replace_old()

    def _replace_old(self) -> None:
        """Remove the old run, if there is one: this one has something to go on from, or ended."""
        self._is_saved = True
        if self._old is not None:
            with suppress(OSError):
                remove(self._old)
            self._old = None

    def _sync_metrics(self) -> None:
        """Have the lines of the epochs on the disk before a checkpoint counts on them."""
        with suppress(FileNotFoundError), (self.path / "metrics.jsonl").open("rb") as file:
            os.fsync(file.fileno())

    def _append(self) -> None:
        """Write the lines that `metrics.jsonl` lacks: all, whole or not, after one failed."""
        history, path = self._run.history, self.path / "metrics.jsonl"
        lines = b"".join(json_lines(line) for line in history[self._recorded or 0 :])
        if self._recorded is None:
            write_file(path, lines)  # checkpoints count on the lines that are there
        else:
            with path.open("ab") as file:
                file.write(lines)
        self._recorded = len(history)

    def _begin(self) -> None:
        """Write the settings, when an old run is out of the way, or the end of this one."""
        if not self._is_saved:
            if (self.path / _CONFIG).exists():
                self._put_aside()
        else:
            remove(self.path / _SUMMARY)
            if not self._run.is_done:
                for name in (GRAPH, PLOTS, REPORT):
                    with suppress(OSError):  # as of a picture that a viewer holds
                        remove(self.path / name)
        write_json(self.path / _CONFIG, self._run.config)

    def _put_aside(self) -> None:
        """Rename the old run, and lock a new folder in its place."""
        lock, old = self._lock, old_run(self.path)
        if os.name == "nt":
            lock.release()  # no folder is renamed there in which a file is open
        self.path.rename(old)
        self._old = old
        remove(old / _LOCK)
        self._lock = _locked(self.path, lambda: refuse_used_folder(self.path))
        lock.release()

    def _hold(self) -> None:
        """Raise OSError unless the folder is this run's."""
        if not self._lock.is_held:
            raise FileNotFoundError("it has vanished, or another process has taken it")

    def _save(self) -> None:
        """Write all that the folder lacks."""
        self._hold()
        self._append()
        position = self._run.position
        if position is not None and _place_of(position) != self._kept:
            self._make_checkpoint(position)
        write_certificate(self._run, self.path / "certificate.json")
        self._run.save(self.path)
        self._replace_old()

    def _not_saved(self, fault: Exception) -> str:
        message = f"--output {self._name} cannot be written: {_why(fault)}"
        if self._checkpoints and self._lock.is_held:
            message += f"; --resume {self._name} goes on from its last checkpoint"
        return message

    def _leave(self) -> None:
        """Give the folder up; remove what this run wrote if it is of no use."""
        with suppress(OSError):
            is_nothing = self._old is not None or not self._run.history
            if self._lock.is_held and not self._is_saved and is_nothing:
                for name in (*_FILES, *_FOLDERS):
                    remove(self.path / name)
        self._lock.release()
        with suppress(OSError):  # the folder is not empty
            if self._lock.made:
                self.path.rmdir()
            if self._old is not None:
                self._old.rename(self.path)


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
    old = old_run(path)

    def refuse_other() -> None:
        if not (path / _CONFIG).is_file():
            hint = f"; {old} is the run that it was to replace" if old.exists() else ""
            raise ValueError(
                f"{path / _CONFIG} is missing; expected a folder that train --output wrote{hint}"
            )

    refuse_other()
    if old.exists():
        warnings.warn(f"{old} exists, too: {path} was perhaps to replace it", stacklevel=2)
    return _locked(path, refuse_other, "--resume")


def old_run(path: Path) -> Path:
    """Return the path of a run until its replacement has a checkpoint."""
    path = path.resolve()
    return path.with_name(f"{path.name}.old")


def _locked(path: Path, check: Callable[[], None], option: str = "--output") -> FolderLock:
    """Lock the folder of an option that passes a check; ValueError where another has it."""
    try:
        lock = FolderLock(path)
    except Timeout:
        raise ValueError(f"{option} {path}: another process trains it") from None
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
    old = old_run(path)
    if overwrite and old.exists():
        raise ValueError(f"{old} exists, expected a free name for the run that is replaced")
    try:
        names = sorted({one.name for one in path.iterdir()} - _UNUSED)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _cannot_be_made(path, error) from None
    if names and not overwrite:
        raise ValueError(f"--output {path} is not empty; use --resume or --overwrite")
    ours = (*_FILES, *_FOLDERS, _LOCK)
    others = [name for name in names if name.removesuffix(".part") not in ours]
    if others or (names and _CONFIG not in names):
        strange = (others or names)[0]
        raise ValueError(f"--output {path} holds {strange}, expected the files of a run alone")


def _cannot_be_made(path: Path, error: OSError) -> ValueError:
    return ValueError(f"--output {path} cannot be created: {_why(error)}")


def _why(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "out of memory"
    return getattr(error, "strerror", None) or str(error)
