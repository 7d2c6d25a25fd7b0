"""Tables of numbers as text, their fields separated by commas or semicolons, in a .tsv by tabs.

What is wrong with a text is told by the lines and columns of an editor: counted from 1, blank
lines and the header among them.  Tables with texts or missing values belong in `frames.py`.
"""

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice
from typing import NamedTuple

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.dataset import DataError, Source, Split
from pluggable_mlp.data.files import open_bounded
from pluggable_mlp.data.headers import MISSING, has_header, is_number
from pluggable_mlp.data.targets import are_measurements

__all__ = [
    "NotNumbersError",
    "NumberTable",
    "TextTable",
    "filled_rows",
    "first_fault",
    "has_codes",
    "read_csv",
    "read_csv_table",
    "read_number_table",
    "read_text",
    "try_number_table",
]

ONE_LINE_PER_EXAMPLE = "give a line per example, all with as many numbers, separated by commas"

_CODE = r"[+-]?0[0-9]+|\+[0-9]+"
_MAY_BE_CODES = re.compile(rb"(?<![0-9.])0[0-9]|\+[0-9]")


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
    text : TextTable
        Where they come from.
    """

    names: tuple[str, ...] | None
    values: Array
    text: "TextTable"

    @property
    def width(self) -> int:
        """How many columns it has."""
        return int(self.values.shape[1])

    def name(self, place: int) -> str:
        """Return the name of a column: its place, counted from 1, where the file has none."""
        return str(place + 1) if self.names is None else self.names[place]

    def target(self, place: int, as_text: bool | None = None) -> Array:
        """Return a column (n,): texts where that is asked for or they are codes, else numbers.

        Parameters
        ----------
        place : int
            From 0.
        as_text : bool, optional
            By default what `has_codes` says.
        """
        maybe = as_text is None and _MAY_BE_CODES.search(self.text.data) is not None
        if as_text or maybe:
            lines = _filled_lines("", self.text.data, self.text.delimiter)
            texts = [fields[place] for _, _, fields in islice(lines, bool(self.names), None)]
            if as_text or (not are_measurements(self.values[:, place]) and has_codes(texts)):
                return np.asarray(texts)
        return self.values[:, place]


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
        If it is not UTF-8, its first line may be names or numbers, or a name occurs twice there.
    """
    with open_bounded(path) as file:
        data = file.read_rest()
    if b"\n" not in data:
        data = data.replace(b"\r", b"\n")  # the line ends of old Macs
    _check_encoding(path, data)
    tabs = path.lower().endswith((".tsv", ".tsv.gz"))
    delimiter = "\t" if tabs else _delimiter(path, data)
    lines = _filled_lines(path, data, delimiter)
    line, end, fields = next(lines, (0, 0, []))
    plain = [_plain(field, delimiter) for field in fields]
    others = ([_plain(field, delimiter) for field in other] for _, _, other in lines)
    if line > 0 and has_header(path, line, plain, others):
        names = (fields[0].removeprefix("#").lstrip(), *fields[1:])  # numpy.savetxt writes "# a"
        _refuse_repeated(path, names)
        return TextTable(data, delimiter, names, end, len(fields))
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
    found = try_number_table(path, text)
    if isinstance(found, str):
        raise first_fault(path, text, found)
    return found


def try_number_table(path: str, text: TextTable) -> NumberTable | str:
    """Return the numbers of a table, or in words that it holds something else.

    Raises
    ------
    DataError
        If the header has another number of fields, or the table is empty.
    """
    lines = islice(_text(text.data), text.skipped, None)
    blanks = " \r\n" if text.delimiter == "\t" else None
    rows = (_plain(line, text.delimiter) for line in lines if line.strip(blanks))
    first = next(rows, None)
    if first is None:
        raise DataError(path, "holds no numbers", "give a line of numbers per example")
    try:
        table = np.loadtxt(
            chain([first], rows), delimiter=text.delimiter, ndmin=2, comments=None, quotechar='"'
        )
    except ValueError as error:
        return f"is not a table of numbers: {str(error).partition(';')[0]}"
    if not np.isfinite([table.min(), table.max()]).all():
        return "holds NaN or infinity"
    if text.names and len(text.names) != table.shape[1]:
        fault = f"its header has {len(text.names)} names, its lines have {table.shape[1]} fields"
        raise DataError(path, fault, "give each column one name")
    return NumberTable(text.names, table, text)


def _refuse_repeated(path: str, names: tuple[str, ...]) -> None:
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise DataError(path, f"two columns are named {repeated[0]!r}", "name each column once")


def _delimiter(path: str, data: bytes) -> str:
    """Return a semicolon where it divides the first lines alike, else a comma.

    Then a comma may stand in a number alone, as its decimal point.
    """
    by = {
        each: [fields for _, _, fields in islice(_filled_lines(path, data, each), 20)]
        for each in ",;"
    }
    widths = {each: {len(fields) for fields in lines} for each, lines in by.items()}
    if len(widths[";"]) != 1 or widths[";"] == {1}:
        return ","
    plain = all("," not in field or is_number(_plain(field, ";")) for field in by[";"][0])
    return ";" if plain or len(widths[","]) > 1 else ","


def _plain(text: str, delimiter: str) -> str:
    """Return a text with decimal points where its table has decimal commas."""
    return text.replace(",", ".") if delimiter == ";" else text


def filled_rows(path: str, data: bytes, delimiter: str, width: int) -> list[bool]:
    """Return of each row whether it is more than a blank line.

    Raises
    ------
    DataError
        If a row has another number of fields.
    """
    filled: list[bool] = []
    try:
        for fields in csv.reader(_text(data), delimiter=delimiter):
            filled.append(len(fields) > 1 or bool(fields and (fields[0].strip() or width == 1)))
            if filled[-1] and len(fields) != width:
                fault = f"row {sum(filled)} has {len(fields)} fields, the first has {width}"
                raise DataError(path, fault, ONE_LINE_PER_EXAMPLE)
    except csv.Error as error:
        raise DataError(path, f"row {sum(filled) + 1}: {error}", ONE_LINE_PER_EXAMPLE) from None
    return filled


def has_codes(texts: list[str]) -> bool:
    """Return whether texts are whole numbers that do not give back how one is written: 01, +1."""
    return all(re.fullmatch(r"[+-]?[0-9]+", text) for text in texts) and any(
        re.fullmatch(_CODE, text) for text in texts
    )


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


def first_fault(path: str, text: TextTable, reason: str) -> DataError:
    """Return an error with the first field or line at fault; the reason where none is found.

    It is a `NotNumbersError` where texts and empty fields are all that is found.  Every field is
    looked at, which takes longer than reading the table.
    """
    lines = _filled_lines(path, text.data, text.delimiter)
    if text.names:
        next(lines)
    first, width, found = 0, 0, DataError(path, reason, ONE_LINE_PER_EXAMPLE)
    for line, _, fields in lines:
        first, width = first or line, width or len(fields)
        if any("\n" in field for field in fields) and not _is_closed(text):
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


def _is_closed(text: TextTable) -> bool:
    """Return whether every quotation mark of a table has its partner."""
    try:
        for _ in csv.reader(_text(text.data), delimiter=text.delimiter, strict=True):
            pass
    except csv.Error:
        return False
    return True


def _fault_of(field: str, delimiter: str) -> tuple[type[DataError], str, str]:
    """Return what is wrong with a field, and the remedy; empty texts where nothing is."""
    field = _plain(field, delimiter)
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
                own = {",": "commas", ";": "semicolons"}.get(delimiter, "tabs")
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
