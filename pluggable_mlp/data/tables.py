"""Tables, one example in each row: .csv, .tsv, .parquet, .feather, and data frames in memory.

polars reads the files, narwhals gives the columns of other libraries' data frames (both: the extra
`tables`).  Whether the first line is a header, and whether a column holds numbers or texts, is
decided here, by the rules of docs/data.md; which are features and targets in `choice.py`.

Shapes: n rows, a column is (n,).
"""

import csv
import io
import os
import re
import warnings
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.dataset import DataError, DataWarning
from pluggable_mlp.data.files import GET_A_NEW_COPY, check_file, read_bytes
from pluggable_mlp.data.frame import Texts

if TYPE_CHECKING:
    from pluggable_mlp.data.preparation import Preparation

__all__ = ["TABLES", "TEXTS", "Table", "is_number", "is_table", "open_table"]

TEXTS = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
TABLES = (*TEXTS, ".parquet", ".feather")

MISSING = frozenset(("", "na", "n/a", "nan", "null", "none", "?", "-", "."))
"""What stands for a missing value, in lower case."""

MOSTLY = 0.9
"""A column of which so many values are numbers is one of numbers, and its texts are faults."""

FEWEST_COUNTED = 3
"""So many of a first line's numbers have to count the columns, if it names them."""

_CODE = r"[+-]?0[0-9]+|\+[0-9]+"
_ONE_LINE_PER_EXAMPLE = "give a line per example, all with as many fields as the first"


def is_table(spec: Any) -> bool:
    """Return whether this is a data frame, or the path of a table, by its end."""
    is_path = isinstance(spec, str | os.PathLike)
    return os.fspath(spec).lower().endswith(TABLES) if is_path else True


def is_number(field: str) -> bool:
    """Return whether a field of a table reads as a number; NaN and infinity do."""
    try:
        float(field)
    except ValueError:
        return False
    return "_" not in field  # which is Python's alone


@dataclass(frozen=True, eq=False)
class Table:
    """A table as polars holds it, whose columns are not yet numbers or texts.

    Parameters
    ----------
    source : str
        For errors.
    names : tuple of str or None
        None where the file has none.
    columns : list of polars.Series, each of n values
        Texts of a text file, of any type from others.
    header : bool or None
        Whether the first line of a text names the columns; None for others.
    encoding : str or None
        Of a text.
    decimal_comma : bool
        Whether numbers are written as 1,5.
    """

    source: str
    names: tuple[str, ...] | None
    columns: list[Any]
    header: bool | None = None
    encoding: str | None = None
    decimal_comma: bool = False

    def name(self, place: int) -> str:
        """Return the name of a column: its place, counted from 1, where the file has none."""
        return str(place + 1) if self.names is None else self.names[place]

    def target(self, place: int, as_text: bool | None = None) -> Any:
        """Return a column of classes or of numbers to predict, or what training knew it to be.

        Integers are integers.  Texts are texts as they are written, where only an empty one is
        missing; they are by default what is not all numbers, unless one has a fraction, and codes:
        whole numbers of which one is written as 01 or +1.
        """
        column = self.columns[place]
        numeric = column.dtype.is_numeric()
        if as_text is False or (as_text is None and numeric):
            return self.column(place) if as_text is False else self._whole(place, column)
        texts = self._texts(place)
        texts = texts.set(texts.str.len_bytes() == 0, None)
        if as_text:
            return _encoded(texts)
        numbers, whole = self._numbers(texts), texts.str.contains(r"^[+-]?[0-9]+$")
        are_numbers = numbers.null_count() == texts.null_count()
        if (numbers.is_not_null() & ~whole).any():
            return self.column(place)
        if not are_numbers or texts.str.contains(f"^({_CODE})$").any():
            return _encoded(texts)
        return self._whole(place, texts)

    def column(self, place: int, kind: str | None = None) -> Any:
        """Return a column as an array of numbers, or as `Texts`.

        Parameters
        ----------
        place : int
            From 0.
        kind : {"numbers", "texts"}, optional
            What training saw in it; by default numbers where all that are not missing are such.

        Raises
        ------
        DataError
            If it holds a text among numbers, infinity, or what is neither: dates, lists.
        """
        column = self.columns[place]
        if column.dtype.is_numeric() and kind != "texts":
            return self._finite(place, column.cast(_polars().Float64))
        texts = self._texts(place)
        missing = texts.str.to_lowercase().is_in(list(MISSING)).fill_null(True)
        texts = texts.set(missing, None)
        numbers = None if kind == "texts" else self._numbers(texts)
        if numbers is None:
            return _encoded(texts)
        count, right = (len(each) - each.null_count() for each in (texts, numbers))
        if right == count:
            return self._finite(place, numbers)
        if kind == "numbers" or right >= MOSTLY * count:
            row = int((numbers.is_null() & texts.is_not_null()).arg_true()[0])
            fault = f"column {self.name(place)!r} holds {texts[row][:50]!r} in row {row + 1}"
            whose = "else numbers" if kind is None else "where training saw numbers"
            remedy = "correct it, or leave the field empty if it is missing"
            if row == 0 and self.header is False:
                way = "leave it out" if kind is not None else "say --header yes (header=True)"
                remedy += f"; if the first line names the columns, {way}"
            raise DataError(self.source, f"{fault}, {whose}", remedy)
        return _encoded(texts)

    def _whole(self, place: int, column: Any) -> Array:
        """Return a series as int64 where it holds integers alone, else as floats."""
        is_whole = not column.dtype.is_float() and not column.null_count()
        whole = column.cast(_polars().Int64, strict=False) if is_whole else None
        return self.column(place) if whole is None or whole.null_count() else whole.to_numpy()

    def _finite(self, place: int, column: Any) -> Array:
        """Return a series of floats, NaN where one is missing; DataError for infinity."""
        numbers: Array = column.fill_null(float("nan")).to_numpy()
        infinite = np.flatnonzero(np.isinf(numbers))
        if infinite.size:
            row = infinite[0]
            fault = f"column {self.name(place)!r} holds {numbers[row]} in row {row + 1}"
            raise DataError(self.source, fault, "remove or fill such values first")
        return numbers

    def _texts(self, place: int) -> Any:
        """Return a column as texts without blanks around them; DataError for dates, lists."""
        polars, column = _polars(), self.columns[place]
        kind = column.dtype
        known = (polars.String, polars.Boolean, polars.Categorical, polars.Enum, polars.Null)
        if not (kind.is_numeric() or kind in known):
            fault = f"column {self.name(place)!r} is of type {kind}"
            remedy = "write what may matter of it as numbers (of a date the year, the month, the "
            remedy += "days since a first one) or as texts, or leave it out"
            raise DataError(self.source, fault, remedy)
        return column.cast(polars.String).str.strip_chars()

    def _numbers(self, texts: Any) -> Any:
        """Return a series of texts as numbers, null where one is none."""
        plain = texts.str.replace(",", ".", literal=True) if self.decimal_comma else texts
        return plain.cast(_polars().Float64, strict=False)


