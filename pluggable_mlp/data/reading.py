"""The bytes of a plain or gzipped file; a format belongs in its reader."""

import gzip
import os
import zlib

from pluggable_mlp.data.dataset import DataError

__all__ = ["GET_A_NEW_COPY", "check_file", "read_bytes"]

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
    check_file(path)
    data = bytearray()
    try:
        with open(path, "rb") as plain:
            compressed = plain.read(2) == GZIP_MAGIC
            plain.seek(0)
            with gzip.GzipFile(fileobj=plain) if compressed else plain as stream:
                while chunk := stream.read(CHUNK):
                    data += chunk
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(path, f"cannot be read: {error}", GET_A_NEW_COPY) from error
    return data
