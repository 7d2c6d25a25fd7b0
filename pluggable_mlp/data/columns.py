"""How a table's columns become features: fitted on the training part, applied to later tables.

Numbers stay numbers.  Texts are one-hot encoded; one that training never saw is 0 everywhere.  A
missing number becomes the training median, and if any was missing in training, a further feature
marks where.  If nearly all texts of a column differ, only that feature is kept.

For networks, as in published recipes, a missing text is 0 in all features of its column, without
a feature that marks it; a column that never varies is left out; and a column of two texts may
become one feature, -1 for the first and 1 for the second.

`Described` holds it in words for readers; an `EncodedArray` makes rows of features from the values
of fitted columns.

Shapes: n examples, a column is (n,), features (n, features), rows of them (m, features).
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.errors import DataError, warn
from pluggable_mlp.data.values import BOOLEANS
from pluggable_mlp.fields import Count, list_first, pluralize
from pluggable_mlp.host.lazy import LazyArray, blocks
from pluggable_mlp.training.recipes import Pairs

if TYPE_CHECKING:
    from polars import DataFrame, Series

Order = tuple[bool, int | None]
"""Whether the numbers of a table come first; columns of so many categories or more come last."""

MOST_CATEGORIES = 10_000
"""A column of more different texts is left out, and one whose texts are nearly all different."""

MOST_COLUMNS = 50_000
"""A table with more columns is refused: each takes about a millisecond, however short it is."""

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
    missing: Count = 0
    range: tuple[float, float] | None = None
    fill: float | None = None
    categories: tuple[str, ...] = ()
    note: str = ""

    @property
    def is_possible(self) -> bool:
        """Whether a fit could have made it: a number has a median, a kind its categories."""
        count = len({*self.categories})
        fits = {"number": self.fill is not None, "sign": count == 2}.get(self.kind, True)
        return (
            fits
            and count == len(self.categories)
            and (count > 0) == (self.is_category or self.kind == "sign")
        )

    @property
    def is_text(self) -> bool:
        """Whether it holds texts that are used."""
        return self.kind in ("category", "presence", "sign", "one-hot")

    @cached_property
    def is_boolean(self) -> bool:
        """Whether its categories are booleans."""
        return bool(self.categories) and _are_booleans(self.categories)

    @cached_property
    def is_used(self) -> bool:
        """Whether it becomes a feature."""
        return self.kind != "left out"

    @property
    def indicator(self) -> bool:
        """Whether a feature marks missing values."""
        return self.kind in ("number", "category", "presence") and self.missing > 0

    @cached_property
    def is_category(self) -> bool:
        """Whether each of its categories becomes a feature."""
        return self.kind in ("category", "one-hot")

    @cached_property
    def blocks(self) -> "list[Column]":
        """A column for its number or its categories, and one that marks missing values."""
        values = [] if self.kind == "presence" else [replace(self, missing=0)]
        return [*values, *[Column(self.name, "presence", self.missing)] * self.indicator]

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
            words = f"one of {len(self.categories)} categories: {list_first(self.categories)}"
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
    columns = tuple(_fit_column(values, values.name in categorical) for values in frame)
    if pairs is not None:
        columns = tuple(_for_networks(column, pairs) for column in columns)
    if not any(column.is_used for column in columns):
        notes = list_first([f"{column.name!r}: {column.note}" for column in columns])
        fault = f"no column can be used ({notes})"
        raise DataError(name, fault, "give numbers that vary, or texts that recur")
    return columns


def as_enum(texts: "Series") -> "Series":
    """Return a column of texts as an Enum of those that occur, in order."""
    import polars

    return texts.cast(polars.Enum(texts.drop_nulls().unique().sort()))


def _fit_column(values: "Series", is_categorical: bool) -> Column:
    """Return a column fitted on its values (n,) in the training part."""
    present, missing = values.drop_nulls(), values.null_count()
    if not len(present):
        return Column(values.name, "left out", missing, note="it has no values")
    ends = None
    if values.dtype.is_numeric():  # never -0.0, which is hashed
        ends = (present.min() + 0.0, present.max() + 0.0)
        if not is_categorical:
            middle = [(len(present) - 1) // 2, len(present) // 2]
            low, high = np.partition(present.to_numpy(), middle)[middle].tolist()
            return Column(values.name, "number", missing, ends, low + (high - low) / 2)
    texts = as_texts(present.unique()).to_list()
    lower = {text.lower() for text in texts}
    categories = tuple(sorted(lower if _are_booleans(lower) else texts))
    count = len(categories)
    if count > MOST_CATEGORIES or 2 * count > max(len(present), FEW):
        note = f"{count} different texts, such as {categories[0][:50]!r}"
        return Column(values.name, "presence" if missing else "left out", missing, ends, note=note)
    return Column(values.name, "category", missing, ends, categories=categories)


def as_texts(values: "Series") -> "Series":
    """Return a column of numbers, or of an Enum, as texts: whole numbers without a point."""
    import polars

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


Block = tuple[Column, Array]
"""A column of one block of features, and its values (n,): of categories places, -1 for none."""


def encode(
    name: str, columns: Iterable[Column], frame: "DataFrame", order: Order = (False, None)
) -> "EncodedArray":
    """Return the features of a table (n, features).

    Columns are found by name; others are ignored.  A warning lists texts that training never
    saw, and missing values in columns that had none.
    """
    pairs: list[Block] = []
    for column in columns:
        if column.is_used:
            missing = frame[column.name].is_null().to_numpy()
            for block in column.blocks:
                is_presence = block.kind == "presence"
                values = missing if is_presence else _values(name, column, frame[column.name])
                pairs.append((block, values))
    return EncodedArray(sorted(pairs, key=lambda pair: pair[0].rank(order)))


def _values(name: str, column: Column, values: "Series") -> Array:
    """Return the numbers of a column (n,), or the indices of its categories."""
    missing = values.is_null().to_numpy()
    if column.kind == "number":
        _warn_missing(name, column, missing, f"they count as {column.fill:g}, training's median")
        return values.fill_null(column.fill).to_numpy()
    if values.dtype.is_numeric():
        values = as_enum(as_texts(values))
    distinct = values.dtype.categories.to_list()
    place = {category: index for index, category in enumerate(column.categories)}
    places = [place.get(text.lower() if column.is_boolean else text, -1) for text in distinct]
    codes = values.to_physical().fill_null(len(distinct)).to_numpy()
    indices = np.asarray([*places, -1], np.int32)[codes]
    unseen = (indices < 0) & ~missing
    if unseen.any():
        shown = list_first([repr(distinct[code]) for code in np.unique(codes[unseen]).tolist()], 5)
        fault = f"column {column.name!r} holds {shown}, which training never saw"
        rows = pluralize(int(unseen.sum()), "row")
        warn(name, f"{fault}, in {rows}: they count as none of its categories")
    _warn_missing(name, column, missing, "they count as none of its categories")
    return np.where(indices < 0, 0.0, 2.0 * indices - 1.0) if column.kind == "sign" else indices


def _warn_missing(name: str, column: Column, missing: Array, meaning: str) -> None:
    if missing.any() and not column.missing:
        where = f"column {column.name!r} lacks values in {pluralize(int(missing.sum()), 'row')}"
        warn(name, f"{where}, where training lacked none: {meaning}")


class EncodedArray(LazyArray):
    """Features (n, features), float64, whose one-hot columns are made when rows are taken.

    Parameters
    ----------
    pairs : sequence of (Column, array)
        Blocks of features, in their order.
    *changes : callable
        Change rows (m, features) in place, each on its own, one after the other.
    """

    dtype: np.dtype[np.float64] = np.dtype(np.float64)
    ndim: int = 2

    def __init__(self, pairs: Sequence[Block], *changes: Callable[[Array], Array]) -> None:
        self._pairs, self._changes = pairs, changes
        self.shape: tuple[int, ...] = (
            len(pairs[0][1]),
            sum([len(column.features) for column, _ in pairs]),
        )

    def __getitem__(self, rows: slice) -> Array:
        """Return a slice of rows (m, features)."""
        start, stop, _ = rows.indices(len(self))
        matrix, at = np.zeros((max(stop - start, 0), self.shape[1])), 0
        for column, every in self._pairs:
            values = every[start:stop]
            if column.is_category:
                filled = np.flatnonzero(values >= 0)
                matrix[filled, at + values[filled]] = 1.0
            else:
                matrix[:, at] = values
            at += len(column.features)
        for change in self._changes:
            matrix = change(matrix)
        return matrix

    def astype(self, dtype: DTypeLike) -> Array:
        """Return all rows (n, features) in a dtype, converted from float64 some at a time."""
        matrix, start = np.empty(self.shape, dtype), 0
        for rows in blocks(self):
            matrix[start : start + len(rows)] = rows
            start += len(rows)
        return matrix

    def map(self, function: Callable[[Array], Array]) -> "EncodedArray":
        """Return an array that applies a function to rows, each by itself, when they are taken."""
        return EncodedArray(self._pairs, *self._changes, function)

    def only(self, chosen: Callable[[Column], bool]) -> tuple[Array, Array]:
        """Return the features of chosen columns, and which they are, bool (features,)."""
        pairs = [pair for pair in self._pairs if chosen(pair[0])]
        flags = [chosen(column) for column, _ in self._pairs for _ in column.features]
        none = np.zeros((len(self), 0))
        return EncodedArray(pairs) if pairs else none, np.asarray(flags)

    def singly(self) -> Iterator[Array]:
        """Yield each feature (n, 1) of all rows."""
        for column, values in self._pairs:
            features: Iterable[Array] = [values]
            if column.is_category:
                features = (values == place for place in range(len(column.categories)))
            for feature in features:
                yield feature[:, np.newaxis].astype(np.float64)

    @property
    def nbytes(self) -> int:
        """The memory that all rows together would take."""
        return self.shape[0] * self.shape[1] * self.dtype.itemsize
