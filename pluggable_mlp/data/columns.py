"""What is made of a table's columns: fitted on the training part, kept with the model.

Numbers stay numbers.  A text becomes a 1 in the place of its category and 0 in the others'; one
that training never saw is 0 everywhere.  A number that is missing becomes the median of training,
and a further feature says where one was missing, if that occurred in training.  Of texts that are
nearly all different only that feature is left.

Shapes: n examples, features (n, features).
"""

import math
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.dataset import DataError, DataWarning
from pluggable_mlp.data.encoded import EncodedArray, Part
from pluggable_mlp.data.frame import Frame, Texts
from pluggable_mlp.data.tables import is_number
from pluggable_mlp.data.targets import BOOLEANS

__all__ = ["Column", "Columns"]

MOST_CATEGORIES = 1000
"""A column of more different texts is left out, and one whose texts are nearly all different."""

NUMBER, CATEGORY, PRESENCE, LEFT_OUT = "number", "category", "presence", "left out"

MOSTLY = 0.9
"""Where so many texts are written numbers, the column is meant as one of numbers."""

FEW = 20
"""Up to so many different texts are categories, whatever they are."""

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


@dataclass(frozen=True)
class Column:
    """What is made of one column.

    Parameters
    ----------
    name : str
    kind : {"number", "category", "presence", "left out"}
        Of "presence" the one feature says where a value is missing.
    categories : tuple of str
        In order.
    fill : float or None
        What stands for a number that is missing.
    indicator : bool
        Whether a further feature says where a value was missing.
    note : str
        Why the values of the column are left out.
    """

    name: str
    kind: str
    categories: tuple[str, ...] = ()
    fill: float | None = None
    indicator: bool = False
    note: str = ""

    def __post_init__(self) -> None:
        if self.kind not in (NUMBER, CATEGORY, PRESENCE, LEFT_OUT):
            raise ValueError(f"kind of column {self.name!r} is {self.kind!r}")
        if self.kind == NUMBER and not (type(self.fill) is float and math.isfinite(self.fill)):
            raise ValueError(f"fill of column {self.name!r} is {self.fill!r}, expected a number")

    @property
    def features(self) -> list[str]:
        """The names of the features that it becomes."""
        if self.kind == LEFT_OUT:
            return []
        own = [self.name] if self.kind == NUMBER else [f"{self.name}={c}" for c in self.categories]
        return [*own, f"{self.name} missing"] if self.indicator else own

    def describe(self) -> str:
        """Return in words what is made of the column."""
        if self.kind == LEFT_OUT:
            return f"left out: {self.note}"
        if self.kind == PRESENCE:
            return f"{self.note}; a feature says where they are missing"
        if self.kind == NUMBER:
            words = "number"
            missing = f"missing ones become {self.fill:g}"
        else:
            shown = ", ".join(self.categories[:6]) + (", …" if len(self.categories) > 6 else "")
            words = f"one of {len(self.categories)} categories: {shown}"
            missing = "missing ones are in none"
        return f"{words}; {missing}, and a feature says so" if self.indicator else words


@dataclass(frozen=True)
class Columns:
    """What is made of the columns of a table, in their order."""

    columns: tuple[Column, ...]

    @classmethod
    def fit(cls, name: str, frame: Frame) -> "Columns":
        """Return what training makes of its part of a table.

        Raises
        ------
        DataError
            If no column is left.
        """
        for column, values in zip(frame.names, frame.columns, strict=True):
            _refuse_texts_for_people(name, column, values)
        made = cls(tuple(map(_fitted, frame.names, frame.columns)))
        if not made.features:
            notes = (f"{column.name!r}: {column.note}" for column in made.columns[:6])
            fault = f"no column can be used ({', '.join(notes)})"
            raise DataError(name, fault, "give numbers, or texts that recur")
        return made

    @property
    def names(self) -> list[str]:
        """The names of the columns that are used."""
        return [column.name for column in self.columns if column.kind != LEFT_OUT]

    @property
    def texts(self) -> list[str]:
        """The names of the columns of texts that are used."""
        return [column.name for column in self.columns if column.kind in (CATEGORY, PRESENCE)]

    @property
    def features(self) -> list[str]:
        """The names of all features."""
        return [feature for column in self.columns for feature in column.features]

    @property
    def numeric(self) -> Array:
        """Which features are numbers of the table, bool (features,)."""
        numbers = {column.name for column in self.columns if column.kind == NUMBER}
        return np.asarray([feature in numbers for feature in self.features])

    def apply(self, name: str, frame: Frame) -> EncodedArray:
        """Return the features of a table (n, features).

        The columns are found by their names; whatever else a table has is not used.  A warning
        lists texts that training never saw, and of values that are missing where none was.

        Parameters
        ----------
        name : str
            Of the table, for errors.
        frame : Frame

        Raises
        ------
        DataError
            If a column is missing, or holds texts where numbers are expected.
        """
        missing = [column for column in self.names if column not in frame.names]
        if missing:
            fault = f"has no column {missing[0]!r}; it has {', '.join(frame.names[:20])}"
            raise DataError(name, fault, f"give the columns {', '.join(self.names)}")
        used = [column for column in self.columns if column.kind != LEFT_OUT]
        return EncodedArray(
            [
                part
                for column in used
                for part in _ENCODE[column.kind](name, column, frame.column(column.name))
            ]
        )

    def describe(self) -> list[str]:
        """Return a line for each column."""
        width = max(len(column.name) for column in self.columns)
        return [f"{column.name:<{width}}  {column.describe()}" for column in self.columns]

    @classmethod
    def from_dict(cls, values: Sequence[dict[str, Any]]) -> "Columns":
        """Return what `to_dict` wrote."""
        return cls(
            tuple(Column(**{**one, "categories": tuple(one["categories"])}) for one in values)
        )

    def to_dict(self) -> list[dict[str, Any]]:
        """Return the columns as JSON knows them."""
        return [asdict(column) | {"categories": list(column.categories)} for column in self.columns]


