"""The folder of a run, which belongs to one process and is written from the start of training.

The contents of its files are defined in `runs.py` and `certificates.py`.
"""

import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from types import TracebackType
from typing import BinaryIO

from pluggable_mlp.certificates import write_certificate
from pluggable_mlp.checkpoints import FOLDER, save_checkpoint
from pluggable_mlp.runs import Run
from pluggable_mlp.storage import json_lines, sync_folder, write_file
from pluggable_mlp.training.loop import Position

__all__ = ["NotSavedError", "RunFolder", "refuse_used_folder"]

SHORTEST_SECONDS = 1.0
"""Epochs that take less share a checkpoint."""

_FILES = ("certificate.json", "summary.json", "model.safetensors", "metrics.jsonl", "config.json")


_FOLDERS = (FOLDER, "plots", "tensorboard")


class NotSavedError(OSError):
    """A run could not be saved in its folder; the message says where it is saved instead, if so.

    Its `__cause__` is the error that ended the training, if one did.
    """


class RunFolder:
    """What `train --output` writes: the settings first, each epoch's line, at the end the rest.

    A context: whatever ends it, the whole epochs of the run are then saved; where they cannot be
    saved there, that is a `NotSavedError`.  The folder of a run that has none is removed, so that
    it is not in the way of the next.

    Parameters
    ----------
    path : Path
        A new folder, or an empty one.
    run : Run
        Not yet trained.
    overwrite : bool, default False
        Replace the run that is there.
    resume : bool, default False
        Go on with the run that is there.
    minutes : float, default 5
        How often a checkpoint is made within an epoch.

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
        resume: bool = False,
        minutes: float = 5.0,
    ) -> None:
        self._path, self._run = path, run
        self._seconds, self._checked = 60.0 * minutes, time.monotonic()
        self._has_checkpoint = resume
        self._made: bool
        self._config: BinaryIO
        self._recorded: int | None = 0  # lines of metrics.jsonl; None where writing them failed
        self._replaced: Path | None = None
        if not resume:
            refuse_used_folder(path, overwrite)
        try:
            if overwrite:
                self._replaced = _set_aside(path)
            self._reopen() if resume else self._claim()
        except OSError as error:
            self._put_back()
            if isinstance(error, FileExistsError):
                raise _used(path) from None
            raise _cannot_be_made(path, error) from None

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._run.history:
            if self._has_checkpoint:
                self._config.close()
            else:
                self._remove()
                self._put_back()
            return
        try:
            self._save()
        except (OSError, ValueError) as fault:
            raise self._save_elsewhere(fault) from error
        finally:
            self._config.close()

    def record(self) -> None:
        """Append what is new in the run's history to `metrics.jsonl`.

        Raises
        ------
        OSError
            If that fails, or the folder has vanished.  The next call then writes all lines, in a
            new folder if need be.
        """
        try:
            self._hold(again=self._recorded is None)
            self._append()
            if self._replaced is not None:
                rmtree(self._replaced, ignore_errors=True)
                self._replaced = None
        except OSError as error:
            self._recorded = None
            raise OSError(f"--output {self._path} cannot be written: {_why(error)}") from None

    def _put_back(self) -> None:
        """Return the run that this one was to replace, where no epoch has taken its place."""
        if self._replaced is None:
            return
        self._path.mkdir(parents=True, exist_ok=True)
        for one in self._replaced.iterdir():
            one.rename(self._path / one.name)
        self._replaced.rmdir()
        self._replaced = None

    def keep(self, position: Callable[[], Position], now: bool = False) -> None:
        """Make a checkpoint within an epoch where one is due, or `now`.

        Raises
        ------
        OSError
            If that fails; the checkpoints before are as they were.
        """
        if now or time.monotonic() - self._checked >= self._seconds:
            self._try_checkpoint(position())

    def keep_epoch(self) -> None:
        """Make a checkpoint after an epoch, unless the last one is less than a second old.

        Raises
        ------
        OSError
            As `keep`.
        """
        if time.monotonic() - self._checked >= SHORTEST_SECONDS and self._run.position:
            self._try_checkpoint(self._run.position)

    def _try_checkpoint(self, position: Position) -> None:
        try:
            self._make_checkpoint(position)
        except OSError as error:
            raise OSError(
                f"--output {self._path}: no checkpoint can be written: {_why(error)}"
            ) from None

    def _make_checkpoint(self, position: Position) -> None:
        self._checked = time.monotonic()
        self._hold(again=self._recorded is None)
        if self._recorded is None:
            self._append()
        self._sync_metrics()
        folder, content = self._path / FOLDER, self._run.checkpoint(position)
        if save_checkpoint(folder, position.state.t, content, self._run.backend):
            self._has_checkpoint = True

    def _sync_metrics(self) -> None:
        """Have the lines of the epochs on the disk before a checkpoint counts on them."""
        with suppress(FileNotFoundError), (self._path / "metrics.jsonl").open("rb") as file:
            os.fsync(file.fileno())

    def _append(self) -> None:
        """Write the lines that `metrics.jsonl` lacks: all, whole or not, after one failed."""
        history, path = self._run.history, self._path / "metrics.jsonl"
        lines = b"".join(json_lines(line) for line in history[self._recorded or 0 :])
        if self._recorded is None:
            write_file(path, lines)  # checkpoints count on the lines that are there
        else:
            with path.open("ab") as file:
                file.write(lines)
        self._recorded = len(history)

    def _claim(self) -> None:
        """Make the folder, and config.json in a way that only one process can.

        The file stays open: so it can be told from any other that is found in its place.
        """
        self._made = not self._path.exists()
        self._path.mkdir(parents=True, exist_ok=True)
        try:
            self._config = (self._path / "config.json").open("xb")
        except FileExistsError:
            raise FileExistsError("another run is there") from None
        _lock(self._config)
        try:
            self._config.write(json_lines(self._run.config, indent=2))
            self._config.flush()
            os.fsync(self._config.fileno())
            sync_folder(self._path)
        except OSError:
            self._remove()
            raise

    def _reopen(self) -> None:
        """Take the folder of a run that ended; FileExistsError where another process has it."""
        self._made = False
        self._config = (self._path / "config.json").open("r+b")
        if not _lock(self._config):
            self._config.close()
            raise FileExistsError("another process trains there")
        (self._path / "summary.json").unlink(missing_ok=True)
        sync_folder(self._path)  # first: it has the hash of config.json
        content = json_lines(self._run.config, indent=2)
        if self._config.read() != content:  # more epochs
            self._config.seek(0)
            self._config.write(content)
            self._config.truncate()
            self._config.flush()
            os.fsync(self._config.fileno())
        lines = b"".join(json_lines(line) for line in self._run.history)
        write_file(self._path / "metrics.jsonl", lines)
        self._recorded = len(self._run.history)

    def _holds(self) -> bool:
        """Return whether the folder is there and this run's."""
        if self._config.closed:  # it could not be made again
            return False
        with suppress(OSError):
            there = (self._path / "config.json").stat()
            return os.path.samestat(there, os.fstat(self._config.fileno()))
        return False

    def _hold(self, again: bool) -> None:
        """Raise OSError unless the folder is this run's; `again`: make it anew if it is missing."""
        if self._holds():
            return
        if not again:
            raise FileNotFoundError("it has vanished")
        self._config.close()
        self._claim()
        self._recorded = None

    def _save(self) -> None:
        """Write all that the folder lacks."""
        self._hold(again=True)
        self._append()
        if self._run.position is not None:
            self._make_checkpoint(self._run.position)
        self._run.save(self._path)
        write_certificate(self._run, self._path / "certificate.json")

    def _save_elsewhere(self, fault: Exception) -> "NotSavedError":
        """Save the run in the temporary folder, and return an error that says so.

        Checkpoints that it made before stay where they are.
        """
        told = f"--output {self._path} cannot be written: {_why(fault)}"
        try:
            other = RunFolder(Path(tempfile.mkdtemp(prefix="pluggable-mlp-")), self._run)
            with other._config:
                other._save()
        except (OSError, ValueError) as another:
            return NotSavedError(f"{told}; nor can a temporary folder: {_why(another)}")
        told += f"; the run is saved in {other._path} instead"
        if self._has_checkpoint and self._holds():
            return NotSavedError(f"{told}, and --resume {self._path} has its last checkpoint")
        self._remove()
        return NotSavedError(told)

    def _remove(self) -> None:
        """Remove what this run wrote, as far as that can be done."""
        names = _FILES if self._holds() else ()
        with suppress(OSError):  # what could not be written before
            self._config.close()
        with suppress(OSError):
            for name in names:
                (self._path / name).unlink(missing_ok=True)
            for name in _FOLDERS if names else ():
                rmtree(self._path / name, ignore_errors=True)
            if self._made:
                self._path.rmdir()


