"""Files of tables and data frames, one example in each row, as columns of polars.

polars reads .csv, .tsv, .parquet and .feather, narwhals gives the columns of other libraries' data
frames (both: the extra `tables`).  Which line is a header and which a row is decided here, by the
rules of docs/how-to/data.md; what a column holds in `choice.py`.

Shapes: n rows, a column is (n,).
"""

import csv
import glob
import io
import os
import re
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

from pluggable_mlp.data.arrays import GET_A_NEW_COPY, check_file, check_unpacked, read_bytes
from pluggable_mlp.data.columns import MOST_COLUMNS
from pluggable_mlp.data.errors import DataError
from pluggable_mlp.data.preparation import Preparation
from pluggable_mlp.data.values import source_of
from pluggable_mlp.fields import pluralize, require
from pluggable_mlp.options import DataOptions

if TYPE_CHECKING:
    from polars import DataFrame, Series

Decimal = Literal["point", "comma"]

TEXT_FILES = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
_COLUMNAR = {".parquet": "parquet", ".feather": "ipc"}
"""Formats that hold columns and their types: polars' name for each."""

TABLES = (*TEXT_FILES, *_COLUMNAR)

MISSING = ("", "na", "n/a", "nan", "null", "none", "?", "-", ".")
"""What stands for a missing value, in lower case."""


_DEFAULTS = DataOptions()
_NO_ROWS = "holds no rows", "give a row for each example"


def is_table(data: object) -> bool:
    """Return whether this is a data frame, or the path of a table, by its suffix."""
    return not isinstance(data, str | os.PathLike) or os.fspath(data).lower().endswith(TABLES)


def as_numbers(texts: "Series", decimal: Decimal) -> "Series":
    """Return a column of texts as numbers, null for a text that is not a number."""
    if decimal == "comma":
        has_point = texts.str.contains(".", literal=True)
        texts = texts.set(has_point, None).str.replace(",", ".", literal=True)
    import polars

    return texts.cast(polars.Float64, strict=False)


def open_table(
    data: Any, reading: DataOptions | Preparation = _DEFAULTS
) -> tuple["DataFrame", bool | None]:
    """Return a table (polars.DataFrame), and whether its first line names the columns.

    Columns without names are "1", "2", …; those of a text are texts.  The second is None for files
    and data frames whose columns always have names.  A text is read as options, or the preparation
    of an earlier one, have it.
    """
    header = None
    source = source_of(data)
    require("polars", "tables", "reading tables")
    if not isinstance(data, str | os.PathLike):
        frame = _from_frame(source, data)
    elif source.lower().endswith(tuple(_COLUMNAR)):
        frame = _from_columns(source)
    else:
        frame, header = _from_text(source, reading)
    if not frame.height or not frame.width:
        raise DataError(source, *_NO_ROWS)
    return frame, header


def _check_names(source: str, names: Iterable[str]) -> None:
    """Raise DataError unless each column has a name of its own."""
    for name, count in Counter(names).items():
        if not name:  # pandas' index, not a feature
            raise DataError(source, "a column has no name", "name it, or to_csv(…, index=False)")
        if count > 1:
            raise DataError(source, f"two columns are named {name!r}", "name each column once")


def _check_width(source: str, count: int) -> None:
    """Raise DataError if a table has too many columns."""
    if count > MOST_COLUMNS:
        fault = f"has {count:,} columns, expected at most {MOST_COLUMNS:,}"
        raise DataError(source, fault, "give the numbers as an array: numpy.savez(path, X=X, y=y)")


def _from_frame(source: str, frame: Any) -> "DataFrame":
    """Return a data frame of any library."""
    import narwhals
    import polars

    try:
        frame = narwhals.from_native(frame, eager_only=True)
    except narwhals.exceptions.DuplicateError as error:
        raise DataError(source, " ".join(str(error).split()), "name each column once") from None
    _check_width(source, len(frame.columns))
    _check_names(source, map(str, frame.columns))

    def series(column: Any) -> "Series":
        missing = column.is_null()
        if column.dtype.is_integer() and not missing.any():
            values: Any = column.to_numpy()
        elif column.dtype.is_numeric():
            values = column.cast(narwhals.Float64()).fill_null(float("nan")).to_numpy()
        else:
            pairs = zip(column.to_list(), missing.to_list(), strict=True)
            values = [None if is_missing else value for value, is_missing in pairs]
        return polars.Series(str(column.name), values, strict=False)

    return polars.DataFrame({str(column.name): series(column) for column in frame.iter_columns()})