def _fitted(name: str, values: Array | Texts) -> Column:
    """Return what is made of a column of the training part (n,)."""
    if isinstance(values, Texts):
        return _fitted_texts(name, values)
    present = np.sort(values[~np.isnan(values)])
    if not present.size:
        return Column(name, LEFT_OUT, note="it has no values")
    middle = present[(present.size - 1) // 2 : present.size // 2 + 1]
    median = float(middle[0] + (middle[-1] - middle[0]) / 2)
    return Column(name, NUMBER, fill=median, indicator=present.size < values.size)


def _fitted_texts(name: str, values: Texts) -> Column:
    texts, total = _occurring(values), int((values.codes >= 0).sum())
    lower = {text.lower() for text in texts}
    categories = sorted(lower) if _are_booleans(lower) else texts
    if not categories:
        return Column(name, LEFT_OUT, note="it has no values")
    missing = total < len(values)
    if len(categories) > MOST_CATEGORIES or 2 * len(categories) > max(total, FEW):
        note = f"{len(categories)} different texts in {total} rows"
        return Column(name, PRESENCE if missing else LEFT_OUT, indicator=missing, note=note)
    return Column(name, CATEGORY, tuple(categories), indicator=missing)


def _occurring(values: Texts) -> list[str]:
    """Return the texts that occur, in order: those of a part of a table may be fewer than its."""
    counts = np.bincount(values.codes + 1, minlength=len(values.distinct) + 1)[1:]
    return [text for text, count in zip(values.distinct, counts, strict=True) if count]


def _refuse_texts_for_people(name: str, column: str, values: Array | Texts) -> None:
    """Raise `DataError` where the texts of a column (n,) are numbers or dates for people."""
    texts = _occurring(values) if isinstance(values, Texts) else []
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
    missing = np.isnan(values)
    _warn_missing(name, column, missing, f"they count as {column.fill:g}, training's median")
    filled = Part(np.where(missing, column.fill, values), is_number=True)
    return [filled, *[Part(missing)] * column.indicator]


def _categories(name: str, column: Column, values: Texts) -> list[Part]:
    """Return the features of a column of texts (n,)."""
    place = {category: index for index, category in enumerate(column.categories)}
    booleans = _are_booleans(column.categories)
    places = [place.get(text.lower() if booleans else text, -1) for text in values.distinct]
    found = np.asarray([*places, -1], np.int32)[values.codes]
    missing = values.codes < 0
    unseen = (found < 0) & ~missing
    if unseen.any():
        different = _occurring(values[unseen])
        shown = ", ".join(map(repr, different[:5])) + (", …" if len(different) > 5 else "")
        _warn(name, f"column {column.name!r} holds {shown}, which training never saw, in "
              f"{_rows(unseen)}: they count as none of its categories")  # fmt: skip
    _warn_missing(name, column, missing, "they count as none of its categories")
    return [Part(found, len(column.categories)), *[Part(missing)] * column.indicator]


def _presence(_name: str, _column: Column, values: Texts) -> list[Part]:
    """Return the one feature that says where a value (n,) is missing."""
    return [Part(values.codes < 0)]


_ENCODE = {NUMBER: _numbers, CATEGORY: _categories, PRESENCE: _presence}


def _are_booleans(texts: Iterable[str]) -> bool:
    """Return whether texts are booleans in lower case, as those of Parquet are."""
    return set(texts) <= set(BOOLEANS)


def _warn_missing(name: str, column: Column, missing: Array, meaning: str) -> None:
    if missing.any() and not column.indicator:
        where = f"column {column.name!r} lacks values in {_rows(missing)}"
        _warn(name, f"{where}, where training lacked none: {meaning}")


def _rows(flags: Array) -> str:
    """Return how many rows are flagged, (n,), as "1 row" or "2 rows"."""
    count = int(flags.sum())
    return "1 row" if count == 1 else f"{count} rows"


def _warn(name: str, doubt: str) -> None:
    warnings.warn(f"{name}: {doubt}", DataWarning, stacklevel=6)
