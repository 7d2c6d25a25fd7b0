"""Folders that one process writes at a time, and of which several files are replaced as one.

New files are written to a sub-folder, `NAME.part`.  Renamed to `NAME` they are whole, and are moved
to their places one by one.  Where a process is killed in between, the next one moves the rest.
`result` replaces files of the same names; `replacement` replaces all that is there.  Nothing is
written outside the folder, which may be a link or a mounted file system.

Which files there are belongs elsewhere.
"""

import os
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from typing import BinaryIO

from pluggable_mlp.files import sync_folder

LOCK = "lock"
REPLACEMENT = "replacement"
RESULT = "result"

_FIRST = "config.json"
"""Every replacement has it, and it is moved first, when the old files are gone."""


class RecoveryWarning(UserWarning):
    """What a killed process left in a folder was put in its place, or removed."""


class TakenError(Exception):
    """Another process has the lock of a folder."""


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
        If it cannot be made or written.
    TakenError
        If another process has it.
    """

    def __init__(self, path: Path) -> None:
        self._path, self.made = path, False
        while True:
            self._make()
            try:
                self._file, is_new = _opened(path / LOCK)
            except FileNotFoundError:  # the process that made the folder has removed it
                continue
            if not _locked(self._file, is_new):
                self._file.close()
                raise TakenError
            if self.is_held:
                return
            self._file.close()  # its owner has just released it

    def _make(self) -> None:
        try:
            self._path.mkdir(parents=True)
            self.made = True
        except FileExistsError:
            if not self._path.is_dir():
                raise

    @property
    def is_held(self) -> bool:
        """Whether the folder is there and this process's."""
        with suppress(OSError, ValueError):  # ValueError: it is released
            return os.path.samestat((self._path / LOCK).stat(), os.fstat(self._file.fileno()))
        return False

    def release(self) -> None:
        """Give the folder up; a second time does nothing."""
        if self.is_held:
            with suppress(OSError):  # Windows removes no file that is open
                (self._path / LOCK).unlink()
        self._file.close()


def _opened(path: Path) -> tuple[BinaryIO, bool]:
    """Return the file of a lock, and whether it is new."""
    try:
        return path.open("xb"), True
    except FileExistsError:
        return path.open("ab"), False


def _locked(file: BinaryIO, is_new: bool) -> bool:
    """Lock a file until it is closed; return False where another process has it.

    Without locks, of the system or the file system, the process that makes the file has it.
    """
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    try:
        import fcntl
    except ImportError:  # neither Windows nor POSIX
        return is_new
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return is_new
    return True


def stage(path: Path, name: str) -> Path:
    """Return an empty folder within one that is locked, for files that are replaced as one."""
    staged = path / f"{name}.part"
    remove(staged)
    staged.mkdir()
    return staged


def commit(path: Path, name: str) -> Path:
    """Declare that the files of `stage` are whole; return where they are until `finish_moves`."""
    whole = (path / f"{name}.part").rename(path / name)
    sync_folder(path)
    return whole


def finish_moves(path: Path) -> bool:
    """Move files that are whole to their places, in a locked folder; return whether any were."""
    replacement, moved = path / REPLACEMENT, False
    if (replacement / _FIRST).exists():
        for one in path.iterdir():
            if one.name not in (REPLACEMENT, LOCK, _FIRST):
                remove(one)
        sync_folder(path)
        (replacement / _FIRST).replace(path / _FIRST)
    for folder in (replacement, path / RESULT):
        if folder.exists():
            moved = True
            for one in folder.iterdir():
                one.replace(path / one.name)
            sync_folder(path)
            folder.rmdir()
    return moved


def recover(path: Path) -> None:
    """Put in place or remove what a killed process left in a locked folder.

    Warns
    -----
    RecoveryWarning
        Naming which.
    """
    if finish_moves(path):
        _warn(f"{path} was left while files were put in their places; the last ones now are")
    part = path / f"{REPLACEMENT}.part"
    if part.exists():
        remove(part)
        _warn(f"{path} held a run that was to replace it and had no checkpoint; it is removed")
    remove(path / f"{RESULT}.part")


def settle(path: Path) -> None:
    """Move files that are whole to their places before a folder is read.

    Not while another process has it, which does so itself.

    Raises
    ------
    ValueError
        If they cannot be moved.
    """
    if not ((path / REPLACEMENT).exists() or (path / RESULT).exists()):
        return
    try:
        lock = FolderLock(path)
        try:
            recover(path)
        finally:
            lock.release()
    except TakenError:
        return
    except OSError as error:
        raise ValueError(
            f"{path} was left while files were put in their places, and the last ones cannot be: "
            f"{error.strerror}"
        ) from None


def _warn(words: str) -> None:
    warnings.warn(words, RecoveryWarning, stacklevel=3)


def remove(path: Path) -> None:
    """Remove a file or a folder with all that is in it, if it is there."""
    if path.is_dir() and not path.is_symlink():
        rmtree(path)
    else:
        path.unlink(missing_ok=True)
