"""What becomes of a table's columns: fitted on the training part, applied to every later table.

Numbers stay numbers.  A text becomes a 1 in the place of its category and 0 in the others'; one
that training never saw is 0 everywhere.  A number that is missing becomes the median of training,
and a further feature says where one was missing, if that occurred in training.  Of texts that are
nearly all different only that feature is left.

For networks, as published recipes have it, a text that is missing is 0 in all features of its
column, and none says so; a column that never varies is left out; and a column of two texts may
become one feature, -1 for the first and 1 for the second.

A `Described` says it for readers.

Shapes: n examples, a column is (n,), features (n, features).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.encoded import AS_THEY_COME, EncodedArray, Order, Part, in_order
from pluggable_mlp.data.errors import DataError, warn
from pluggable_mlp.data.frame import Frame, Texts, is_missing
from pluggable_mlp.data.targets import BOOLEANS
from pluggable_mlp.data.written import FEW, is_number
from pluggable_mlp.training.recipes import Pairs
from pluggable_mlp.wording import counted, listed

MOST_CATEGORIES = 10_000
"""A column of more different texts is left out, and one whose texts are nearly all different."""

NUMBER: Literal["number"] = "number"
CATEGORY: Literal["category"] = "category"
PRESENCE: Literal["presence"] = "presence"
LEFT_OUT: Literal["left out"] = "left out"
SIGN: Literal["sign"] = "sign"
ONE_HOT: Literal["one-hot"] = "one-hot"


class Block(NamedTuple):
    """Names of features that say one thing of a column."""

    features: list[str]
    is_number: bool
    categories: int = 0


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
    kind : {"number", "category", "presence", "left out", "sign", "one-hot"}
        Of "presence" the one feature says where a value is missing; of "sign" it is -1, 1, or 0
        for none of two categories; "one-hot" is "category" without a feature for missing ones.
    missing : int
        How many values the training part lacked; then a further feature says where.
    range : tuple of two floats, or None
        The smallest and the largest number of the training part; of texts only where numbers were
        written as such, to be categories.
    fill : float or None
        What stands for a number that is missing: the median of the training part.
    categories : tuple of str
        In order.
    note : str
        Why the values of the column are left out.
    """

    name: str
    kind: Literal["number", "category", "presence", "left out", "sign", "one-hot"]
    missing: int = 0
    range: tuple[float, float] | None = None
    fill: float | None = None
    categories: tuple[str, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        if self.kind == SIGN and len(self.categories) != 2:
            raise ValueError(f"column {self.name!r} has {len(self.categories)} signs, expected 2")
        if self.kind == NUMBER and (self.fill is None or not math.isfinite(self.fill)):
            raise ValueError(f"fill of column {self.name!r} is {self.fill!r}, expected a number")
        if self.range is not None and not all(map(is_number, self.categories)):
            raise ValueError(
                f"column {self.name!r} has the range {self.range!r}, expected null beside "
                "categories other than numbers"
            )

    @property
    def is_text(self) -> bool:
        """Whether it holds texts that are used."""
        return self.kind in (CATEGORY, PRESENCE, SIGN, ONE_HOT)

    @property
    def is_boolean(self) -> bool:
        """Whether its categories are booleans."""
        return bool(self.categories) and _are_booleans(self.categories)

    @property
    def is_used(self) -> bool:
        """Whether it becomes a feature."""
        return self.kind != LEFT_OUT

    @property
    def indicator(self) -> bool:
        """Whether a feature says where a value is missing."""
        return self.kind in (NUMBER, CATEGORY, PRESENCE) and self.missing > 0

    @property
    def features(self) -> list[str]:
        """The names of the features that it becomes."""
        is_one = self.kind in (NUMBER, SIGN)
        own = [self.name] if is_one else [f"{self.name}={c}" for c in self.categories]
        return [*own, f"{self.name} missing"] if self.indicator else own

    @property
    def blocks(self) -> list[Block]:
        """The features in blocks: the number or the categories, and where one is missing."""
        own = self.features[: len(self.features) - self.indicator]
        count = len(own) if self.kind in (CATEGORY, ONE_HOT) else 0
        blocks = [Block(own, self.kind == NUMBER, count)] if own else []
        return [*blocks, *[Block(self.features[-1:], False)] * self.indicator]

    def describe(self) -> Described:
        """Return what is shown of the column."""
        limits = "" if self.range is None else "{:g} to {:g}".format(*self.range)
        return Described(self.name, self.missing, limits, self._in_words())

    def _in_words(self) -> str:
        if self.kind == LEFT_OUT:
            return f"left out: {self.note}"
        if self.kind == PRESENCE:
            return f"{self.note}; a feature says where they are missing"
        if self.kind == SIGN:
            first, second = self.categories
            return f"-1 for {first}, 1 for {second}, 0 for missing ones"
        if self.kind == NUMBER:
            words, then = "number", f"missing ones become {self.fill:g}"
        else:
            words = f"one of {len(self.categories)} categories: {listed(self.categories)}"
            then = "missing ones are in none"
        return f"{words}; {then}, and a feature says so" if self.indicator else words


def fit_columns(name: str, frame: Frame, *, pairs: Pairs | None = None) -> tuple[Column, ...]:
    """Return what training makes of the columns of its part of a table.

    Parameters
    ----------
    name : str
        Of the table, for errors.
    frame : Frame
    pairs : {"sign", "one-hot"}, optional
        What two categories become for networks: see above.

    Raises
    ------
    DataError
        If no column is left.
    """
    made = tuple(map(_fitted, frame.names, frame.columns))
    if pairs is not None:
        made = tuple(_for_networks(column, pairs) for column in made)
    if not any(column.is_used for column in made):
        notes = listed([f"{column.name!r}: {column.note}" for column in made])
        fault = f"no column can be used ({notes})"
        raise DataError(name, fault, "give numbers that vary, or texts that recur")
    return made


def encode(
    name: str, columns: Iterable[Column], frame: Frame, order: Order = AS_THEY_COME
) -> EncodedArray:
    """Return the features of a table (n, features).

    The columns are found by their names; whatever else a table has is not used.  A warning
    lists texts that training never saw, and values that are missing where none was.
    """
    used = [column for column in columns if column.is_used]
    parts = [
        part
        for column in used
        for part in _ENCODE[column.kind](name, column, frame.column(column.name))
    ]
    return EncodedArray(in_order(parts, order))


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
    numbers = [float(text) for text in texts if values.were_numbers]
    ends = (min(numbers), max(numbers)) if numbers else None
    if not categories:
        return Column(name, LEFT_OUT, missing, note="it has no values")
    if count > MOST_CATEGORIES or 2 * count > max(total, FEW):
        note = f"{count} different texts in {total} rows"
        return Column(name, PRESENCE if missing else LEFT_OUT, missing, ends, note=note)
    return Column(name, CATEGORY, missing, ends, categories=categories)


def _for_networks(column: Column, pairs: Pairs) -> Column:
    """Return the same column as networks have it."""
    if column.kind == NUMBER and not column.missing and column.range is not None:
        low, high = column.range
        if low == high:
            return Column(column.name, LEFT_OUT, note=f"it is {low:g} in all rows")
    if column.kind != CATEGORY:
        return column
    if len(column.categories) == 1 and not column.missing:
        return Column(column.name, LEFT_OUT, note=f"it is {column.categories[0]} in all rows")
    return replace(column, kind=pairs if len(column.categories) == 2 else ONE_HOT)


def _numbers(name: str, column: Column, values: Array) -> list[Part]:
    """Return the features of a column of numbers (n,)."""
    missing = is_missing(values)
    _warn_missing(name, column, missing, f"they count as {column.fill:g}, training's median")
    filled = Part(np.where(missing, column.fill, values), is_number=True)
    return [filled, *[Part(missing)] * column.indicator]


def _categories(name: str, column: Column, values: Texts) -> list[Part]:
    """Return the features of a column of texts (n,)."""
    place = {category: index for index, category in enumerate(column.categories)}
    booleans = column.is_boolean
    places = [place.get(text.lower() if booleans else text, -1) for text in values.distinct]
    found = np.asarray([*places, -1], np.int32)[values.codes]
    missing = is_missing(values)
    unseen = (found < 0) & ~missing
    if unseen.any():
        shown = listed([*map(repr, values[unseen].occurring())], 5)
        rows = counted(int(unseen.sum()), "row")
        warn(name, f"column {column.name!r} holds {shown}, which training never saw, in "
             f"{rows}: they count as none of its categories")  # fmt: skip
    _warn_missing(name, column, missing, "they count as none of its categories")
    if column.kind == SIGN:
        return [Part(np.asarray([-1.0, 1.0, 0.0])[found])]  # the last, of -1, is none of them
    return [Part(found, len(column.categories)), *[Part(missing)] * column.indicator]


def _presence(_name: str, _column: Column, values: Texts) -> list[Part]:
    """Return the one feature that says where a value (n,) is missing."""
    return [Part(is_missing(values))]


_ENCODE = {
    NUMBER: _numbers,
    PRESENCE: _presence,
    **dict.fromkeys((CATEGORY, SIGN, ONE_HOT), _categories),
}


def _are_booleans(texts: Iterable[str]) -> bool:
    """Return whether texts are booleans in lower case, as those of Parquet are."""
    return set(texts) <= set(BOOLEANS)


def _warn_missing(name: str, column: Column, missing: Array, meaning: str) -> None:
    if missing.any() and not column.missing:
        where = f"column {column.name!r} lacks values in {counted(int(missing.sum()), 'row')}"
        warn(name, f"{where}, where training lacked none: {meaning}")
