"""The bytes of a plain or gzipped file; a format belongs in its reader."""

import gzip
import os
import zlib

from pluggable_mlp.data.errors import DataError

CHUNK = 2**20
GZIP_MAGIC = b"\x1f\x8b"
GET_A_NEW_COPY = "get a new copy of the file"


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
        If it is not a readable regular file, or not a whole gzip file.
    """
    compressed = first_bytes(path, 2) == GZIP_MAGIC
    data = bytearray()
    try:
        with gzip.open(path) if compressed else open(path, "rb") as stream:
            while chunk := stream.read(CHUNK):
                data += chunk
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(path, error) from error
    return data


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
