"""How a table's columns become features: fitted on the training part, applied to later tables.

Numbers stay numbers.  Texts are one-hot encoded; one that training never saw is 0 everywhere.  A
missing number becomes the training median, and if any was missing in training, a further feature
marks where.  If nearly all texts of a column differ, only that feature is kept.

For networks, as in published recipes, a missing text is 0 in all features of its column, without
a feature that marks it; a column that never varies is left out; and a column of two texts may
become one feature, -1 for the first and 1 for the second.

`Described` holds it in words for readers.

Shapes: n examples, a column is (n,), features (n, features).
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.errors import DataError
from pluggable_mlp.data.values import BOOLEANS
from pluggable_mlp.training.recipes import Pairs
from pluggable_mlp.wording import listed

if TYPE_CHECKING:
    from polars import DataFrame, Series

Order = tuple[bool, int | None]
"""Whether the numbers of a table come first; columns of so many categories or more come last."""

MOST_CATEGORIES = 10_000
"""A column of more different texts is left out, and one whose texts are nearly all different."""

FEW = 20
"""Up to half as many different texts are categories, however few the rows are."""


class Described(NamedTuple):
    """A row of the table that shows a preparation: values of the training part, before scaling."""

    column: str
    missing: int
    range: str
    becomes: str


@dataclass(frozen=True)
class Column:
    """How one column becomes features.

    Parameters
    ----------
    name : str
    kind : {"number", "category", "presence", "left out", "sign", "one-hot"}
        "presence" has one feature, which marks missing values; "sign" has one, -1, 1, or 0 for
        neither of two categories; "one-hot" is "category" without a feature for missing values.
    missing : int
        How many values the training part lacked; if any, a further feature marks them.
    range : tuple of two floats, or None
        The smallest and the largest number of the training part; for texts, only if they are
        numbers used as categories.
    fill : float or None
        The value of a missing number: the median of the training part.
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

    @property
    def is_text(self) -> bool:
        """Whether it holds texts that are used."""
        return self.kind in ("category", "presence", "sign", "one-hot")

    @property
    def is_boolean(self) -> bool:
        """Whether its categories are booleans."""
        return bool(self.categories) and _are_booleans(self.categories)

    @property
    def is_used(self) -> bool:
        """Whether it becomes a feature."""
        return self.kind != "left out"

    @property
    def indicator(self) -> bool:
        """Whether a feature marks missing values."""
        return self.kind in ("number", "category", "presence") and self.missing > 0

    @property
    def is_category(self) -> bool:
        """Whether each of its categories becomes a feature."""
        return self.kind in ("category", "one-hot")

    @cached_property
    def blocks(self) -> "list[Column]":
        """A column for its number or its categories, and one that marks missing values."""
        blocks = [] if self.kind == "presence" else [replace(self, missing=0)]
        return [*blocks, *[Column(self.name, "presence", self.missing)] * self.indicator]

    @cached_property
    def features(self) -> list[str]:
        """The names of the features that it becomes."""
        if self.kind == "presence":
            return [f"{self.name} missing"]
        is_one = self.kind in ("number", "sign")
        names = [self.name] if is_one else [f"{self.name}={c}" for c in self.categories]
        return [*names, f"{self.name} missing"] if self.indicator else names

    def rank(self, order: Order) -> int:
        """Return its rank in an order; columns of the same rank stay in sequence."""
        return 2 if self.is_embedded(order) else int(order[0] and self.kind != "number")

    def is_embedded(self, order: Order) -> bool:
        """Return whether it has enough categories to be among the last columns."""
        least = order[1]
        return least is not None and self.is_category and len(self.categories) >= least

    def describe(self) -> Described:
        """Return the description of the column."""
        limits = "" if self.range is None else "{:g} to {:g}".format(*self.range)
        return Described(self.name, self.missing, limits, self._in_words())

    def _in_words(self) -> str:
        if self.kind == "left out":
            return f"left out: {self.note}"
        if self.kind == "presence":
            return f"{self.note}; a feature says where they are missing"
        if self.kind == "sign":
            first, second = self.categories
            return f"-1 for {first}, 1 for {second}, 0 for missing ones"
        if self.kind == "number":
            words, then = "number", f"missing ones become {self.fill:g}"
        else:
            words = f"one of {len(self.categories)} categories: {listed(self.categories)}"
            then = "missing ones are in none"
        return f"{words}; {then}, and a feature indicates them" if self.indicator else words


