"""The bytes of a plain or gzipped file, and how many a file may become; a format has its reader."""

import gzip
import os
import zlib

from pluggable_mlp.data.errors import DataError

CHUNK = 2**20
GZIP_MAGIC = b"\x1f\x8b"
GET_A_NEW_COPY = "get a new copy of the file"
UNPACKED_GIB = "PLUGGABLE_MLP_UNPACKED_GIB"
"""The environment variable that says how much a file may become, however small it is."""

_DEFAULT_GIB = "0.0625"
_TIMES = 256
"""So many times its size a file may become, too: more than any that is not compressed does."""


def check_file(path: str) -> None:
    """Raise `DataError` where no regular file is; of a relative path it says where it begins."""
    if os.path.isdir(path):
        raise DataError(path, "is a folder", "give a file")
    if not os.path.isfile(path):  # a device or a pipe might never end
        where = "" if os.path.isabs(path) else f", which begins in {os.getcwd()}"
        raise DataError(path, "there is no such file", f"check the path{where}")


def read_bytes(path: str) -> bytearray:
    """Return all bytes of a file, decompressed where its first two are those of gzip.

    Raises
    ------
    DataError
        If it is not a readable regular file, not a whole gzip file, or becomes too large.
    """
    compressed = first_bytes(path, 2) == GZIP_MAGIC
    data, most = bytearray(), most_bytes(path)
    try:
        with gzip.open(path) if compressed else open(path, "rb") as stream:
            while chunk := stream.read(CHUNK):
                data += chunk
                if len(data) > most:
                    break
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(path, error) from error
    check_unpacked(path, len(data))
    return data


def check_unpacked(path: str, size: int) -> None:
    """Raise `DataError` if a file becomes so many bytes in memory, and that is too many."""
    most = most_bytes(path)
    if size > most:
        fault = f"becomes more than {most / 2**20:,.0f} MiB in memory, the most for its size"
        remedy = f"if you trust it, set the environment variable {UNPACKED_GIB} to more, such as 4"
        raise DataError(path, fault, remedy)


def most_bytes(path: str) -> float:
    """Return how many bytes a file may become: 64 MiB, or 256 times its size if that is more."""
    text = os.environ.get(UNPACKED_GIB, _DEFAULT_GIB)
    try:
        least = float(text) * 2**30
    except ValueError:
        least = -1.0
    if not least >= 0:
        raise ValueError(f"{UNPACKED_GIB} is {text!r}, expected a number of GiB of at least 0")
    return max(least, _TIMES * os.path.getsize(path))


def first_bytes(path: str, count: int) -> bytes:
    """Return the first bytes of a file, as they are there; `DataError` where it is not readable."""
    check_file(path)
    try:
        with open(path, "rb") as file:
            return file.read(count)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: str, error: Exception) -> DataError:
    return DataError(path, f"cannot be read: {error}", GET_A_NEW_COPY)
