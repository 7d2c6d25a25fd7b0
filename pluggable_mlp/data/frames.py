"""Tables whose columns are of different kinds: texts, numbers, missing values; Parquet.

polars reads them (extra `tables`).  What is made of the columns belongs in `columns.py`.
"""

import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.dataset import DataError
from pluggable_mlp.data.files import GET_A_NEW_COPY, open_bounded
from pluggable_mlp.data.tables import MISSING, NumberTable, TextTable

__all__ = ["Frame", "PolarsMissingError", "read_parquet", "read_text_frame"]

MOSTLY = 0.9
"""A column of which so many values are numbers is one of numbers, and its texts are faults."""


@dataclass(frozen=True, eq=False)
class Frame:
    """Columns of one length, as a file holds them.

    Parameters
    ----------
    names : tuple of str
        Where a file has none: "1", "2", …
    columns : tuple of arrays, each of shape (n,)
        Numbers as float64, NaN where one is missing; texts as objects, None where one is missing.
    """

    names: tuple[str, ...]
    columns: tuple[Array, ...]

    def __len__(self) -> int:
        return len(self.columns[0])

    def __getitem__(self, rows: Array) -> "Frame":
        """Return the rows that an array of booleans or indices chooses."""
        return Frame(self.names, tuple(column[rows] for column in self.columns))

    @property
    def ndim(self) -> int:
        """The number of its axes, 2, as of an array."""
        return 2

    @property
    def shape(self) -> tuple[int, int]:
        """(n, columns), as of an array."""
        return len(self), len(self.columns)

    @property
    def width(self) -> int:
        """How many columns it has."""
        return len(self.columns)

    def column(self, name: str) -> Array:
        """Return a column (n,) by its name."""
        return self.columns[self.names.index(name)]

    def select(self, names: Sequence[str]) -> "Frame":
        """Return the columns of these names, in their order."""
        return Frame(tuple(names), tuple(map(self.column, names)))

    def as_numbers(self) -> NumberTable | None:
        """Return the table where it holds numbers alone and lacks none, else None."""
        if any(c.dtype.kind == "O" or not np.isfinite(c).all() for c in self.columns):
            return None
        return NumberTable(self.names, np.stack(self.columns, axis=1))


class PolarsMissingError(DataError):
    """polars is not installed."""

    def __init__(self, path: str, why: str) -> None:
        fault = f"{why} is read by polars, which is not installed"
        super().__init__(path, fault, "python -m pip install 'pluggable-mlp[tables]'")


def _need_polars(path: str, why: str) -> Any:
    """Return the module, or raise `PolarsMissingError` with what it is needed for."""
    try:
        import polars
    except ImportError:
        raise PolarsMissingError(path, why) from None
    return polars


def read_text_frame(path: str, text: TextTable, texts: Collection[str] = ()) -> Frame:
    """Read a table of any columns from its text.

    Parameters
    ----------
    path : str
        For errors.
    text : TextTable
    texts : collection of str
        Columns that are read as texts, even if all their fields are numbers.

    Raises
    ------
    DataError
        If the lines are of different length, or a column of numbers holds a text.
    """
    polars = _need_polars(path, "a table with texts or missing values")
    file = io.BytesIO(text.data.removeprefix(b"\xef\xbb\xbf"))
    for _ in islice(file, text.skipped):
        pass
    try:
        table = polars.read_csv(
            file.read(), separator=text.delimiter, has_header=False, infer_schema=False
        )
    except polars.exceptions.PolarsError as error:
        raise DataError(
            path, f"cannot be read: {_first_line(error)}", "write a plain table"
        ) from None
    table = table.filter(~polars.all_horizontal(polars.all().is_null()))  # blank lines
    names = text.names or tuple(str(k) for k in range(1, table.width + 1))
    if len(names) != table.width:
        fault = f"its header has {len(names)} names, its rows have {table.width} fields"
        raise DataError(path, fault, "give each column one name")
    _refuse_repeated(path, names)
    columns = [
        _as_column(path, polars, name, column, name in texts)
        for name, column in zip(names, table, strict=True)
    ]
    return Frame(names, tuple(columns))


def read_parquet(path: str, texts: Collection[str] = ()) -> Frame:
    """Read a table of any columns from a Parquet file; the arguments are those of the other.

    Raises
    ------
    DataError
        If it cannot be read, or holds columns of other kinds: dates, lists.
    """
    polars = _need_polars(path, "Parquet")
    with open_bounded(path):
        pass  # a path without a file gives the error of the other readers
    try:
        table = polars.read_parquet(path)
    except (polars.exceptions.PolarsError, OSError) as error:
        raise DataError(path, f"cannot be read: {_first_line(error)}", GET_A_NEW_COPY) from None
    columns = [_of_kind(path, polars, column, column.name in texts) for column in table]
    return Frame(tuple(table.columns), tuple(columns))


def _of_kind(path: str, polars: Any, column: Any, as_text: bool) -> Array:
    """Return a typed column as numbers or texts."""
    kind = column.dtype
    if kind.is_numeric() and not as_text:
        return _numbers(column.cast(polars.Float64))
    if kind.is_numeric() or kind in (polars.String, polars.Boolean, polars.Categorical):
        return _objects(_stripped(column.cast(polars.String)))
    fault = f"column {column.name!r} is of type {kind}"
    raise DataError(path, fault, "write it as numbers or texts, or leave it out")


def _as_column(path: str, polars: Any, name: str, column: Any, as_text: bool) -> Array:
    """Return a column of fields as numbers where all that are not missing are such."""
    texts = _stripped(column)
    if as_text:
        return _objects(texts)
    numbers = texts.cast(polars.Float64, strict=False)
    count = texts.len() - texts.null_count()
    right = texts.len() - numbers.null_count()
    if right == count:
        return _numbers(numbers)
    if right >= MOSTLY * count:
        row = int((numbers.is_null() & texts.is_not_null()).arg_true()[0])
        fault = f"column {name!r} holds {texts[row]!r} in row {row + 1}, else numbers"
        raise DataError(path, fault, "correct it, or leave the field empty if it is missing")
    return _objects(texts)


def _stripped(column: Any) -> Any:
    """Return a series of texts without blanks around them, null where one is missing."""
    stripped = column.str.strip_chars()
    missing = stripped.str.to_lowercase().is_in(list(MISSING))
    return stripped.set(missing.fill_null(True), None)


def _numbers(column: Any) -> Array:
    return column.fill_null(float("nan")).to_numpy()


def _objects(column: Any) -> Array:
    return np.asarray(column.to_list(), dtype=object)


def _refuse_repeated(path: str, names: Sequence[str]) -> None:
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise DataError(path, f"two columns are named {repeated[0]!r}", "name each column once")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
