"""Tables of numbers as comma-separated text.

What is wrong with a table is told by the lines and columns of an editor: counted from 1, blank
lines and the header among them.  Which first lines are headers belongs in `csv_header.py`.
"""

import csv
import io
import math
from collections.abc import Iterator
from itertools import chain, islice

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.csv_header import MISSING, has_header, is_number
from pluggable_mlp.data.dataset import Split
from pluggable_mlp.data.errors import DataError
from pluggable_mlp.data.files import open_bounded
from pluggable_mlp.data.source import Source

__all__ = ["read_csv", "read_csv_table"]

ONE_LINE_PER_EXAMPLE = "give a line per example, all with as many numbers, separated by commas"


def read_csv(path: str) -> Source:
    """Read a table of comma-separated numbers, plain or gzipped, the target in the last column.

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
    """Read a table of comma-separated numbers as float64 (rows, columns), all finite.

    Raises
    ------
    DataError
        As `read_csv`.
    """
    with open_bounded(path) as file:
        data = file.read_rest()
    _check_encoding(path, data)
    lines = _filled_lines(path, data)
    line, end, fields = next(lines, (0, 0, []))
    header = line > 0 and has_header(path, line, fields, (other for _, _, other in lines))
    rows = (row for row in islice(_text(data), end if header else 0, None) if not row.isspace())
    first = next(rows, None)
    if first is None:
        raise DataError(path, "holds no numbers", "give a line of numbers per example")
    try:
        table = np.loadtxt(
            chain([first], rows), delimiter=",", ndmin=2, comments=None, quotechar='"'
        )
    except ValueError as error:
        reason = f"is not a table of numbers: {str(error).partition(';')[0]}"
        raise _fault(path, data, header, reason) from error
    if not np.isfinite([table.min(), table.max()]).all():
        raise _fault(path, data, header, "holds NaN or infinity")
    return table


def _check_encoding(path: str, data: bytes) -> None:
    try:
        data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        fault = f"is not UTF-8 text: line {line} holds the byte {data[error.start]:#04x}"
        raise DataError(path, fault, "save it as CSV in UTF-8") from None


def _text(data: bytes) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig")


def _filled_lines(path: str, data: bytes) -> Iterator[tuple[int, int, list[str]]]:
    """Yield each line that is not blank: its number, its last one's, its fields, stripped.

    A line within quotation marks goes on.
    """
    reader, line = csv.reader(_text(data)), 1
    try:
        for fields in reader:
            stripped = [field.strip() for field in fields]
            if len(stripped) > 1 or any(stripped):
                yield line, reader.line_num, stripped
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(path, f"line {line}: {error}", ONE_LINE_PER_EXAMPLE) from None


def _fault(path: str, data: bytes, header: bool, reason: str) -> DataError:
    """Return an error with the first field or line at fault; the reason where none is found."""
    lines = _filled_lines(path, data)
    if header:
        next(lines)
    first, width = 0, 0
    for line, _, fields in lines:
        first, width = first or line, width or len(fields)
        if any("\n" in field for field in fields):
            fault = f"line {line} has a quotation mark without its partner"
            return DataError(path, fault, "remove it, or close the quotation")
        if len(fields) != width:
            fault = f"line {line} has {len(fields)} fields, line {first} has {width}"
            return DataError(path, fault, ONE_LINE_PER_EXAMPLE)
        for column, field in enumerate(fields, 1):
            fault, remedy = _fault_of(field)
            if fault:
                return DataError(path, f"line {line}, column {column} {fault}", remedy)
    return DataError(path, reason, ONE_LINE_PER_EXAMPLE)


def _fault_of(field: str) -> tuple[str, str]:
    """Return what is wrong with a field, and the remedy; empty texts where nothing is."""
    shown = repr(field[:30])
    if field.lower() in MISSING:
        return f"holds {shown}" if field else "is empty", "fill or remove missing values first"
    if not is_number(field):
        for delimiter in (";", "\t", "|", " "):
            parts = field.split(delimiter)
            if len(parts) > 1 and is_number(parts[0]) and is_number(parts[1]):
                return f"holds {shown}", f"separate the numbers by commas, not by {delimiter!r}"
        remedy = "write numbers alone (number the classes), and names alone in a header"
        return f"holds {shown}, which is not a number", remedy
    if not math.isfinite(float(field)):
        return f"holds {shown}, which is not finite", "remove or fill such values first"
    return "", ""
