"""Tables whose columns are of different kinds: texts, numbers, missing values; Parquet, Feather.

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
from pluggable_mlp.data.headers import MISSING, is_number
from pluggable_mlp.data.tables import TextTable, filled_rows, has_codes
from pluggable_mlp.data.targets import are_measurements

__all__ = ["Frame", "PolarsMissingError", "RawTable", "read_columns", "read_text_frame"]

FIRST_ROWS = 1000
"""So many rows tell by what the fields of a table are divided."""

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

    def as_numbers(self) -> Array | None:
        """Return the values (n, columns) where all are numbers and none is missing, else None."""
        if any(c.dtype.kind == "O" or not np.isfinite(c).all() for c in self.columns):
            return None
        return np.stack(self.columns, axis=1)

    def first_gap(self) -> str:
        """Return in words where the first text is, or the first missing value."""
        for name, column in zip(self.names, self.columns, strict=True):
            if column.dtype.kind == "O":
                texts = [value is not None and not is_number(value) for value in column]
                row = texts.index(True)
                return f"column {name!r} holds {column[row]!r} in row {row + 1}"
        gaps = np.argwhere(np.isnan(np.stack(self.columns, axis=1)))
        row, place = gaps[0].tolist()
        return f"column {self.names[place]!r} lacks a value in row {row + 1}"


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


@dataclass(frozen=True, eq=False)
class RawTable:
    """A table as polars read it, whose columns are not yet numbers or texts.

    Parameters
    ----------
    path : str
        For errors.
    names : tuple of str or None
        None where the file has none.
    columns : tuple of polars.Series, each of n values
        Texts of a text file, of any type from Parquet.
    decimal_comma : bool
        Whether numbers are written as 1,5.
    """

    path: str
    names: tuple[str, ...] | None
    columns: tuple[Any, ...]
    decimal_comma: bool = False

    @property
    def width(self) -> int:
        """How many columns it has."""
        return len(self.columns)

    def name(self, place: int) -> str:
        """Return the name of a column: its place, counted from 1, where the file has none."""
        return str(place + 1) if self.names is None else self.names[place]

    def has_other_delimiters(self, delimiter: str) -> bool:
        """Return whether first fields may be several numbers, divided by another delimiter."""
        others = "".join(other for other in ";\t| ," if other not in delimiter)
        if delimiter == ";":  # then a comma is the decimal point
            others = others.replace(",", "")
        packed = rf"^\s*[-+]?[0-9.]+[{others}]\s*[-+]?[0-9.]"
        return any(column.head(FIRST_ROWS).str.contains(packed).any() for column in self.columns)

    def frame(
        self, places: Sequence[int], names: Sequence[str], texts: Collection[str] = ()
    ) -> Frame:
        """Return columns under these names.

        Parameters
        ----------
        places : sequence of int
            From 0.
        names : sequence of str
        texts : collection of str
            The names of those that are texts, even if all their fields are numbers.

        Raises
        ------
        DataError
            If a column holds a text among numbers or infinity, or is of another kind: dates, lists.
        """
        columns = (
            self._column(place, name in texts) for place, name in zip(places, names, strict=True)
        )
        return Frame(tuple(names), tuple(columns))

    def target(self, place: int, as_text: bool | None = None) -> Array:
        """Return a column (n,) whose texts are kept as they are: only an empty one is missing.

        Parameters
        ----------
        place : int
            From 0.
        as_text : bool, optional
            Whether they are texts; by default where they are classes that are not numbers, or codes
            as `has_codes` knows them.

        Raises
        ------
        DataError
            As `frame`.
        """
        column = self.columns[place]
        if as_text is False or (as_text is None and column.dtype.is_numeric()):
            return self._column(place)
        texts = self._as_texts(place)
        texts = texts.set(texts.str.len_bytes() == 0, None)
        if as_text:
            return _objects(texts)
        present = texts.drop_nulls()
        numbers = self._as_numbers(present).drop_nulls().to_numpy()
        are_classes = not are_measurements(numbers)
        if are_classes and (numbers.size < present.len() or has_codes(present.unique().to_list())):
            return _objects(texts)
        return self._column(place)

    def _column(self, place: int, as_text: bool = False) -> Array:
        """Return a column as numbers where all that are not missing are such, else as texts."""
        column = self.columns[place]
        if column.dtype.is_numeric() and not as_text:
            return self._finite(place, column.cast(_polars().Float64))
        texts = _without_missing(self._as_texts(place))
        if as_text:
            return _objects(texts)
        numbers = self._as_numbers(texts)
        count = texts.len() - texts.null_count()
        right = texts.len() - numbers.null_count()
        if right == count:
            return self._finite(place, numbers)
        if right >= MOSTLY * count:
            row = int((numbers.is_null() & texts.is_not_null()).arg_true()[0])
            fault = f"column {self.name(place)!r} holds {texts[row]!r} in row {row + 1}"
            remedy = "correct it, or leave the field empty if it is missing"
            raise DataError(self.path, f"{fault}, else numbers", remedy)
        return _objects(texts)

    def _finite(self, place: int, column: Any) -> Array:
        """Return a series of floats, NaN where one is missing; DataError for infinity."""
        numbers: Array = column.fill_null(float("nan")).to_numpy()
        infinite = np.flatnonzero(np.isinf(numbers))
        if infinite.size:
            row = infinite[0]
            fault = f"column {self.name(place)!r} holds {numbers[row]} in row {row + 1}"
            raise DataError(self.path, fault, "remove or fill such values first")
        return numbers

    def _as_texts(self, place: int) -> Any:
        """Return a column as texts without blanks around them; DataError for dates, lists."""
        polars, column = _polars(), self.columns[place]
        kind = column.dtype
        known = (polars.String, polars.Boolean, polars.Categorical, polars.Enum, polars.Null)
        if not (kind.is_numeric() or kind in known):
            fault = f"column {self.name(place)!r} is of type {kind}"
            raise DataError(self.path, fault, "write it as numbers or texts, or leave it out")
        return column.cast(polars.String).str.strip_chars()

    def _as_numbers(self, texts: Any) -> Any:
        """Return a series of texts as numbers, null where one is none."""
        plain = texts.str.replace(",", ".", literal=True) if self.decimal_comma else texts
        return plain.cast(_polars().Float64, strict=False)


def _polars() -> Any:
    import polars

    return polars


def read_text_frame(path: str, text: TextTable) -> RawTable:
    """Read a table of any columns from its text; blank lines are left out.

    Parameters
    ----------
    path : str
        For errors.
    text : TextTable

    Raises
    ------
    DataError
        If the lines are of different length.
    """
    polars = _need_polars(path, "a table with texts or missing values")
    file = io.BytesIO(text.data.removeprefix(b"\xef\xbb\xbf"))
    for _ in islice(file, text.skipped):
        pass
    data = file.read()
    try:
        table = polars.read_csv(
            data, separator=text.delimiter, has_header=False, infer_schema=False
        )
    except polars.exceptions.PolarsError as error:
        raise DataError(
            path, f"cannot be read: {_first_line(error)}", "write a plain table"
        ) from None
    if table[:, -1].null_count():  # of an empty field, a line without fields, or a short one
        table = table.filter(filled_rows(path, data, text.delimiter, table.width))
    if text.names is not None and len(text.names) != table.width:
        fault = f"its header has {len(text.names)} names, its rows have {table.width} fields"
        raise DataError(path, fault, "give each column one name")
    return RawTable(path, text.names, tuple(table), text.delimiter == ";")


def read_columns(path: str) -> RawTable:
    """Read a table of any columns from a Parquet or a Feather file (Arrow's IPC format).

    Raises
    ------
    DataError
        If it cannot be read.
    """
    is_parquet = path.lower().endswith(".parquet")
    polars = _need_polars(path, "Parquet" if is_parquet else "Feather")
    with open_bounded(path):
        pass  # a path without a file gives the error of the other readers
    try:
        table = (polars.read_parquet if is_parquet else polars.read_ipc)(path)
    except (polars.exceptions.PolarsError, OSError) as error:
        raise DataError(path, f"cannot be read: {_first_line(error)}", GET_A_NEW_COPY) from None
    return RawTable(path, tuple(table.columns), tuple(table))


def _without_missing(texts: Any) -> Any:
    """Return a series of texts, null where one stands for a missing value."""
    missing = texts.str.to_lowercase().is_in(list(MISSING))
    return texts.set(missing.fill_null(True), None)


def _objects(column: Any) -> Array:
    return np.asarray(column.to_list(), dtype=object)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
