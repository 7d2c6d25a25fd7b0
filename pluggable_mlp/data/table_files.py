"""Files of tables and data frames: .csv, .tsv, .parquet, .feather, one example in each row.

polars reads the files, narwhals gives the columns of other libraries' data frames (both: the extra
`tables`).  Which line is a header, which a row, and which encoding a text has, is decided here, by
the rules of docs/how-to/data.md; what its columns hold in `tables.py`.
"""

import codecs
import csv
import glob
import io
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any

from pluggable_mlp.data.errors import DataError, warn
from pluggable_mlp.data.reading import GET_A_NEW_COPY, check_file, check_unpacked, read_bytes
from pluggable_mlp.data.tables import MISSING, Table, import_polars
from pluggable_mlp.data.written import is_number
from pluggable_mlp.wording import counted

if TYPE_CHECKING:
    from pluggable_mlp.data.preparation import Preparation

TEXTS = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
_COLUMNAR = {".parquet": "parquet", ".feather": "ipc"}
"""Formats that hold columns and their types: polars' name for each."""

VALUE_BYTES = 16
"""What a value of a table takes: polars' view of a text, or a number and its copy."""

_SILENCING = Lock()

TABLES = (*TEXTS, *_COLUMNAR)

FEWEST_COUNTED = 3
"""So many of a first line's numbers have to count the columns, if it names them."""

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
"""Byte order marks, with which a file of UTF-16 begins."""

_ONE_LINE_PER_EXAMPLE = "give a line per example, all with as many fields as the first"


def is_table(spec: Any) -> bool:
    """Return whether this is a data frame, or the path of a table, by its end."""
    is_path = isinstance(spec, str | os.PathLike)
    return os.fspath(spec).lower().endswith(TABLES) if is_path else True


def open_table(
    path: Any,
    preparation: "Preparation | None",
    header: bool | None = None,
    encoding: str | None = None,
) -> Table:
    """Return a table whose columns have different names, and at least one row."""
    path = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(path, str):
        table = _from_frame(path)
    elif path.lower().endswith(tuple(_COLUMNAR)):
        table = _from_columns(path)
    else:
        table = _from_text(path, preparation, header, encoding)
    if table.header is None and (header, encoding) != (None, None):
        doubt = f"header and encoding are not used: they are for {', '.join(TEXTS)}"
        warn(table.source, doubt)
    _refuse_repeated(table.source, table.names or ())
    if not table.columns or not len(table.columns[0]):
        raise DataError(table.source, "holds no rows", "give a row for each example")
    return table


def _refuse_repeated(source: str, names: Iterable[Any]) -> None:
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        fault = f"two columns are named {repeated[0]!r}"
        raise DataError(source, fault, "name each column once")


def _from_frame(frame: Any) -> Table:
    """Return a data frame of any library."""
    names = getattr(frame, "column_names", getattr(frame, "columns", None))  # of pyarrow, of others
    if names is None:
        fault = f"the data are of type {type(frame).__name__}, expected a path or a data frame"
        raise DataError(repr(frame)[:80], fault, "load_run(…).predict takes arrays, too")
    source = f"{type(frame).__module__.partition('.')[0]} data frame"
    polars = import_polars(source)
    _refuse_repeated(source, names)
    import narwhals

    given = narwhals.from_native(frame, eager_only=True)
    columns = []
    for column in given.iter_columns():
        if column.dtype.is_integer() and not column.is_null().any():
            values: Any = column.to_numpy()
        elif column.dtype.is_numeric():
            values = column.cast(narwhals.Float64()).fill_null(float("nan")).to_numpy()
        else:
            values = column.to_list()
            for row in column.is_null().arg_true().to_list():
                values[row] = None
        columns.append(polars.Series(str(column.name), values, strict=False))
    return Table(source, tuple(map(str, given.columns)), columns)


def _from_columns(path: str) -> Table:
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
            table = lazy.collect()
    except damaged as error:
        raise DataError(path, f"cannot be read: {_first_line(error)}", GET_A_NEW_COPY) from None
    check_unpacked(path, sum(map(_text_bytes, table.get_columns())))
    return Table(path, tuple(table.columns), table.get_columns())


