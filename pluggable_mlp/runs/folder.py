"""The folder of a run, which belongs to one process and is written from the first epoch on.

It holds `config.json` (the settings and the data's shape), `metrics.jsonl` (a line per epoch),
`model.safetensors` (the parameters), `certificate.json` and `summary.json` (the results, and the
hashes of the settings and the parameters).  Each file is whole or absent; the summary is written
last, and removed first if training continues: it marks a run that has ended.
"""

import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from traceback import clear_frames
from types import TracebackType

from filelock import FileLock, Timeout

from pluggable_mlp.arrays import map_nested
from pluggable_mlp.backends import out_of_memory
from pluggable_mlp.files import GrowingFile, is_link, remove, rename, write_json
from pluggable_mlp.files.serialization import write_tree
from pluggable_mlp.runs import checkpoints
from pluggable_mlp.runs.certificates import certificate_of
from pluggable_mlp.runs.run import Run
from pluggable_mlp.runs.saved import read_config
from pluggable_mlp.training.loop import Position

SHORTEST_SECONDS = 1.0
"""Epochs that take less time share a checkpoint."""

KEPT_CHECKPOINTS = 2

RENAMED_WHILE_LOCKED = os.name != "nt"
"""Whether a folder with an open file can be renamed."""

GRAPH, PLOTS, REPORT = "model.onnx", "plots", "report.html"
"""Files that `export`, `plot` and `report` write by default."""

_LOCK = "lock"
_CONFIG, _SUMMARY = "config.json", "summary.json"
_NAMES = (
    "certificate.json", _SUMMARY, "model.safetensors", "metrics.jsonl", GRAPH, REPORT, _CONFIG,
    checkpoints.FOLDER, PLOTS, "tensorboard", _LOCK,
)  # fmt: skip
_UNUSED = {_LOCK, f"{_CONFIG}.part"}
"""Files left by a process that was killed before the run began."""


class FolderLock:
    """A folder that belongs to this process until the lock is released, or the process ends.

    Parameters
    ----------
    path : Path
        Created if it does not exist.
    option : str
        That names it, for errors.

    Attributes
    ----------
    made : bool
        Whether the folder was created.

    Raises
    ------
    ValueError
        If it cannot be created or written, or another process holds it.
    """

    def __init__(self, path: Path, option: str = "--output") -> None:
        self._file = path / _LOCK
        self.made: bool = not path.exists()
        self._lock = FileLock(self._file)
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._refuse_links(option)
            self._lock.acquire(blocking=False)
            self._stat = self._file.stat()
        except Timeout:
            raise ValueError(f"{option} {path}: another process trains it") from None
        except OSError as error:
            raise ValueError(f"{option} {path} cannot be written: {_why(error)}") from None

    def _refuse_links(self, option: str) -> None:
        """Raise ValueError if the file has another name: to lock it may write it."""
        with suppress(FileNotFoundError):
            if is_link(self._file) or self._file.stat().st_nlink > 1:
                raise ValueError(f"{option} {self._file} is a link, expected a file or none")

    @property
    def is_held(self) -> bool:
        """Whether the folder exists and this process holds it."""
        with suppress(OSError):
            return self._lock.is_locked and os.path.samestat(self._file.stat(), self._stat)
        return False

    def release(self) -> None:
        """Release the folder; a second call does nothing."""
        if self.is_held:
            with suppress(OSError):  # Windows removes no file that is open
                self._file.unlink()
        with suppress(OSError):  # it ends with the process, too
            self._lock.release()


