"""A table as polars holds it, and its columns as numbers, texts or targets.

Whether a column holds numbers or texts is decided here, by the rules of docs/how-to/data.md; how a
file is read belongs in `table_files.py`, which columns are features and targets in `choice.py`.

Shapes: n rows, a column is (n,).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.dataset import LARGEST_EXACT
from pluggable_mlp.data.errors import DataError
from pluggable_mlp.data.frame import Texts
from pluggable_mlp.data.written import MOSTLY, refuse_dates, refuse_for_people

MISSING = frozenset(("", "na", "n/a", "nan", "null", "none", "?", "-", "."))
"""What stands for a missing value, in lower case."""

_SPELLINGS = sorted(
    {
        "".join(letters)
        for word in MISSING
        for letters in product(*zip(word, word.upper(), strict=True))
    }
)
"""The same in upper and lower case: to compare is quicker than to lower the texts of a column."""

_CODE = r"[+-]?0[0-9]+|\+[0-9]+"


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
    two_marks : bool
        Whether there is a point and a comma anywhere in a text, of numbers or not.
    """

    source: str
    names: tuple[str, ...] | None
    columns: list[Any]
    header: bool | None = None
    encoding: str | None = None
    decimal_comma: bool = False
    two_marks: bool = False

    def name(self, place: int) -> str:
        """Return the name of a column: its place, counted from 1, where the file has none."""
        return str(place + 1) if self.names is None else self.names[place]

    def target(self, place: int, as_text: bool | None = None) -> Any:
        """Return a column of classes or of numbers to predict, or what training knew it to be.

        Integers are integers.  Texts are texts as they are written, where only an empty one is
        missing; they are by default what is not all numbers, unless one has a fraction, and codes:
        whole numbers of which one is written as 01 or +1.

        Raises
        ------
        DataError
            As `column`, and if it holds dates or integers that no float64 holds.
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
            labels = _encoded(texts)
            refuse_dates(self.source, self.name(place), labels)
            return labels
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
            If it holds a text among numbers, infinity, or what is neither: dates, lists, and
            numbers as people write them.
        """
        column = self.columns[place]
        if column.dtype.is_numeric() and kind != "texts":
            return self._finite(place, column.cast(import_polars().Float64))
        texts = self._texts(place)
        texts = texts.set(texts.is_in(_SPELLINGS), None)
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
        values = _encoded(texts)
        refuse_for_people(self.source, self.name(place), values)
        return values

    def refuse_two_decimal_marks(self, read: Mapping[int, Any]) -> None:
        """Raise `DataError` where some numbers of the file have a comma and others have a point.

        Those with one of the marks then have grouped digits, and would be read 1,000 times too
        small.

        Parameters
        ----------
        read : mapping of int to array or Texts
            Columns by their places, as `column` or `target` has returned them.
        """
        if not (self.decimal_comma and self.two_marks):
            return
        numbers = [place for place, values in read.items() if not isinstance(values, Texts)]
        with_point, with_comma = (self._first_with(mark, numbers) for mark in ".,")
        if with_point and with_comma:
            (first, point), (second, comma) = with_point, with_comma
            other = comma if first == second else f"{second} {comma}"
            fault = f"{first} holds {point}, and {other}: decimal points and decimal commas"
            remedy = "write all numbers of the file with one decimal mark, without separators of "
            raise DataError(self.source, fault, f"{remedy}thousands")

    def _first_with(self, mark: str, places: Iterable[int]) -> tuple[str, str] | None:
        """Return which column of numbers holds a mark, and the first of its numbers that does."""
        for place in places:
            texts = self._texts(place)
            # A point alone is a missing value.
            marked = texts.str.contains(mark, literal=True) & (texts.str.len_bytes() > 1)
            if marked.any():
                row = int(marked.arg_true()[0])
                return f"column {self.name(place)!r}", f"{texts[row][:50]!r} in row {row + 1}"
        return None

    def _whole(self, place: int, column: Any) -> Array:
        """Return a series as int64 where it holds integers alone, else as floats.

        Raises
        ------
        DataError
            If an integer is beyond those that a float64 holds exactly, which no task takes.
        """
        polars = import_polars()
        if column.null_count() or not (column.dtype.is_integer() or column.dtype == polars.String):
            return self.column(place)
        whole = column.cast(polars.Int64, strict=False)
        beyond = whole.is_null() | ~whole.is_between(-LARGEST_EXACT, LARGEST_EXACT)
        if beyond.any():
            row = int(beyond.arg_true()[0])
            fault = f"column {self.name(place)!r} holds {column[row]} in row {row + 1}"
            remedy = "leave out such rows, or scale the numbers down"
            raise DataError(self.source, f"{fault}, a target beyond 2**53", remedy)
        return whole.to_numpy()

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
        polars, column = import_polars(), self.columns[place]
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
        return plain.cast(import_polars().Float64, strict=False)


def import_polars(source: str = "") -> Any:
    """Return the module; DataError where it is not installed."""
    try:
        import polars
    except ImportError:
        fault = "is a table, and tables are read by polars, which is not installed"
        raise DataError(source, fault, "python -m pip install 'pluggable-mlp[tables]'") from None
    return polars


def _encoded(texts: Any) -> Texts:
    """Return a series of texts as codes."""
    polars = import_polars()
    distinct = texts.drop_nulls().unique().sort()
    codes = texts.cast(polars.Enum(distinct)).to_physical().cast(polars.Int32)
    return Texts(tuple(distinct), codes.fill_null(-1).to_numpy())
