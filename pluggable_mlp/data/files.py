"""Opening a plain or gzipped file so that no file can take unbounded memory or time.

Whatever is the same for all formats belongs here; a format belongs in its reader.
"""

import gzip
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.dataset import DataError

__all__ = ["GET_A_NEW_COPY", "BoundedFile", "decompressed_limit", "missing_file", "open_bounded"]

ALWAYS_ALLOWED = 64 * 2**20
LARGEST_RATIO = 50
LONGEST_LINE = 1024
CHUNK = 2**20
GZIP_MAGIC = b"\x1f\x8b"
GET_A_NEW_COPY = "get a new copy of the file"


def missing_file(path: str) -> DataError:
    """Return the error for a path without a file; of a relative one it says where it begins."""
    if os.path.isdir(path):
        return DataError(path, "is a folder", "give a file")
    where = "" if os.path.isabs(path) else f", which begins in {os.getcwd()}"
    return DataError(path, "there is no such file", f"check the path{where}")


def decompressed_limit(path: str) -> int:
    """Return how many bytes a compressed file may decompress to.

    64 MiB, or 50 times the size of the file if that is more: far above what real data reach
    (13 times for the pickled MNIST), far below the 1,032 times of a decompression bomb.
    """
    return max(ALWAYS_ALLOWED, LARGEST_RATIO * os.path.getsize(path))


class BoundedFile:
    """A file that is read from its beginning to its end, and never beyond a limit.

    Parameters
    ----------
    path : str
        For errors.
    stream : binary file
        What is read.
    limit : int
        The number of bytes that may be read.

    Attributes
    ----------
    remaining : int
        The number of bytes that may still be read.
    """

    def __init__(self, path: str, stream: BinaryIO, limit: int) -> None:
        self.path = path
        self._stream = stream
        self.remaining = limit

    def admit(self, size: int) -> None:
        """Raise `DataError` if `size` more bytes cannot, or must not, follow."""
        if size > self.remaining:
            raise DataError(
                self.path,
                f"{size} bytes are due where at most {self.remaining} can follow: it is "
                "truncated, damaged or a decompression bomb",
                f"{GET_A_NEW_COPY}, or decompress it by hand if it is known to be good",
            )

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes, or fewer at the end of the file."""
        self.admit(size)
        data = self._stream.read(size)
        self.remaining -= len(data)
        return data

    def readline(self) -> bytes:
        """Return the next line, or the part of it that is not unreasonably long."""
        data = self._stream.readline(min(LONGEST_LINE, self.remaining))
        self.remaining -= len(data)
        return data

    def readinto(self, array: Array) -> int:
        """Fill a contiguous uint8 array (n,); return the number of bytes that were there."""
        self.admit(array.nbytes)
        view, filled = memoryview(array), 0
        while filled < len(view):
            # Binary files have readinto; typing's IO[bytes] does not say so.
            count = self._stream.readinto(view[filled : filled + CHUNK])  # type: ignore[attr-defined]
            if not count:
                break
            filled += count
        self.remaining -= filled
        return filled

    def read_rest(self) -> bytes:
        """Return all bytes up to the end of the file."""
        data = bytearray()
        while chunk := self._stream.read(CHUNK):
            self.admit(len(chunk))
            self.remaining -= len(chunk)
            data += chunk
        return bytes(data)

    def expect_end(self) -> None:
        """Raise `DataError` if anything follows.  At its end gzip compares the checksum, too."""
        if self._stream.read(1):
            raise DataError(self.path, "bytes follow after the end of the data", GET_A_NEW_COPY)


@contextmanager
def open_bounded(path: str) -> Iterator[BoundedFile]:
    """Open a plain or gzipped file; its first bytes determine which.

    Raises
    ------
    DataError
        If it is not a readable regular file, or, while it is read, not a whole gzip file.
    """
    if not os.path.isfile(path):  # a device or a pipe might never end
        raise missing_file(path)
    try:
        with open(path, "rb") as plain:
            compressed = plain.read(2) == GZIP_MAGIC
            plain.seek(0)
            if compressed:
                with gzip.GzipFile(fileobj=plain) as stream:
                    yield BoundedFile(path, cast(BinaryIO, stream), decompressed_limit(path))
            else:
                yield BoundedFile(path, plain, os.path.getsize(path))
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(path, f"cannot be read: {error}", GET_A_NEW_COPY) from error
