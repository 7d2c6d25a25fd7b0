"""Tables of numbers as text, their fields separated by commas, or by tabs in a .tsv.

What is wrong with a text is told by the lines and columns of an editor: counted from 1, blank
lines and the header among them.  Tables with texts or missing values belong in `frames.py`.
"""

import csv
import io
import math
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import NamedTuple

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.dataset import DataError, Source, Split
from pluggable_mlp.data.files import open_bounded

__all__ = [
    "MISSING",
    "NotNumbersError",
    "NumberTable",
    "TextTable",
    "has_header",
    "is_number",
    "read_csv",
    "read_csv_table",
    "read_number_table",
    "read_text",
]

ONE_LINE_PER_EXAMPLE = "give a line per example, all with as many numbers, separated by commas"

MISSING = frozenset(("", "na", "n/a", "nan", "null", "none", "?", "-", "."))
"""What stands for a number that is missing, in lower case."""

SURELY_COUNTED = 3
"""So many column numbers 0, 1, 2, … are not a coincidence."""


class NotNumbersError(DataError):
    """A table that holds a text, or lacks a value: `frames.py` reads it, if it is meant so."""


class NumberTable(NamedTuple):
    """A table of numbers.

    Parameters
    ----------
    names : tuple of str or None
        Those of the columns, where a header has them.
    values : array of float64, shape (rows, columns)
        All finite.
    """

    names: tuple[str, ...] | None
    values: Array

    @property
    def width(self) -> int:
        """How many columns it has."""
        return int(self.values.shape[1])


class TextTable(NamedTuple):
    """The text of a table, and where its first row begins.

    Parameters
    ----------
    data : bytes
        All of it, UTF-8.
    delimiter : str
    names : tuple of str or None
        Those of the columns, where a header has them.
    skipped : int
        How many lines come before the first row.
    width : int
        How many fields the first line has.
    """

    data: bytes
    delimiter: str
    names: tuple[str, ...] | None
    skipped: int
    width: int


def read_csv(path: str) -> Source:
    """Read a table of numbers, plain or gzipped, the target in the last column.

    A first line that `has_header` takes for names is left out; the rest is float64.

    Raises
    ------
    DataError
        If a field is not a number, the lines are of different length, or the table is empty.
    """
    table = read_csv_table(path)
    if table.shape[1] < 2:
        remedy = "separate by commas: the features, then a class or a number to predict"
        raise DataError(path, "has one column", remedy)
    return Source(path, {"train": Split(table[:, :-1], table[:, -1])})


def read_csv_table(path: str) -> Array:
    """Read a table of numbers as float64 (rows, columns), all finite.

    Raises
    ------
    DataError
        As `read_csv`.
    """
    return read_number_table(path, read_text(path)).values


def read_text(path: str) -> TextTable:
    """Read the text of a table, and find its header.

    Raises
    ------
    DataError
        If it is not UTF-8, or its first line may be names or numbers.
    """
    with open_bounded(path) as file:
        data = file.read_rest()
    _check_encoding(path, data)
    delimiter = "\t" if path.lower().endswith((".tsv", ".tsv.gz")) else ","
    lines = _filled_lines(path, data, delimiter)
    line, end, fields = next(lines, (0, 0, []))
    if line > 0 and has_header(path, line, fields, (other for _, _, other in lines)):
        return TextTable(data, delimiter, tuple(fields), end, len(fields))
    return TextTable(data, delimiter, None, 0, len(fields))


def read_number_table(path: str, text: TextTable) -> NumberTable:
    """Return the numbers of a table.

    Raises
    ------
    NotNumbersError
        If a field is a text, or empty.
    DataError
        If the lines are of different length, or the table is empty.
    """
    rows = (row for row in islice(_text(text.data), text.skipped, None) if not row.isspace())
    first = next(rows, None)
    if first is None:
        raise DataError(path, "holds no numbers", "give a line of numbers per example")
    try:
        table = np.loadtxt(
            chain([first], rows), delimiter=text.delimiter, ndmin=2, comments=None, quotechar='"'
        )
    except ValueError as error:
        reason = f"is not a table of numbers: {str(error).partition(';')[0]}"
        raise _fault(path, text, reason) from error
    if not np.isfinite([table.min(), table.max()]).all():
        raise _fault(path, text, "holds NaN or infinity")
    return NumberTable(text.names, table)


def _check_encoding(path: str, data: bytes) -> None:
    try:
        data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        fault = f"is not UTF-8 text: line {line} holds the byte {data[error.start]:#04x}"
        raise DataError(path, fault, "save it as CSV in UTF-8") from None


def _text(data: bytes) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig")


def _filled_lines(path: str, data: bytes, delimiter: str) -> Iterator[tuple[int, int, list[str]]]:
    """Yield each line that is not blank: its number, its last one's, its fields, stripped.

    A line within quotation marks goes on.
    """
    reader, line = csv.reader(_text(data), delimiter=delimiter), 1
    try:
        for fields in reader:
            stripped = [field.strip() for field in fields]
            if len(stripped) > 1 or any(stripped):
                yield line, reader.line_num, stripped
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(path, f"line {line}: {error}", ONE_LINE_PER_EXAMPLE) from None


