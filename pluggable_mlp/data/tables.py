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
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any, Literal

from pluggable_mlp.data.arrays import GET_A_NEW_COPY, check_file, check_unpacked, read_bytes
from pluggable_mlp.data.columns import import_polars
from pluggable_mlp.data.errors import DataError, warn
from pluggable_mlp.data.preparation import Preparation
from pluggable_mlp.options import DataOptions
from pluggable_mlp.wording import counted

Decimal = Literal["point", "comma"]

TEXT_FILES = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
_COLUMNAR = {".parquet": "parquet", ".feather": "ipc"}
"""Formats that hold columns and their types: polars' name for each."""

TABLES = (*TEXT_FILES, *_COLUMNAR)

VALUE_BYTES = 16
"""What a value of a table takes: polars' view of a text, or a number and its copy."""

MISSING = frozenset(("", "na", "n/a", "nan", "null", "none", "?", "-", "."))
"""What stands for a missing value, in lower case."""

FEWEST_COUNTED = 3
"""So many of a first line's numbers have to count the columns, if it names them."""

_ONE_LINE_PER_EXAMPLE = "give a line per example, all with as many fields as the first"
_SILENCING = Lock()


def is_table(data: Any) -> bool:
    """Return whether this is a data frame, or the path of a table, by its end."""
    is_path = isinstance(data, str | os.PathLike)
    return os.fspath(data).lower().endswith(TABLES) if is_path else True


def is_number(field: str) -> bool:
    """Return whether a field of a table reads as a number; NaN and infinity do."""
    try:
        float(field)
    except ValueError:
        return False
    return "_" not in field  # which is Python's alone


def source_of(data: Any) -> str:
    """Return what errors call a table."""
    if isinstance(data, str | os.PathLike):
        return os.fspath(data)
    return f"{type(data).__module__.partition('.')[0]} data frame"


def open_table(
    options: DataOptions, preparation: Preparation | None = None
) -> tuple[Any, bool | None]:
    """Return a table (polars.DataFrame), and whether its first line names the columns.

    Columns without names are "1", "2", …; those of a text are texts.  The second is None for files
    and data frames whose columns always have names.
    """
    data, header = options.data, None
    source = source_of(data)
    if not isinstance(data, str | os.PathLike):
        frame = _from_frame(source, data)
    elif source.lower().endswith(tuple(_COLUMNAR)):
        frame = _from_columns(source)
    else:
        frame, header = _from_text(source, options, preparation)
    if header is None and (options.header, options.encoding) != (None, None):
        doubt = f"header and encoding are not used: they are for {', '.join(TEXT_FILES)}"
        warn(source, doubt)
    if not frame.height or not frame.width:
        raise DataError(source, "holds no rows", "give a row for each example")
    return frame, header


def _refuse_repeated(source: str, names: Iterable[str]) -> None:
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        fault = f"two columns are named {repeated[0]!r}"
        raise DataError(source, fault, "name each column once")


def _from_frame(source: str, frame: Any) -> Any:
    """Return a data frame of any library."""
    names = getattr(frame, "column_names", getattr(frame, "columns", None))  # of pyarrow, of others
    if names is None:
        fault = f"the data are of type {type(frame).__name__}, expected a path or a data frame"
        raise DataError(repr(frame)[:80], fault, "load_run(…).predict takes arrays, too")
    polars = import_polars(source)
    _refuse_repeated(source, map(str, names))
    import narwhals

    def series(column: Any) -> Any:
        missing = column.is_null()
        if column.dtype.is_integer() and not missing.any():
            values: Any = column.to_numpy()
        elif column.dtype.is_numeric():
            values = column.cast(narwhals.Float64()).fill_null(float("nan")).to_numpy()
        else:
            pairs = zip(column.to_list(), missing.to_list(), strict=True)
            values = [None if is_missing else value for value, is_missing in pairs]
        return polars.Series(str(column.name), values, strict=False)

    columns = narwhals.from_native(frame, eager_only=True).iter_columns()
    return polars.DataFrame({str(column.name): series(column) for column in columns})