class RunFolder:
    """What `train --output` writes: the settings first, each epoch's line, at the end the rest.

    A context manager: however it ends, the run's whole epochs are saved.  Nothing is written before
    the first epoch or checkpoint.  A replaced run is then renamed to `old_run(path)`, and removed
    when the new one has a checkpoint or has ended.

    Parameters
    ----------
    path : Path
        A new folder, or an empty one.
    run : Run
        Not yet trained.
    overwrite : bool, default False
        Replace an existing run.
    resume : FolderLock, optional
        Continue the existing run, locked by `lock_run`.
    minutes : float, default 5
        How often a checkpoint is made within an epoch.

    Attributes
    ----------
    path : Path
        With all links resolved.

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
        self._name, self._run = path, run
        self.path: Path = path.resolve()
        self._metrics = GrowingFile(self.path / "metrics.jsonl")
        # The folder, and the run that was there.
        self._lock = resume or _lock_new_run(path, overwrite)
        self._resumes, self._goes_on = resume is not None, not run.is_done
        self._replaces = not self._resumes and (self.path / _CONFIG).exists()
        self._old: Path | None = None  # where the replaced run is
        self._has_begun = False
        # Checkpoints.
        self._steps: list[int] = []  # after which there is one from which the run can go on
        if resume is not None and run.position is not None:
            steps = checkpoints.checkpoint_steps(path / checkpoints.FOLDER)
            self._steps = [step for step in steps if step <= run.position.state.t]
        self._is_first = not self._steps  # the next checkpoint, also if it fails
        self._longest_seconds, self._checkpoint_time = 60.0 * minutes, time.monotonic()
        self._checkpoint_place: tuple[object, ...] = ()  # epoch and start of the last one

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, Exception) and out_of_memory(error):
            clear_frames(traceback)  # free the arrays of the step, to save the run
        try:
            if self._run.history:
                self._save()
        except Exception as fault:
            message = f"--output {self._name} cannot be written: {_why(fault)}"
            if self._steps and self._lock.is_held:
                message += f"; --resume {self._name} goes on from its last checkpoint"
            if error is None and isinstance(fault, OSError | ValueError):
                raise OSError(message) from None
            warnings.warn(message, stacklevel=2)  # the error being raised decides the exit code
            if error is None:
                raise
        finally:
            self._release()

    def _release(self) -> None:
        """Give the folder back, remove it if it is new and empty, and warn of an old run."""
        self._lock.release()
        with suppress(OSError):  # it is not empty
            if self._lock.made:
                self.path.rmdir()
        old_folder, may_replace = old_run(self.path), self._resumes or self._old is not None
        if may_replace and os.path.lexists(old_folder):
            message = f"{old_folder} is perhaps the run that {self._name} was to replace"
            advice = "remove or rename it before the next --overwrite"
            warnings.warn(f"{message}; {advice}", stacklevel=3)

    def record(self) -> None:
        """Append what is new in the run's history to `metrics.jsonl`, and make a checkpoint.

        There is a checkpoint of the first epoch, then at most one per second.

        Raises
        ------
        OSError
            If that fails.  The next call then writes all lines.
        """
        with self._naming_itself():
            self._prepare()
            self._metrics.write(self._run.history)
            due = time.monotonic() - self._checkpoint_time >= SHORTEST_SECONDS
            if self._run.position and (due or self._is_first):
                self._make_checkpoint(self._run.position)

    def keep(self, position: Callable[[], Position], now: bool = False) -> None:
        """Make a checkpoint within an epoch if one is due, or `now` if no old run is replaced.

        Raises
        ------
        OSError
            If that fails; earlier checkpoints are unchanged.
        """
        due = time.monotonic() - self._checkpoint_time >= self._longest_seconds
        if due or (now and not self._replaces):
            with self._naming_itself():
                self._make_checkpoint(position())

    @contextmanager
    def _naming_itself(self) -> Iterator[None]:
        """Name the folder in an OSError."""
        try:
            yield
        except OSError as error:
            raise OSError(f"--output {self._name} cannot be written: {_why(error)}") from None

    def _make_checkpoint(self, position: Position) -> None:
        self._checkpoint_time, self._is_first = time.monotonic(), False
        checkpoint = checkpoints.checkpoint_of(self._run, position)
        if checkpoint is None:
            return
        self._prepare()
        self._metrics.write(self._run.history, flush=True)  # the checkpoint relies on it
        folder = self.path / checkpoints.FOLDER
        checkpoints.save_checkpoint(folder, checkpoint)
        steps = dict.fromkeys([*self._steps, position.state.t])
        self._steps = [*steps][-KEPT_CHECKPOINTS:]
        checkpoints.remove_checkpoints(folder, but=self._steps)
        self._checkpoint_place = position[1:3]  # epoch and start: no arrays are kept alive
        self._remove_old()

    def _remove_old(self) -> None:
        """Remove the old run, if any, since this one has a checkpoint or has ended."""
        if self._old is not None:
            with suppress(OSError):  # it is tried again
                remove(self._old)
                self._old = None

    def _begin(self) -> None:
        """Put an old run, or the earlier end of this one, out of the way; write the settings."""
        if self._replaces:
            self._put_aside()
        if self._resumes:
            remove(self.path / _SUMMARY)
            if self._goes_on:
                for name in (GRAPH, PLOTS, REPORT):
                    with suppress(OSError):  # as of a picture that a viewer holds
                        remove(self.path / name)
        write_json(self.path / _CONFIG, self._run.config)

    def _put_aside(self) -> None:
        """Rename the old run, and lock a new folder in its place."""
        lock, old_folder = self._lock, old_run(self.path)
        if not RENAMED_WHILE_LOCKED:
            lock.release()
        try:
            rename(self.path, old_folder)
        except OSError:
            if not RENAMED_WHILE_LOCKED:
                with suppress(ValueError):  # another process has taken it
                    self._lock = FolderLock(self.path)
            raise
        self._old, self._replaces = old_folder, False
        remove(old_folder / _LOCK)
        self._lock = _lock_new_run(self.path)
        lock.release()

    def _prepare(self) -> None:
        """Raise OSError unless the folder is this run's; begin the run, if it has not begun."""
        if not self._lock.is_held:
            raise FileNotFoundError("it has vanished, or another process has taken it")
        if not self._has_begun:
            self._begin()
            self._has_begun = True

    def _save(self) -> None:
        """Write all that the folder lacks."""
        self._prepare()
        self._metrics.write(self._run.history)
        position = self._run.position
        if position is not None and position[1:3] != self._checkpoint_place:
            self._make_checkpoint(position)
        certificate = certificate_of(self._run, self._run.config["settings"])
        write_json(self.path / "certificate.json", certificate)
        model = map_nested(self._run.backend.to_numpy, self._run.parameters)
        write_tree(self.path / "model.safetensors", model)
        write_json(self.path / _SUMMARY, self._run.summary())
        self._remove_old()


