"""Files of a run on disk: written whole or not at all, read with helpful errors; and JSON text.

Which files there are and what they hold belongs in `run_files.py`.
"""

import hashlib
import json
import math
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

__all__ = [
    "damaged",
    "json_lines",
    "json_sha256",
    "read_file",
    "sync_folder",
    "to_json",
    "write_file",
    "write_json",
]


def write_file(path: Path, content: bytes) -> None:
    """Write a file whole: it is beside its place until all of it is on the disk.

    Its name is on the disk, too, when this returns.

    Raises
    ------
    OSError
        If it cannot be written; a file that was there before is as it was.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        sync_folder(path.parent)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def sync_folder(path: Path) -> None:
    """Have the names in a folder on the disk, where the system can do that."""
    with suppress(OSError):  # Windows opens no folders, some file systems do not flush them
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_file(path: Path, expected: str) -> bytes:
    """Return what a file holds.

    Parameters
    ----------
    path : Path
    expected : str
        What should be there, for the error.

    Raises
    ------
    ValueError
        If it cannot be read: says whether it is missing, not permitted, or what else.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a device or a pipe might never end
            raise ValueError(f"{path} is not a file; expected {expected}")
        return path.read_bytes()
    except FileNotFoundError:
        raise ValueError(f"{path} is missing; expected {expected}") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}; expected {expected}") from None


def to_json(content: Any, indent: int | None = None) -> str:
    """Return a dict, list, number, text or None as JSON.

    JSON has neither NaN nor infinity: null is written in their place.
    """
    return json.dumps(_with_null(content), indent=indent, allow_nan=False)


def json_sha256(content: Any) -> str:
    """Return the SHA-256 of what JSON says, however it is laid out.

    It is that of the text in ASCII with sorted keys and without spaces.
    """
    text = json.dumps(_with_null(content), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _with_null(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _with_null(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_with_null(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def json_lines(content: Any, indent: int | None = None) -> bytes:
    """Return JSON as a file holds it: one line, or indented lines."""
    return (to_json(content, indent) + "\n").encode()


def write_json(path: Path, content: Any) -> None:
    """Write a file of indented JSON, whole.

    Raises
    ------
    OSError
        As `write_file`.
    """
    write_file(path, json_lines(content, indent=2))


@contextmanager
def damaged(path: Path) -> Iterator[None]:
    """Turn what goes wrong with a file's content into a ValueError that names the file."""
    try:
        yield
    except KeyError as error:
        raise ValueError(f"{path} is damaged: it lacks {error}") from None
    except (AttributeError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None