def _from_columns(path: str) -> Any:
    """Read a file of columns that have types, if it says itself that they are not too many."""
    polars = import_polars(path)
    check_file(path)
    kind = _COLUMNAR[os.path.splitext(path)[1].lower()]
    damaged = (polars.exceptions.PolarsError, polars.exceptions.PanicException, OSError)
    try:
        with _without_stderr():
            lazy = getattr(polars, f"scan_{kind}")(glob.escape(path))
            rows = lazy.select(polars.len()).collect().item()
            check_unpacked(path, VALUE_BYTES * rows * len(lazy.collect_schema()))
            frame = lazy.collect()
    except damaged as error:
        raise DataError(path, f"cannot be read: {_first_line(error)}", GET_A_NEW_COPY) from None
    check_unpacked(path, sum(map(_text_bytes, frame.get_columns())))
    return frame


@contextmanager
def _without_stderr() -> Iterator[None]:
    """Silence the standard error of the process, of all threads: polars writes its panics there."""
    with _SILENCING, open(os.devnull, "wb") as nowhere:
        try:
            kept = os.dup(2)
        except OSError:  # there is none
            kept = os.dup(nowhere.fileno())
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _text_bytes(column: Any) -> int:
    """Return how many bytes the texts of a column take if each row has its own copy."""
    polars = import_polars()
    if column.dtype == polars.String:
        return int(column.str.len_bytes().sum())
    if column.dtype in (polars.Categorical, polars.Enum):
        return len(column) * (column.unique().cast(polars.String).str.len_bytes().max() or 0)
    return 0


def _from_text(
    path: str, options: DataOptions, preparation: Preparation | None
) -> tuple[Any, bool]:
    """Read comma-, semicolon- or tab-separated text, and whether its first line is a header."""
    asked = options if preparation is None else preparation
    text = _decoded(path, "utf-8" if asked.encoding is None else asked.encoding)
    tabs = ".tsv" in path.lower()[-7:]
    blank = re.match(r"[ \r\n]*\n" if tabs else r"\s*\n", text)
    before = blank.end() if blank else 0
    first = re.sub(r'"[^"]*("|$)', "", text[before:].partition("\n")[0])
    frame = _parsed(path, text, before, "\t" if tabs else ";" if ";" in first else ",")
    fields = [(field or "").strip() for field in (frame.row(0) if frame.height else [""])]
    fields[0] = fields[0].removeprefix("#").lstrip()  # numpy.savetxt writes "# a"
    header = options.header == "yes"
    if options.header is None:
        header = _has_header(path, fields, asked.decimal, preparation)
    if header:
        _check_names(path, fields)
        frame = frame[1:]
    frame.columns = fields if header else [str(k) for k in range(1, frame.width + 1)]
    return frame, header


def _decoded(path: str, encoding: str) -> str:
    """Return the text of a file; line ends are as they are, or \\n where they are \\r alone."""
    data = read_bytes(path)
    try:
        text = data.decode(encoding).removeprefix("\ufeff")
    except LookupError:
        remedy = "name one that Python knows, such as utf-8 or latin-1"
        raise DataError(path, f"encoding is {encoding!r}", remedy) from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        fault = f"is not text in {encoding}: line {line} holds the byte {data[error.start]:#04x}"
        remedy = "save it as CSV in UTF-8, or name its encoding: --encoding latin-1"
        raise DataError(path, fault, f"{remedy} (encoding='latin-1')") from None
    return text if "\n" in text else text.replace("\r", "\n")


