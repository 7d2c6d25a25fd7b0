"""Data from standard input, named -: kept in a file, whose format its first bytes tell."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfileobj

__all__ = ["saved_input"]

_SUFFIXES = {
    b"\x93NUMPY": ".npy",
    b"PK\x03\x04": ".npz",
    b"PAR1": ".parquet",
    b"\x1f\x8b": ".csv.gz",
}


@contextmanager
def saved_input(name: str | None) -> Iterator[str | None]:
    """Give the name of data; for - that of a file with what comes from standard input."""
    from pluggable_mlp.data import DataError

    if name != "-":
        yield name
        return
    stream = sys.stdin.buffer
    first = stream.read(6)
    suffix = next((of for magic, of in _SUFFIXES.items() if first.startswith(magic)), ".csv")
    with tempfile.TemporaryDirectory(prefix="pluggable-mlp-") as folder:
        path = Path(folder, f"standard input{suffix}")
        with path.open("wb") as file:
            file.write(first)
            copyfileobj(stream, file)
        try:
            yield str(path)
        except DataError as error:
            raise DataError("standard input", *error.args[1:]) from None