def refuse_used_folder(path: Path, overwrite: bool = False) -> None:
    """Raise ValueError if something is in the place of a new run, unless it is an empty folder.

    With `overwrite` the files of a run may be there, and no others.
    """
    try:
        used = path.exists() and (not path.is_dir() or any(path.iterdir()))
        names = sorted(one.name for one in path.iterdir()) if used and path.is_dir() else []
    except OSError as error:
        raise _cannot_be_made(path, error) from None
    if not used:
        return
    if not (overwrite and "config.json" in names):
        raise _used(path)
    strange = [name for name in names if name.removesuffix(".part") not in (*_FILES, *_FOLDERS)]
    if strange:
        raise ValueError(
            f"--output {path} holds {strange[0]}, which train did not write; remove it, or name a "
            "new folder"
        )


def _set_aside(path: Path) -> Path | None:
    """Move the files of an old run to a folder beside it; return that, None if there is no run.

    Raises
    ------
    OSError
        If that fails; FileExistsError where another process trains the run.
    """
    config = path / "config.json"
    if not config.exists():
        return None
    with config.open("rb") as held:
        if not _lock(held):
            raise FileExistsError("another process trains there")
        aside = Path(tempfile.mkdtemp(prefix=f".{path.name}-replaced-", dir=path.absolute().parent))
        for one in path.iterdir():
            one.rename(aside / one.name)
    return aside


def _lock(file: BinaryIO) -> bool:
    """Take a file for this process, until it is closed; return False where another has it."""
    try:
        import fcntl
    except ImportError:  # Windows refuses to remove a file that is open elsewhere
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


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
    return getattr(error, "strerror", None) or str(error)