def _parsed(path: str, text: str, before: int, delimiter: str) -> Any:
    """Return the fields of a text from a place on, all lines that are not blank, as texts."""
    polars = import_polars(path)
    data = text[before:]
    separators = data.count(delimiter)
    check_unpacked(path, len(data) + VALUE_BYTES * (separators + data.count("\n") + 1))
    try:
        frame = polars.read_csv(
            data.encode(), separator=delimiter, has_header=False, infer_schema=False
        )
    except polars.exceptions.NoDataError:
        raise DataError(path, "holds no rows", "give a line for each example") from None
    except polars.exceptions.PolarsError as error:
        _check_lines(path, text, before, delimiter)
        reason = _first_line(error)
        raise DataError(path, f"cannot be read: {reason}", "write a plain table") from None
    last = frame[:, -1]
    gaps = last.null_count()  # of an empty field, of a line that is blank or too short
    if frame.width == 1:  # a line of spaces is blank
        gaps += (last.str.strip_chars() == "").sum()
    is_plain = frame.width > 1 and '"' not in data
    if gaps and not (is_plain and separators == frame.height * (frame.width - 1)):
        frame = frame.filter(_check_lines(path, text, before, delimiter))
    return frame


def _has_header(
    path: str, fields: list[str], decimal: Decimal, preparation: Preparation | None
) -> bool:
    """Return whether the first line of a text names the columns.

    Where training's table had no header, none has.  A line with a name of training's columns is
    one.  Any other is one if none of its fields is a number or missing; in training also if its
    numbers, three or more, count from 0 or 1: pandas' 0,1,2,3, or label,1,2,3.
    """
    if preparation is not None and preparation.header is False:
        return False
    if preparation is not None and not set(fields).isdisjoint(preparation.used_names):
        return True
    plain = [field.replace(",", ".") if decimal == "comma" else field for field in fields]
    rest = plain[1:] if plain[0] == "" else plain
    numbers = [field for field in rest if is_number(field)]
    if any(field.lower() in MISSING for field in rest if not is_number(field)):
        return False
    if preparation is None or not numbers:
        return not numbers or _count(numbers)
    if preparation.columns is None and _count(numbers):
        shown = ",".join(fields[:5])
        warn(path, f"the first line, {shown}, is an example, as training had no names of columns")
    return False


def _count(numbers: list[str]) -> bool:
    """Return whether numbers, at least three, count from 0 or 1."""
    counted = [[str(k + first) for k in range(len(numbers))] for first in (0, 1)]
    return len(numbers) >= FEWEST_COUNTED and numbers in counted


def _check_names(path: str, fields: list[str]) -> None:
    """Raise DataError unless each column has a name of its own."""
    unnamed = [k for k, name in enumerate(fields, 1) if not name or name.startswith("Unnamed: ")]
    if unnamed:
        fault = f"column {unnamed[0]} of the header has no name"
        index = " (pandas' index, which is no feature: to_csv(path, index=False))"
        remedy = f"name it{index if unnamed[0] == 1 else ''}, or say --header no (header=False)"
        raise DataError(path, fault, remedy)
    _refuse_repeated(path, fields)


def _check_lines(path: str, text: str, before: int, delimiter: str) -> list[bool]:
    """Return of each line from a place on whether it is a row: more than blank.

    Raises
    ------
    DataError
        If a row has another number of fields than the first, or a quotation is not closed.
    """
    filled: list[bool] = []
    reader = csv.reader(io.StringIO(text[before:], newline=""), delimiter=delimiter, strict=True)
    width, line = 0, 1 + text.count("\n", 0, before)
    start = line
    try:
        for fields in reader:
            is_row = len(fields) > 1 or any(not field or field.strip() for field in fields)
            width = width or len(fields) * is_row
            if is_row and len(fields) != width:
                fault = f"line {line} has {counted(len(fields), 'field')}, the first has {width}"
                raise DataError(path, fault, _ONE_LINE_PER_EXAMPLE)
            filled.append(is_row)
            line = start + reader.line_num
    except csv.Error as error:
        remedy = f"close or remove its quotation marks, or {_ONE_LINE_PER_EXAMPLE}"
        raise DataError(path, f"line {line} cannot be read: {error}", remedy) from None
    return filled


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
