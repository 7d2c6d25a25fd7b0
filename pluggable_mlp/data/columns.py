"""How a table's columns become features: fitted on the training part, applied to later tables.

Numbers stay numbers.  Texts are one-hot encoded; one that training never saw is 0 everywhere.  A
missing number becomes the training median, and if any was missing in training, a further feature
marks where.  If nearly all texts of a column differ, only that feature is kept.

For networks, as in published recipes, a missing text is 0 in all features of its column, without
a feature that marks it; a column that never varies is left out; and a column of two texts may
become one feature, -1 for the first and 1 for the second.

A *block* is the adjacent features that a column becomes: its number or its categories, and a second
one that marks missing values.  Blocks stand in the sequence of their columns, unless an `Order`
ranks them.  An `EncodedArray` makes rows of features from the values of blocks.

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


class Order(NamedTuple):
    """The order of a table's blocks: perhaps numbers first; those that a network embeds last."""

    numbers_first: bool = False
    embedded: int | None = None
    """The least number of categories of a block that is embedded; None if no block is."""


IN_SEQUENCE = Order()


class Block(NamedTuple):
    """Adjacent features that one column becomes; "missing" is 1 where it lacks a value."""

    kind: Literal["number", "sign", "categories", "missing"]
    features: tuple[str, ...]
    """Their names, one for each category."""

    def is_embedded(self, order: Order) -> bool:
        """Return whether it has enough categories to be embedded."""
        least = order.embedded
        return least is not None and self.kind == "categories" and len(self.features) >= least

    def rank(self, order: Order) -> int:
        """Return its rank in an order; blocks of the same rank stay in sequence."""
        return 2 if self.is_embedded(order) else int(order.numbers_first and self.kind != "number")


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
            and (count > 0) == (self.kind in ("category", "sign", "one-hot"))
        )

    @cached_property
    def is_boolean(self) -> bool:
        """Whether its categories are booleans."""
        return bool(self.categories) and _are_booleans(self.categories)

    @cached_property
    def is_used(self) -> bool:
        """Whether it becomes a feature."""
        return self.kind != "left out"

    @property
    def marks_missing(self) -> bool:
        """Whether a feature marks missing values."""
        return self.kind in ("number", "category", "presence") and self.missing > 0

    @cached_property
    def blocks(self) -> list[Block]:
        """Its features: the number or the categories, then the mark of missing values."""
        blocks = []
        if self.kind in ("number", "sign"):
            blocks.append(Block(self.kind, (self.name,)))
        elif self.categories:
            names = tuple(f"{self.name}={category}" for category in self.categories)
            blocks.append(Block("categories", names))
        if self.marks_missing:
            blocks.append(Block("missing", (f"{self.name} missing",)))
        return blocks

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
        return f"{words}; {then}, and a feature indicates them" if self.marks_missing else words


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


def encode(
    name: str, columns: Iterable[Column], frame: "DataFrame", order: Order = IN_SEQUENCE
) -> "EncodedArray":
    """Return the features of a table (n, features).

    Columns are found by name; others are ignored.  A warning lists texts that training never
    saw, and missing values in columns that had none.
    """
    pairs: list[tuple[Block, Array]] = []
    for column in columns:
        for block in column.blocks:
            values = frame[column.name]
            is_mark = block.kind == "missing"
            array = values.is_null().to_numpy() if is_mark else _values(name, column, values)
            pairs.append((block, array))
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
    index = {category: k for k, category in enumerate(column.categories)}
    by_code = [index.get(text.lower() if column.is_boolean else text, -1) for text in distinct]
    codes = values.to_physical().fill_null(len(distinct)).to_numpy()
    indices = np.asarray([*by_code, -1], np.int32)[codes]
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
    pairs : sequence of (Block, array)
        Blocks in their order with their values (n,): of categories indices, -1 for none.
    *changes : callable
        Change rows (m, features) in place, each on its own, one after the other.
    """

    dtype: np.dtype[np.float64] = np.dtype(np.float64)
    ndim: int = 2

    def __init__(
        self, pairs: Sequence[tuple[Block, Array]], *changes: Callable[[Array], Array]
    ) -> None:
        self._pairs, self._changes = pairs, changes
        width = sum(len(block.features) for block, _ in pairs)
        self.shape: tuple[int, ...] = len(pairs[0][1]), width

    def __getitem__(self, rows: slice) -> Array:
        """Return a slice of rows (m, features)."""
        start, stop, _ = rows.indices(len(self))
        matrix, at = np.zeros((max(stop - start, 0), self.shape[1])), 0
        for block, every in self._pairs:
            values = every[start:stop]
            if block.kind == "categories":
                filled = np.flatnonzero(values >= 0)
                matrix[filled, at + values[filled]] = 1.0
            else:
                matrix[:, at] = values
            at += len(block.features)
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

    def only(self, chosen: Callable[[Block], bool]) -> tuple[Array, Array]:
        """Return the features of chosen blocks, and which they are, bool (features,)."""
        pairs = [pair for pair in self._pairs if chosen(pair[0])]
        flags = [chosen(block) for block, _ in self._pairs for _ in block.features]
        none = np.zeros((len(self), 0))
        return EncodedArray(pairs) if pairs else none, np.asarray(flags)

    def singly(self) -> Iterator[Array]:
        """Yield each feature (n, 1) of all rows."""
        for block, values in self._pairs:
            features: Iterable[Array] = [values]
            if block.kind == "categories":
                features = (values == index for index in range(len(block.features)))
            for feature in features:
                yield feature[:, np.newaxis].astype(np.float64)

    @property
    def nbytes(self) -> int:
        """The memory that all rows together would take."""
        return self.shape[0] * self.shape[1] * self.dtype.itemsize
