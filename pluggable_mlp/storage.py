"""Files of a run on the disk: written whole or not at all, and read with an error that helps.

Which files there are and what they hold belongs elsewhere.
"""

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pluggable_mlp.json_text import to_json

__all__ = ["damaged", "json_lines", "read_file", "read_json", "write_file", "write_json"]


def write_file(path: Path, content: bytes) -> None:
    """Write a file whole: it is beside its place until all of it is on the disk.

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
    except OSError:
        part.unlink(missing_ok=True)
        raise


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


def read_json(path: Path, expected: str) -> Any:
    """Return the content of a file of JSON; the arguments are those of `read_file`.

    Raises
    ------
    ValueError
        If it cannot be read, or is not JSON.
    """
    content = read_file(path, expected)
    with damaged(path):
        return json.loads(content)


@contextmanager
def damaged(path: Path) -> Iterator[None]:
    """Turn what goes wrong with a file's content into a ValueError that names the file."""
    try:
        yield
    except KeyError as error:
        raise ValueError(f"{path} is damaged: it lacks {error}") from None
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None