def lock_run(path: Path) -> FolderLock:
    """Lock the folder of a run to be resumed.

    Raises
    ------
    ValueError
        If there is no run, another process trains it, or the folder cannot be written.
    """
    try:
        read_config(path / _CONFIG)  # before a lock is made there
    except ValueError as error:
        if not (old_folder := old_run(path)).exists():
            raise
        fault = f"{error}; {old_folder} is perhaps the run that it was to replace"
        raise ValueError(fault) from None
    if is_link(folder := path / checkpoints.FOLDER):
        raise ValueError(f"--resume {folder} is a link, expected a folder")
    return FolderLock(path, "--resume")


def old_run(path: Path) -> Path:
    """Return the path of a replaced run until the new one has a checkpoint."""
    path = path.resolve()
    return path.with_name(f"{path.name}.old")


def _lock_new_run(path: Path, overwrite: bool = False) -> FolderLock:
    """Lock the folder of a new run."""
    lock = FolderLock(path)
    try:
        refuse_used_folder(path, overwrite)
    except ValueError:
        lock.release()
        raise
    return lock


def refuse_used_folder(path: Path, overwrite: bool = False) -> None:
    """Raise ValueError if the path of a new run exists, unless it is an empty folder.

    With `overwrite` it may hold the files of a run, and no others, if it can be renamed.
    """
    if not path.name:  # also of an empty text, such as a variable that is not set
        raise ValueError(f"--output is {str(path)!r}, expected the name of a folder")
    old_folder = old_run(path)
    if overwrite and os.path.lexists(old_folder):
        fault = f"{old_folder} exists, expected a free name for the run that is replaced"
        raise ValueError(f"{fault}; remove it if {path} has replaced it, or rename it")
    try:
        names = sorted({one.name for one in path.iterdir()} - _UNUSED)
    except FileNotFoundError:
        return
    except OSError as error:
        raise ValueError(f"--output {path} cannot be created: {_why(error)}") from None
    if names and not overwrite:
        raise ValueError(f"--output {path} is not empty; use --resume or --overwrite")
    strangers = [name for name in names if name.removesuffix(".part") not in _NAMES]
    if strangers or (names and _CONFIG not in names):
        first = (strangers or names)[0]
        raise ValueError(f"--output {path} holds {first}, expected the files of a run alone")
    folder = path.resolve()
    if names and (os.path.ismount(folder) or not os.access(folder.parent, os.W_OK)):
        raise ValueError(
            f"--overwrite renames the old run first, and {path} cannot be renamed (it is a mount "
            "point, or its parent is read-only)"
        )


def _why(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "out of memory"
    return getattr(error, "strerror", None) or str(error)
