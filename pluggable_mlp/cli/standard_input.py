"""Data from standard input, named -: kept in a file, whose format its first line tells."""

import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfileobj
from typing import Any

from pluggable_mlp.cli.interrupts import removed_at_end

__all__ = ["saved_input"]

_NAME = "standard input"
_ENOUGH = 2**16
"""So many bytes hold the first line of a table."""

_SUFFIXES = {
    b"\x93NUMPY": ".npy",
    b"PK\x03\x04": ".npz",
    b"PAR1": ".parquet",
    b"ARROW1": ".feather",
    b"\x1f\x8b": ".csv.gz",
}


@contextmanager
def saved_input(name: str | None) -> Iterator[str | None]:
    """Give the name of data; for - that of a file with what comes from standard input."""
    if name != "-":
        yield name
        return
    stream = sys.stdin.buffer
    first = stream.read(_ENOUGH)
    text = ".tsv" if b"\t" in first.partition(b"\n")[0] else ".csv"
    suffix = next((of for magic, of in _SUFFIXES.items() if first.startswith(magic)), text)
    prefix = "pluggable-mlp-"
    with tempfile.TemporaryDirectory(prefix=prefix) as folder, removed_at_end(Path(folder)):
        path = Path(folder, f"standard input{suffix}")
        with path.open("wb") as file:
            file.write(first)
            copyfileobj(stream, file)
        with _named(str(path)):
            yield str(path)


@contextmanager
def _named(path: str) -> Iterator[None]:
    """Have errors and warnings speak of standard input instead of the file that stands for it."""
    show = warnings.showwarning

    def show_named(message: Warning | str, *others: Any) -> None:
        show(str(message).replace(path, _NAME), *others)

    with warnings.catch_warnings():
        warnings.showwarning = show_named  # type: ignore[assignment]
        try:
            yield
        except ValueError as error:
            error.args = tuple(
                one.replace(path, _NAME) if isinstance(one, str) else one for one in error.args
            )
            raise