def _fault(path: str, text: TextTable, reason: str) -> DataError:
    """Return an error with the first field or line at fault; the reason where none is found."""
    lines = _filled_lines(path, text.data, text.delimiter)
    if text.names:
        next(lines)
    first, width, found = 0, 0, DataError(path, reason, ONE_LINE_PER_EXAMPLE)
    for line, _, fields in lines:
        first, width = first or line, width or len(fields)
        if any("\n" in field for field in fields):
            fault = f"line {line} has a quotation mark without its partner"
            return DataError(path, fault, "remove it, or close the quotation")
        if len(fields) != width:
            fault = f"line {line} has {len(fields)} fields, line {first} has {width}"
            return DataError(path, fault, ONE_LINE_PER_EXAMPLE)
        for column, field in enumerate(fields, 1):
            kind, fault, remedy = _fault_of(field, text.delimiter)
            if fault and (kind is DataError or not isinstance(found, NotNumbersError)):
                found = kind(path, f"line {line}, column {column} {fault}", remedy)
            if fault and kind is DataError:
                return found
    return found


def _fault_of(field: str, delimiter: str) -> tuple[type[DataError], str, str]:
    """Return what is wrong with a field, and the remedy; empty texts where nothing is."""
    shown = repr(field[:30])
    if field.lower() in MISSING:
        fault = f"holds {shown}" if field else "is empty"
        return NotNumbersError, fault, "fill or remove missing values first"
    if not is_number(field):
        for other in (";", "\t", "|", " ", ","):
            parts = field.split(other)
            if (
                other != delimiter
                and len(parts) > 1
                and is_number(parts[0])
                and is_number(parts[1])
            ):
                own = "commas" if delimiter == "," else "tabs"
                return (
                    DataError,
                    f"holds {shown}",
                    f"separate the numbers by {own}, not by {other!r}",
                )
        remedy = "write numbers alone (number the classes), and names alone in a header"
        return NotNumbersError, f"holds {shown}, which is not a number", remedy
    if not math.isfinite(float(field)):
        return DataError, f"holds {shown}, which is not finite", "remove or fill such values first"
    return DataError, "", ""


def is_number(field: str) -> bool:
    """Return whether a field of a table reads as a number; NaN and infinity do."""
    try:
        float(field)
    except ValueError:
        return False
    return "_" not in field  # which is Python's alone


def has_header(path: str, line: int, fields: list[str], others: Iterable[list[str]]) -> bool:
    """Return whether the first line of a table names its columns.

    It does where no field is a number, and where its numbers count the columns: pandas' `0,1,2,3`,
    or `0,1,2,target`, or `label,1,2,3`.  A line of numbers that occurs again is an example.

    Parameters
    ----------
    path, line
        For errors: the file, and the number of its first line.
    fields : list of str
        Of the first line.
    others : iterable of lists of str
        Of the lines that follow; read only where numbers may be names.

    Raises
    ------
    DataError
        If the line may be either, or names pandas' index among the columns.
    """
    names = [field for field in fields if not is_number(field)]
    numbers = [field for field in fields if is_number(field)]
    if not names:
        return _are_names(path, line, numbers, others)
    unnamed = fields[0] == "" or fields[0].startswith("Unnamed: ")
    if any(name.lower() in MISSING for name in names[unnamed:]) or not (
        _count_from(0, numbers) or _count_from(1, numbers)
    ):
        return False
    if unnamed and len(fields) > 1:
        fault = f"column 1 has no name in line {line}: it is pandas' index, not a feature"
        raise DataError(path, fault, "write the table with to_csv(path, index=False)")
    return True


def _are_names(path: str, line: int, numbers: list[str], others: Iterable[list[str]]) -> bool:
    """Return whether numbers are the columns' names."""
    counted = _count_from(0, numbers)
    doubtful = counted or _count_from(1, numbers) or _made_distinct(numbers)
    if not doubtful or any(numbers == other for other in others):
        return False
    if counted and len(numbers) >= SURELY_COUNTED:
        return True
    shown = ",".join(numbers[:6]) + (",…" if len(numbers) > 6 else "")
    fault = f"line {line}, {shown}, may name the columns or be an example"
    raise DataError(path, fault, "write a line of names, a,b,…, above an example or in its place")


def _count_from(first: int, numbers: list[str]) -> bool:
    return numbers == [str(k) for k in range(first, first + len(numbers))]


def _made_distinct(numbers: list[str]) -> bool:
    """Return whether 0,0.1,0.2 is among them: of names that repeat pandas makes such ones."""
    place = {number: index for index, number in enumerate(numbers)}
    return any(
        index < place.get(f"{number}.1", -1) < place.get(f"{number}.2", -1)
        for number, index in place.items()
    )