def open_table(
    path: Any,
    known: "Preparation | None",
    header: bool | None = None,
    encoding: str | None = None,
) -> Table:
    """Return a table whose columns have different names, and at least one row."""
    path = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(path, str):
        table = _from_frame(path)
    elif path.lower().endswith((".parquet", ".feather")):
        table = _from_columns(path)
    else:
        table = _from_text(path, known, header, encoding)
    if table.header is None and (header, encoding) != (None, None):
        doubt = f"header and encoding are not used: they are for {', '.join(TEXTS)}"
        warnings.warn(f"{table.source}: {doubt}", DataWarning, stacklevel=4)
    repeated = [name for name, count in Counter(table.names or ()).items() if count > 1]
    if repeated:
        fault = f"two columns are named {repeated[0]!r}"
        raise DataError(table.source, fault, "name each column once")
    if not table.columns or not len(table.columns[0]):
        raise DataError(table.source, "holds no rows", "give a row for each example")
    return table


def _polars(source: str = "") -> Any:
    try:
        import polars
    except ImportError:
        fault = "is a table, and tables are read by polars, which is not installed"
        raise DataError(source, fault, "python -m pip install 'pluggable-mlp[tables]'") from None
    return polars


def _from_frame(frame: Any) -> Table:
    """Return a data frame of any library."""
    source = f"{type(frame).__module__.partition('.')[0]} data frame"
    polars = _polars(source)
    import narwhals

    given = narwhals.from_native(frame, eager_only=True)
    columns = []
    for column in given.iter_columns():
        if column.dtype.is_integer() and not column.is_null().any():
            values: Any = column.to_numpy()
        elif column.dtype.is_numeric():
            values = column.cast(narwhals.Float64()).fill_null(float("nan")).to_numpy()
        else:
            pairs = zip(column.to_list(), column.is_null(), strict=True)
            values = [None if missing else value for value, missing in pairs]
        columns.append(polars.Series(str(column.name), values, strict=False))
    return Table(source, tuple(map(str, given.columns)), columns)