def fit_columns(
    name: str, frame: "DataFrame", *, categorical: Collection[str] = (), pairs: Pairs | None = None
) -> tuple[Column, ...]:
    """Return the columns fitted on the training part of a table.

    Parameters
    ----------
    name : str
        The table's name, for errors.
    frame : polars.DataFrame
        Columns of Float64, null where a number is missing, and Enums.
    categorical : collection of str
        Columns of numbers that are categories.
    pairs : {"sign", "one-hot"}, optional
        How two categories are encoded for networks; see above.

    Raises
    ------
    DataError
        If no column is left.
    """
    made = tuple(_fitted(values, values.name in categorical) for values in frame)
    if pairs is not None:
        made = tuple(_for_networks(column, pairs) for column in made)
    if not any(column.is_used for column in made):
        notes = listed([f"{column.name!r}: {column.note}" for column in made])
        fault = f"no column can be used ({notes})"
        raise DataError(name, fault, "give numbers that vary, or texts that recur")
    return made


def import_polars(source: str = "") -> "Series":
    """Return the module; DataError if it is not installed."""
    try:
        import polars
    except ImportError:
        fault = "is a table, and tables are read by polars, which is not installed"
        raise DataError(source, fault, "python -m pip install 'pluggable-mlp[tables]'") from None
    return polars


def as_enum(texts: "Series") -> "Series":
    """Return a column of texts as an Enum of those that occur, in order."""
    return texts.cast(import_polars().Enum(texts.drop_nulls().unique().sort()))


def _fitted(values: "Series", is_categorical: bool) -> Column:
    """Return a column fitted on its values (n,) in the training part."""
    present, missing = values.drop_nulls(), values.null_count()
    if not len(present):
        return Column(values.name, "left out", missing, note="it has no values")
    ends = None
    if values.dtype.is_numeric():  # never -0.0, which is hashed
        ends = (present.min() + 0.0, present.max() + 0.0)
        if not is_categorical:
            return Column(values.name, "number", missing, ends, _median(present.to_numpy()))
    texts = as_texts(present.unique()).to_list()
    lower = {text.lower() for text in texts}
    categories = tuple(sorted(lower if _are_booleans(lower) else texts))
    count = len(categories)
    if count > MOST_CATEGORIES or 2 * count > max(len(present), FEW):
        note = f"{count} different texts, such as {categories[0][:50]!r}"
        return Column(values.name, "presence" if missing else "left out", missing, ends, note=note)
    return Column(values.name, "category", missing, ends, categories=categories)


def _median(values: Array) -> float:
    places = [(values.size - 1) // 2, values.size // 2]
    low, high = np.partition(values, places)[places]
    return float(low + (high - low) / 2)


def as_texts(values: "Series") -> "Series":
    """Return a column of numbers, or of an Enum, as texts: whole numbers without a point."""
    polars = import_polars()
    if not values.dtype.is_numeric():
        return values.cast(polars.String)
    numbers = values.drop_nulls().unique()
    texts = [str(int(n)) if n.is_integer() else repr(n) for n in numbers.to_list()]
    return values.replace_strict(numbers, texts, return_dtype=polars.String)


def _for_networks(column: Column, pairs: Pairs) -> Column:
    """Return the column in its form for networks."""
    if column.kind == "number" and not column.missing and column.range is not None:
        low, high = column.range
        if low == high:
            return Column(column.name, "left out", note=f"it is {low:g} in all rows")
    if column.kind != "category":
        return column
    if len(column.categories) == 1 and not column.missing:
        return Column(column.name, "left out", note=f"it is {column.categories[0]} in all rows")
    return replace(column, kind=pairs if len(column.categories) == 2 else "one-hot")


def _are_booleans(texts: Iterable[str]) -> bool:
    """Return whether texts are lower-case booleans, as those from Parquet are."""
    return {*texts} <= {*BOOLEANS}
