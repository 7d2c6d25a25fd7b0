"""Files on disk: written whole or not at all, read with helpful errors; and JSON text.

Every file of the library is written here, because a folder may hold links that a stranger made: a
file replaces a link, and a folder that is a link is refused.  Which files there are, and their
contents, belongs in `runs/`.
"""

import errno
import hashlib
import json
import os
import stat
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from shutil import rmtree
from typing import Any, BinaryIO, TypeAlias

import msgspec

from pluggable_mlp.fields import shorten

Json: TypeAlias = dict[str, Any]
"""An object of JSON, such as the settings of a run or the line of an epoch."""


def write_file(path: Path, content: bytes) -> None:
    """Write a file whole, as `whole_file` does."""
    with whole_file(path) as file:
        file.write(content)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write; it has a temporary name until all of it is on disk.

    Finally its name is flushed to disk, too.  Links of either name are replaced.

    Raises
    ------
    OSError
        If it cannot be written; after any error, an existing file is unchanged.
    """
    part = part_of(path)
    try:
        part.unlink(missing_ok=True)
        with part.open("xb") as file:  # exclusively, which follows no link
            yield file
            _flush(file)
        rename(part, path)
        sync_folder(path.parent)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise


class GrowingFile:
    """A file of JSON lines to which more are appended."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines_written, self._size = 0, -1  # -1: write all

    def write(self, lines: Sequence[object], flush: bool = False) -> None:
        """Append the lines that the file lacks, or write all if it is not as it was left.

        That is if it is missing, has another size or a second name, or is a link.

        Raises
        ------
        OSError
            If that fails.  The next call then writes all lines.
        """
        content = b"".join(map(json_lines, lines[self._lines_written :]))
        size, self._size = self._size, -1  # if this fails
        if not self._append(size, content, flush):
            size, content = 0, b"".join(map(json_lines, lines))
            write_file(self._path, content)
        self._lines_written, self._size = len(lines), size + len(content)

    def _append(self, size: int, content: bytes, flush: bool) -> bool:
        """Append to the file if it has this size, and return whether it has."""

        def open_existing(name: str, flags: int) -> int:
            return os.open(name, flags & ~os.O_CREAT | getattr(os, "O_NOFOLLOW", 0))

        try:
            file = open(self._path, "ab", opener=open_existing)  # noqa: SIM115 (errors of writing)
        except OSError:
            return False
        with file:
            status = os.fstat(file.fileno())
            if status.st_size != size or status.st_nlink > 1:
                return False
            file.write(content)
            if flush:
                _flush(file)
            return True


def _flush(file: BinaryIO) -> None:
    """Flush what was written to disk."""
    file.flush()
    if sys.platform == "darwin":  # whose fsync leaves it in the cache of the disk
        import fcntl

        with suppress(OSError):  # not all file systems have it
            fcntl.fcntl(file.fileno(), fcntl.F_FULLFSYNC)
            return
    os.fsync(file.fileno())


def part_of(path: Path) -> Path:
    """Return the path of a file while it is being written."""
    return path.with_name(f"{path.name}.part")


def rename(path: Path, new: Path) -> None:
    """Rename a folder, or a file, which replaces another.

    Windows refuses this while another program, such as a viewer or a scanner, has a file open.
    """
    for seconds in (0.05, 0.15, 0.3, 0.5):
        with suppress(PermissionError):
            path.replace(new)
            return
        time.sleep(seconds)
    path.replace(new)


def make_folder(path: Path) -> None:
    """Create a folder in an existing one, unless it is there.

    Raises
    ------
    OSError
        If it cannot be created, or is a link.
    """
    if is_link(path):
        raise OSError(errno.EEXIST, f"{path.name} is a link, expected a folder", str(path))
    path.mkdir(exist_ok=True)


def is_link(path: Path) -> bool:
    """Whether a path is a symbolic link, or a junction of Windows."""
    return path.is_symlink() or path.resolve() != path.parent.resolve() / path.name


def remove(path: Path) -> None:
    """Remove a file, a link, or a folder with its contents, if it exists."""
    is_folder = path.is_dir() and not is_link(path)
    action = partial(rmtree, path) if is_folder else partial(path.unlink, missing_ok=True)
    try:
        action()
    except PermissionError:  # Windows removes no file that is read-only
        inside = [Path(folder, name) for folder, _, names in os.walk(path) for name in names]
        for file in [*inside, path]:
            status = file.lstat()
            if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
                file.chmod(status.st_mode | stat.S_IWRITE)
        action()


def sync_folder(path: Path) -> None:
    """Flush the names in a folder to disk, if the system can do that."""
    with suppress(OSError):  # Windows opens no folders, some file systems do not flush them
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_file(path: Path, expected: str) -> bytes:
    """Return the contents of a file.

    Parameters
    ----------
    path : Path
    expected : str
        What the file should be, for the error.

    Raises
    ------
    ValueError
        If it cannot be read; the message says whether it is missing, or why else.
    """
    try:
        if path.exists() and not path.is_file():  # a device or a pipe might never end
            raise ValueError(f"{path} is not a file; expected {expected}")
        return path.read_bytes()
    except FileNotFoundError:
        raise ValueError(f"{path} is missing; expected {expected}") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}; expected {expected}") from None


def to_json(content: object, **layout: Any) -> str:
    """Return a dict, list, number, text or None as JSON, in a layout of `json.dumps`.

    JSON has neither NaN nor infinity; null is written instead.
    """
    finite = json.loads(json.dumps(content), parse_constant=lambda _: None)
    return json.dumps(finite, **layout)


def json_sha256(content: object) -> str:
    """Return the SHA-256 of a JSON value, independent of its layout.

    It is the hash of the ASCII text with sorted keys and without spaces.
    """
    text = to_json(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def json_lines(content: object, **layout: Any) -> bytes:
    """Return JSON as text for a file: one line, or indented lines."""
    return (to_json(content, **layout) + "\n").encode()


def write_json(path: Path, content: object) -> None:
    """Write a file of indented JSON, whole.

    Raises
    ------
    OSError
        As for `write_file`.
    """
    write_file(path, json_lines(content, indent=2))


def read_json(path: Path, expected: str, kind: object = Json) -> Json:
    """Return the object in a JSON file.

    Parameters
    ----------
    path : Path
    expected : str
        As for `read_file`.
    kind : type, optional
        The least that the object must hold, such as a `TypedDict`.

    Raises
    ------
    ValueError
        If the file cannot be read, or holds anything else; the message names file and fault.
    """
    text = read_file(path, expected)
    with blame(path):
        content: Json = parse_json(text)
        msgspec.convert(content, kind)
        return content


def parse_json(text: str | bytes) -> Any:
    """Return what JSON holds; ValueError if it is not JSON, or an object has a name twice."""
    return json.loads(text, object_pairs_hook=_make_object)


def _make_object(pairs: list[tuple[str, Any]]) -> Json:
    content = dict(pairs)
    if len(content) < len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"an object has the name {twice!r} twice")
    return content


@contextmanager
def blame(path: Path, what: str = "is damaged") -> Iterator[None]:
    """Turn errors in a file's contents into a ValueError that names the file."""
    try:
        yield
    except KeyError as error:
        raise ValueError(f"{path} {what}: it lacks {shorten(error)}") from None
    except MemoryError:
        raise
    except Exception as error:  # msgspec's are a ValueError only from 0.21 on
        raise ValueError(f"{path} {what}: {shorten(error)}") from None
