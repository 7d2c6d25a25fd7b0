"""What becomes of a table's columns: fitted on the training part, applied to every later table.

Numbers stay numbers.  A text becomes a 1 in the place of its category and 0 in the others'; one
that training never saw is 0 everywhere.  A number that is missing becomes the median of training,
and a further feature says where one was missing, if that occurred in training.  Of texts that are
nearly all different only that feature is left.

Shapes: n examples, a column is (n,), features (n, features).
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.dataset import DataError, listed, warn
from pluggable_mlp.data.encoded import EncodedArray, Part
from pluggable_mlp.data.frame import Frame, Texts, is_missing
from pluggable_mlp.data.tables import MOSTLY, is_number
from pluggable_mlp.data.targets import BOOLEANS

__all__ = ["Column", "Described", "encode", "fit_columns"]

MOST_CATEGORIES = 1000
"""A column of more different texts is left out, and one whose texts are nearly all different."""

FEW = 20
"""Up to so many different texts are categories, whatever they are."""

NUMBER: Literal["number"] = "number"
CATEGORY: Literal["category"] = "category"
PRESENCE: Literal["presence"] = "presence"
LEFT_OUT: Literal["left out"] = "left out"

_FOR_PEOPLE = {
    r"[-+(]*\s*[$€£¥]?\s*[-+]?(\d{1,3}([.,' ]\d{3})+|\d+)([.,]\d+)?\s*[$€£¥%)]?": (
        "a number as it is written for people",
        "write 1234.5 without signs and groups of digits",
    ),
    r"(\d{4}([-/.])\d\d?\2\d\d?|\d\d?([-/.])\d\d?\3\d{4})([T ]\d\d?:\d\d.*)?": (
        "a date",
        "write what may matter of it as numbers: the year, the month, the days since a first one",
    ),
}
"""Texts that mean numbers: their patterns, what they are, and what to do."""


class Described(NamedTuple):
    """A row of the table that shows a preparation: values of the training part, before scaling."""

    column: str
    missing: int
    range: str
    becomes: str


@dataclass(frozen=True)
class Column:
    """What is made of one column.

    Parameters
    ----------
    name : str
    kind : {"number", "category", "presence", "left out"}
        Of "presence" the one feature says where a value is missing.
    missing : int
        How many values the training part lacked; then a further feature says where.
    range : tuple of two floats, or None
        The smallest and the largest number of the training part.
    fill : float or None
        What stands for a number that is missing: the median of the training part.
    categories : tuple of str
        In order.
    note : str
        Why the values of the column are left out.
    """

    name: str
    kind: Literal["number", "category", "presence", "left out"]
    missing: int = 0
    range: tuple[float, float] | None = None
    fill: float | None = None
    categories: tuple[str, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        if self.kind == NUMBER and (self.fill is None or not math.isfinite(self.fill)):
            raise ValueError(f"fill of column {self.name!r} is {self.fill!r}, expected a number")

    @property
    def is_text(self) -> bool:
        """Whether it holds texts that are used."""
        return self.kind in (CATEGORY, PRESENCE)

    @property
    def is_used(self) -> bool:
        """Whether it becomes a feature."""
        return self.kind != LEFT_OUT

    @property
    def indicator(self) -> bool:
        """Whether a feature says where a value is missing."""
        return self.is_used and self.missing > 0

    @property
    def features(self) -> list[str]:
        """The names of the features that it becomes."""
        own = [self.name] if self.kind == NUMBER else [f"{self.name}={c}" for c in self.categories]
        return [*own, f"{self.name} missing"] if self.indicator else own

    def describe(self) -> Described:
        """Return what is shown of the column."""
        limits = "" if self.range is None else "{:g} to {:g}".format(*self.range)
        return Described(self.name, self.missing, limits, self._in_words())

    def _in_words(self) -> str:
        if self.kind == LEFT_OUT:
            return f"left out: {self.note}"
        if self.kind == PRESENCE:
            return f"{self.note}; a feature says where they are missing"
        if self.kind == NUMBER:
            words, then = "number", f"missing ones become {self.fill:g}"
        else:
            words = f"one of {len(self.categories)} categories: {listed(self.categories)}"
            then = "missing ones are in none"
        return f"{words}; {then}, and a feature says so" if self.indicator else words


def fit_columns(name: str, frame: Frame) -> tuple[Column, ...]:
    """Return what training makes of the columns of its part of a table.

    Raises
    ------
    DataError
        If texts are numbers or dates as people write them, or no column is left.
    """
    for column, values in zip(frame.names, frame.columns, strict=True):
        if isinstance(values, Texts):
            _refuse_texts_for_people(name, column, values.occurring())
    made = tuple(map(_fitted, frame.names, frame.columns))
    if not any(column.is_used for column in made):
        notes = (f"{column.name!r}: {column.note}" for column in made[:6])
        fault = f"no column can be used ({', '.join(notes)})"
        raise DataError(name, fault, "give numbers, or texts that recur")
    return made


def encode(name: str, columns: Iterable[Column], frame: Frame) -> EncodedArray:
    """Return the features of a table (n, features).

    The columns are found by their names; whatever else a table has is not used.  A warning
    lists texts that training never saw, and values that are missing where none was.
    """
    used = [column for column in columns if column.is_used]
    return EncodedArray(
        [
            part
            for column in used
            for part in _ENCODE[column.kind](name, column, frame.column(column.name))
        ]
    )


def _fitted(name: str, values: Array | Texts) -> Column:
    """Return what is made of a column of the training part (n,)."""
    if isinstance(values, Texts):
        return _fitted_texts(name, values)
    present = values[~np.isnan(values)]
    missing = values.size - present.size
    if not present.size:
        return Column(name, LEFT_OUT, missing, note="it has no values")
    places = [(present.size - 1) // 2, present.size // 2]
    low, high = np.partition(present, places)[places]
    median = float(low + (high - low) / 2)
    ends = (float(present.min()) + 0.0, float(present.max()) + 0.0)  # never -0.0, which is hashed
    return Column(name, NUMBER, missing, ends, median)


def _fitted_texts(name: str, values: Texts) -> Column:
    texts, missing = values.occurring(), int(is_missing(values).sum())
    lower = {text.lower() for text in texts}
    categories = tuple(sorted(lower) if _are_booleans(lower) else texts)
    count, total = len(categories), len(values) - missing
    if not categories:
        return Column(name, LEFT_OUT, missing, note="it has no values")
    if count > MOST_CATEGORIES or 2 * count > max(total, FEW):
        note = f"{count} different texts in {total} rows"
        return Column(name, PRESENCE if missing else LEFT_OUT, missing, note=note)
    return Column(name, CATEGORY, missing, categories=categories)


def _refuse_texts_for_people(name: str, column: str, texts: list[str]) -> None:
    """Raise `DataError` where the different texts of a column are numbers or dates for people."""
    if len(texts) <= FEW:
        return
    for pattern, (what, remedy) in _FOR_PEOPLE.items():
        found = [text for text in texts if re.fullmatch(pattern, text)]
        written = [text for text in found if not is_number(text)]
        if written and len(found) >= MOSTLY * len(texts):
            fault = f"column {column!r} holds {written[0]!r}, {what}"
            raise DataError(name, fault, f"{remedy}, or remove the column")


def _numbers(name: str, column: Column, values: Array) -> list[Part]:
    """Return the features of a column of numbers (n,)."""
    missing = is_missing(values)
    _warn_missing(name, column, missing, f"they count as {column.fill:g}, training's median")
    filled = Part(np.where(missing, column.fill, values), is_number=True)
    return [filled, *[Part(missing)] * column.indicator]


def _categories(name: str, column: Column, values: Texts) -> list[Part]:
    """Return the features of a column of texts (n,)."""
    place = {category: index for index, category in enumerate(column.categories)}
    booleans = _are_booleans(column.categories)
    places = [place.get(text.lower() if booleans else text, -1) for text in values.distinct]
    found = np.asarray([*places, -1], np.int32)[values.codes]
    missing = is_missing(values)
    unseen = (found < 0) & ~missing
    if unseen.any():
        shown = listed([*map(repr, values[unseen].occurring())], 5)
        warn(name, f"column {column.name!r} holds {shown}, which training never saw, in "
             f"{_rows(unseen)}: they count as none of its categories")  # fmt: skip
    _warn_missing(name, column, missing, "they count as none of its categories")
    return [Part(found, len(column.categories)), *[Part(missing)] * column.indicator]


def _presence(_name: str, _column: Column, values: Texts) -> list[Part]:
    """Return the one feature that says where a value (n,) is missing."""
    return [Part(is_missing(values))]


_ENCODE = {NUMBER: _numbers, CATEGORY: _categories, PRESENCE: _presence}


def _are_booleans(texts: Iterable[str]) -> bool:
    """Return whether texts are booleans in lower case, as those of Parquet are."""
    return set(texts) <= set(BOOLEANS)


def _warn_missing(name: str, column: Column, missing: Array, meaning: str) -> None:
    if missing.any() and not column.indicator:
        where = f"column {column.name!r} lacks values in {_rows(missing)}"
        warn(name, f"{where}, where training lacked none: {meaning}")


def _rows(flags: Array) -> str:
    """Return how many rows are flagged, (n,), as "1 row" or "2 rows"."""
    count = int(flags.sum())
    return "1 row" if count == 1 else f"{count} rows"
