"""Files of a run on the disk: written whole or not at all, and read with an error that helps.

Which files there are and what they hold belongs elsewhere.
"""

import os
from pathlib import Path

__all__ = ["read_file", "write_file"]


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
        return path.read_bytes()
    except FileNotFoundError:
        raise ValueError(f"{path} is missing; expected {expected}") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}; expected {expected}") from None