def _from_columns(path: str) -> "DataFrame":
    """Read a file of typed columns, unless its metadata declare too many values."""
    import polars

    check_file(path)
    kind = _COLUMNAR[os.path.splitext(path)[1].lower()]
    damaged = (polars.exceptions.PolarsError, polars.exceptions.PanicException, OSError)
    try:
        lazy = getattr(polars, f"scan_{kind}")(glob.escape(path))
        rows = lazy.select(polars.len()).collect().item()
        width = len(lazy.collect_schema())
        check_unpacked(path, 16 * rows * width)
        _check_width(path, width)
        return lazy.collect()
    except damaged as error:
        raise DataError(path, f"cannot be read: {_first_line(error)}", GET_A_NEW_COPY) from None


def _from_text(path: str, reading: DataOptions | Preparation) -> tuple["DataFrame", bool]:
    """Read comma-, semicolon- or tab-separated text, and whether its first line is a header."""
    text = _decode(path, "utf-8" if reading.encoding is None else reading.encoding)
    is_tabs = ".tsv" in path.lower()[-7:]
    blank = r"^[ \r]*(\n|\Z)" if is_tabs else r"^\s*(\n|\Z)"
    filled = re.sub(rf'(?m)("[^"]*")|{blank}', r"\1", text)  # not within quotation marks
    if not filled:
        raise DataError(path, *_NO_ROWS)
    first = re.sub(r'"[^"]*("|$)', "", filled.partition("\n")[0])
    delimiter = "\t" if is_tabs else ";" if ";" in first else ","
    _check_width(path, first.count(delimiter) + 1)
    frame = _parse(path, text, filled, delimiter)
    fields = [(field or "").strip() for field in frame.row(0)]
    fields[0] = fields[0].removeprefix("#").lstrip()  # numpy.savetxt writes "# a"
    header = _has_header(fields, reading)
    if header:
        _check_names(path, fields)
        frame = frame[1:]
    frame.columns = fields if header else [str(k) for k in range(1, frame.width + 1)]
    return frame, header


def _decode(path: str, encoding: str) -> str:
    """Return the text of a file; line ends are as they are, or \\n where they are \\r alone."""
    data = read_bytes(path)
    try:
        text = data.decode(encoding).removeprefix("\ufeff")
    except LookupError as error:
        raise DataError(path, str(error), "name one that Python knows, such as latin-1") from None
    except UnicodeDecodeError as error:
        line, byte = data.count(b"\n", 0, error.start) + 1, data[error.start]
        fault = f"line {line} holds the byte {byte:#04x}, which is not text in {encoding}"
        raise DataError(path, fault, "name its encoding, such as --encoding latin-1") from None
    return text if "\n" in text else text.replace("\r", "\n")


def _parse(path: str, text: str, filled: str, delimiter: str) -> "DataFrame":
    """Return the fields of the lines of a text that are not blank, as texts."""
    import polars

    try:
        frame = polars.read_csv(
            filled.encode(), separator=delimiter, has_header=False, infer_schema=False
        )
    except polars.exceptions.PolarsError as error:
        _check_lines(path, text, delimiter)
        raise DataError(path, f"cannot be read: {_first_line(error)}", _ALIKE) from None
    if frame[:, -1].null_count():  # of a line that is too short, or of an empty field
        _check_lines(path, text, delimiter)
    return frame


def _has_header(fields: list[str], reading: DataOptions | Preparation) -> bool:
    """Return whether the first line of a text names the columns.

    If options do not say so, a line is a header if none of its fields is a number or missing.  If
    training's table had no header, none has; a line with a name of a training column is one.
    """
    if reading.header in ("yes", "no", False):
        return reading.header == "yes"
    if isinstance(reading, Preparation) and not set(fields).isdisjoint(reading.used_names):
        return True
    import polars

    names = polars.Series(fields[1:] if fields[0] == "" else fields, dtype=polars.String)
    is_missing = names.str.to_lowercase().is_in(MISSING)
    return not (is_missing | as_numbers(names, reading.decimal).is_not_null()).any()


def _check_lines(path: str, text: str, delimiter: str) -> None:
    """Raise DataError if a line has more or fewer fields than the first, or is unquoted."""
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    width, line = 0, 1
    try:
        for fields in lines:
            if len(fields) > 1 or "".join(fields).strip():
                width = width or len(fields)
                if len(fields) != width:
                    fault = f"line {line} has {pluralize(len(fields), 'field')}"
                    raise DataError(path, f"{fault}, the first has {width}", _ALIKE)
            line = lines.line_num + 1
    except csv.Error as error:
        raise DataError(path, f"line {line} cannot be read: {error}", _ALIKE) from None


_ALIKE = "give a line per example, with as many fields as the first, and close its quotation marks"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