@contextmanager
def _without_stderr() -> Iterator[None]:
    """Silence the standard error of the process, to which polars writes what makes it panic."""
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
    path: str, preparation: "Preparation | None", header: bool | None, encoding: str | None
) -> Table:
    """Read comma-, semicolon- or tab-separated text; blank lines are left out."""
    polars = import_polars(path)
    text, encoding = _decoded(path, encoding, preparation.encoding if preparation else None)
    tabs = ".tsv" in path.lower()[-7:]
    blank = re.match(r"[ \r\n]*\n" if tabs else r"\s*\n", text)
    before = blank.end() if blank else 0
    data = text[before:]
    first = re.sub(r'"[^"]*("|$)', "", data.partition("\n")[0])
    delimiter = "\t" if tabs else ";" if ";" in first else ","
    values = data.count(delimiter) + data.count("\n") + 1
    check_unpacked(path, len(data) + VALUE_BYTES * values)
    try:
        table = polars.read_csv(
            data.encode(), separator=delimiter, has_header=False, infer_schema=False
        )
    except polars.exceptions.NoDataError:
        raise DataError(path, "holds no rows", "give a line for each example") from None
    except polars.exceptions.PolarsError as error:
        _check_lines(path, text, before, delimiter)
        _check_quotations(path, text, delimiter)
        reason = _first_line(error)
        raise DataError(path, f"cannot be read: {reason}", "write a plain table") from None
    last = table[:, -1]
    gaps = last.null_count()  # of an empty field, of a line that is blank or too short
    if table.width == 1:  # a line of spaces is blank
        gaps += (last.str.strip_chars() == "").sum()
    separators = table.height * (table.width - 1)
    if gaps and (not separators or '"' in data or data.count(delimiter) != separators):
        table = table.filter(_check_lines(path, text, before, delimiter))
    fields = [(field or "").strip() for field in (table.row(0) if table.height else [""])]
    fields[0] = fields[0].removeprefix("#").lstrip()  # numpy.savetxt writes "# a"
    if header is None:
        header = _has_header(path, fields, delimiter == ";", preparation)
    names = _checked_names(path, fields) if header else None
    rows = table[1:] if header else table
    two_marks = "." in data and "," in data
    return Table(path, names, rows.get_columns(), header, encoding, delimiter == ";", two_marks)


def _decoded(path: str, given: str | None, of_training: str | None) -> tuple[str, str]:
    """Return the text of a file, and its encoding.

    A file that begins with the byte order mark of UTF-8 is UTF-8, whatever is given.  Line ends are
    as they are, or \\n where they are \\r alone.
    """
    data = read_bytes(path)
    encoding = next((name for name in (given, of_training) if name is not None), "utf-8")
    is_marked = data.startswith(codecs.BOM_UTF8)
    actual = "utf-8" if is_marked else encoding
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        codecs.lookup(encoding)
        text = data.decode(actual)
    except LookupError:
        remedy = "name one that Python knows, such as utf-8 or latin-1"
        raise DataError(path, f"encoding is {encoding!r}", remedy) from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        fault = f"is not text in {actual}: line {line} holds the byte {data[error.start]:#04x}"
        remedy = f"save it as CSV in UTF-8, or name its encoding: {_encoding_option(_utf_16(data))}"
        if is_marked:
            remedy = "save it as CSV in UTF-8, which its byte order mark says it is"
        elif given is None and of_training is not None:
            remedy = f"save it in {encoding}, as training's table was"
        raise DataError(path, fault, remedy) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        name = None if is_marked else _utf_16(data)
        remedy = GET_A_NEW_COPY
        if name is not None and name != actual:
            remedy = f"if it is {name}, {_encoding_option(name)}"
        raise DataError(path, f"line {line} holds the character NUL", remedy)
    return text if "\n" in text else text.replace("\r", "\n"), encoding


def _utf_16(data: bytes | bytearray) -> str | None:
    """Return the kind of UTF-16 that a text may be; None for other texts.

    It has a byte order mark, or each second byte is 0, as in texts that are mostly ASCII.
    """
    if data.startswith(_UTF_16):
        return "utf-16"
    first, second = data[::2].count(0), data[1::2].count(0)
    if first and second:
        return None
    most = len(data) // 4  # half of the pairs
    return "utf-16-be" if first > most else "utf-16-le" if second > most else None


def _encoding_option(name: str | None) -> str:
    """Return the option that names an encoding, by default Latin-1."""
    name = name or "latin-1"
    return f"--encoding {name} (encoding={name!r})"


def _has_header(
    path: str, fields: list[str], decimal_comma: bool, preparation: "Preparation | None"
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
    plain = [field.replace(",", ".") if decimal_comma else field for field in fields]
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


def _checked_names(path: str, fields: list[str]) -> tuple[str, ...]:
    """Return the names of columns; DataError where one has none."""
    unnamed = [k for k, name in enumerate(fields, 1) if not name or name.startswith("Unnamed: ")]
    if unnamed:
        fault = f"column {unnamed[0]} of the header has no name"
        index = " (pandas' index, which is no feature: to_csv(path, index=False))"
        remedy = f"name it{index if unnamed[0] == 1 else ''}, or say --header no (header=False)"
        raise DataError(path, fault, remedy)
    return tuple(fields)


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


def _check_quotations(path: str, text: str, delimiter: str) -> None:
    """Raise DataError where a quotation mark stands in a field that is not quoted."""
    quoted = rf'(?<![^{delimiter}\r\n])"(?:[^"]|"")*"(?=[{delimiter}\r\n]|$)'
    place = re.sub(quoted, lambda field: field[0].replace('"', " "), text).find('"')
    if place >= 0:
        fault = f"line {1 + text.count(chr(10), 0, place)} holds a quotation mark within a field"
        raise DataError(path, fault, 'double it, and quote the field: 6" long as "6"" long"')


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