def _from_columns(path: str) -> Table:
    """Read a Parquet or a Feather file (Arrow's IPC format)."""
    polars = _polars(path)
    check_file(path)
    try:
        read = polars.read_parquet if path.lower().endswith(".parquet") else polars.read_ipc
        table = read(path)
    except (polars.exceptions.PolarsError, OSError) as error:
        raise DataError(path, f"cannot be read: {_first_line(error)}", GET_A_NEW_COPY) from None
    return Table(path, tuple(table.columns), table.get_columns())


def _from_text(
    path: str, known: "Preparation | None", header: bool | None, encoding: str | None
) -> Table:
    """Read comma-, semicolon- or tab-separated text; blank lines are left out."""
    polars = _polars(path)
    text, encoding = _decoded(path, encoding, known.encoding if known else None)
    tabs = ".tsv" in path.lower()[-7:]
    blank = re.match(r"[ \r\n]*\n" if tabs else r"\s*\n", text)
    before = blank.end() if blank else 0
    data = text[before:]
    first = re.sub(r'"[^"]*("|$)', "", data.partition("\n")[0])
    delimiter = "\t" if tabs else ";" if ";" in first else ","
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
    gaps = table[:, -1].null_count()  # of an empty field, of a line that is blank or too short
    if gaps and ('"' in data or data.count(delimiter) != table.height * (table.width - 1)):
        table = table.filter(_check_lines(path, text, before, delimiter))
    fields = [(field or "").strip() for field in (table.row(0) if table.height else [""])]
    fields[0] = fields[0].removeprefix("#").lstrip()  # numpy.savetxt writes "# a"
    if header is None:
        header = _has_header(fields, delimiter == ";", known)
    names = _checked_names(path, fields) if header else None
    rows = table[1:] if header else table
    return Table(path, names, rows.get_columns(), header, encoding, delimiter == ";")


def _decoded(path: str, said: str | None, of_training: str | None) -> tuple[str, str]:
    """Return the text of a file, and its encoding.

    Its line ends are as they are, or \\n where they are \\r alone.
    """
    data = read_bytes(path)
    encoding = next((name for name in (said, of_training) if name is not None), "utf-8")
    try:
        text = data.decode("utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding)
    except LookupError:
        remedy = "name one that Python knows, such as utf-8 or latin-1"
        raise DataError(path, f"encoding is {encoding!r}", remedy) from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        fault = f"is not text in {encoding}: line {line} holds the byte {data[error.start]:#04x}"
        if said is None and of_training is not None:
            remedy = f"save it in {encoding}, as training's table was"
        else:
            remedy = "save it as CSV in UTF-8, or name its encoding: --encoding latin-1 "
            remedy += "(encoding='latin-1')"
        raise DataError(path, fault, remedy) from None
    return text if "\n" in text else text.replace("\r", "\n"), encoding


def _has_header(fields: list[str], decimal_comma: bool, known: "Preparation | None") -> bool:
    """Return whether the first line of a text names the columns.

    Where training's table had no header, none has.  A line with a name of training's columns is
    one.  Of any other file the line itself says it, see `_is_header`.
    """
    if known is not None and known.header is False:
        return False
    if known is not None and not set(known.used_names).isdisjoint(fields):
        return True
    return _is_header([field.replace(",", ".") if decimal_comma else field for field in fields])


def _is_header(fields: list[str]) -> bool:
    """Return whether fields name columns: none is a number or missing, or the numbers count them.

    They count from 0 or 1, and are at least three: pandas' 0,1,2,3, or label,1,2,3.
    """
    rest = fields[1:] if fields[0] == "" else fields
    numbers = [field for field in rest if is_number(field)]
    if any(field.lower() in MISSING for field in rest if not is_number(field)):
        return False
    return not numbers or (
        len(numbers) >= FEWEST_COUNTED
        and any(numbers == [str(k + first) for k in range(len(numbers))] for first in (0, 1))
    )


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
            is_row = len(fields) > 1 or bool(fields and (fields[0].strip() or width == 1))
            width = width or len(fields) * is_row
            if is_row and len(fields) != width:
                fault = f"line {line} has {len(fields)} fields, the first has {width}"
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


def _encoded(texts: Any) -> Texts:
    """Return a series of texts as codes."""
    distinct = texts.drop_nulls().unique().sort()
    ranks = texts.rank("dense").cast(_polars().Int32) - 1
    return Texts(tuple(distinct), ranks.fill_null(-1).to_numpy())


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
