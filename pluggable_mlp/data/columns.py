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

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.encoded import AS_THEY_COME, Block, EncodedArray, Order, in_order
from pluggable_mlp.data.errors import DataError, warn
from pluggable_mlp.data.targets import BOOLEANS
from pluggable_mlp.training.recipes import Pairs
from pluggable_mlp.wording import counted, listed

MOST_CATEGORIES = 10_000
"""A column of more different texts is left out, and one whose texts are nearly all different."""

FEW = 20
"""Up to half as many different texts are categories, however few the rows are."""

NUMBER: Literal["number"] = "number"
CATEGORY: Literal["category"] = "category"
PRESENCE: Literal["presence"] = "presence"
LEFT_OUT: Literal["left out"] = "left out"
SIGN: Literal["sign"] = "sign"
ONE_HOT: Literal["one-hot"] = "one-hot"


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

    @cached_property
    def features(self) -> list[str]:
        """The names of the features that it becomes."""
        is_one = self.kind in (NUMBER, SIGN)
        own = [self.name] if is_one else [f"{self.name}={c}" for c in self.categories]
        return [*own, f"{self.name} missing"] if self.indicator else own

    @cached_property
    def blocks(self) -> list[Block]:
        """The features in blocks: the number or the categories, and where one is missing."""
        own = self.features[: len(self.features) - self.indicator]
        count = len(own) if self.kind in (CATEGORY, ONE_HOT) else 0
        blocks = [Block(own, self.kind == NUMBER, count)] if own else []
        return [*blocks, *[Block(self.features[-1:])] * self.indicator]

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


def fit_columns(
    name: str, frame: Any, *, categorical: Collection[str] = (), pairs: Pairs | None = None
) -> tuple[Column, ...]:
    """Return what training makes of the columns of its part of a table.

    Parameters
    ----------
    name : str
        Of the table, for errors.
    frame : polars.DataFrame
        Columns of Float64, null where a number is missing, and Enums.
    categorical : collection of str
        Columns of numbers that are categories.
    pairs : {"sign", "one-hot"}, optional
        What two categories become for networks: see above.

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


def import_polars(source: str = "") -> Any:
    """Return the module; DataError where it is not installed."""
    try:
        import polars
    except ImportError:
        fault = "is a table, and tables are read by polars, which is not installed"
        raise DataError(source, fault, "python -m pip install 'pluggable-mlp[tables]'") from None
    return polars


def as_enum(texts: Any) -> Any:
    """Return a column of texts as an Enum of those that occur, in order."""
    return texts.cast(import_polars().Enum(texts.drop_nulls().unique().sort()))


def as_array(frame: Any) -> Array:
    """Return columns of numbers as one array (n, columns), NaN where one is missing."""
    return np.stack([values.to_numpy() for values in frame], axis=1)


def encode(
    name: str, columns: Iterable[Column], frame: Any, order: Order = AS_THEY_COME
) -> EncodedArray:
    """Return the features of a table (n, features).

    The columns are found by their names; whatever else a table has is not used.  A warning
    lists texts that training never saw, and values that are missing where none was.
    """
    used = [column for column in columns if column.is_used]
    blocks: list[Block] = []
    for column in used:
        arrays = _ENCODE[column.kind](name, column, frame[column.name])
        pairs = zip(column.blocks, arrays, strict=True)
        blocks += [block._replace(values=values) for block, values in pairs]
    return EncodedArray(in_order(blocks, order))


def _fitted(values: Any, is_categorical: bool) -> Column:
    """Return what is made of a column of the training part (n,)."""
    present, missing = values.drop_nulls(), values.null_count()
    if not len(present):
        return Column(values.name, LEFT_OUT, missing, note="it has no values")
    ends = None
    if values.dtype.is_numeric():  # never -0.0, which is hashed
        ends = (present.min() + 0.0, present.max() + 0.0)
        if not is_categorical:
            return Column(values.name, NUMBER, missing, ends, _median(present.to_numpy()))
    texts = as_texts(present.unique()).to_list()
    lower = {text.lower() for text in texts}
    categories = tuple(sorted(lower if _are_booleans(lower) else texts))
    count = len(categories)
    if count > MOST_CATEGORIES or 2 * count > max(len(present), FEW):
        note = f"{count} different texts, such as {categories[0][:50]!r}"
        kind = PRESENCE if missing else LEFT_OUT
        return Column(values.name, kind, missing, ends, note=note)
    return Column(values.name, CATEGORY, missing, ends, categories=categories)


def _median(values: Array) -> float:
    places = [(values.size - 1) // 2, values.size // 2]
    low, high = np.partition(values, places)[places]
    return float(low + (high - low) / 2)


def as_texts(values: Any) -> Any:
    """Return a column of numbers, or of an Enum, as texts: whole numbers without a point."""
    polars = import_polars()
    if not values.dtype.is_numeric():
        return values.cast(polars.String)
    numbers = values.drop_nulls().unique()
    texts = [str(int(n)) if n.is_integer() else repr(n) for n in numbers.to_list()]
    return values.replace_strict(numbers, texts, return_dtype=polars.String)


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


def _numbers(name: str, column: Column, values: Any) -> list[Array]:
    """Return the features of a column of numbers (n,)."""
    missing = values.is_null().to_numpy()
    _warn_missing(name, column, missing, f"they count as {column.fill:g}, training's median")
    return [values.fill_null(column.fill).to_numpy(), *[missing] * column.indicator]


def _categories(name: str, column: Column, values: Any) -> list[Array]:
    """Return the features of a column of texts (n,)."""
    if values.dtype.is_numeric():
        values = as_enum(as_texts(values))
    place = {category: index for index, category in enumerate(column.categories)}
    distinct = values.dtype.categories.to_list()
    places = [place.get(text.lower() if column.is_boolean else text, -1) for text in distinct]
    codes = values.to_physical().cast(import_polars().Int32).fill_null(-1).to_numpy()
    found = np.asarray([*places, -1], np.int32)[codes]
    missing = codes < 0
    unseen = (found < 0) & ~missing
    if unseen.any():
        texts = np.unique(codes[unseen]).tolist()
        shown = listed([repr(distinct[code]) for code in texts], 5)
        rows = counted(int(unseen.sum()), "row")
        warn(name, f"column {column.name!r} holds {shown}, which training never saw, in "
             f"{rows}: they count as none of its categories")  # fmt: skip
    _warn_missing(name, column, missing, "they count as none of its categories")
    if column.kind == SIGN:
        return [np.where(found < 0, 0.0, 2.0 * found - 1.0)]
    return [found, *[missing] * column.indicator]


def _presence(_name: str, _column: Column, values: Any) -> list[Array]:
    """Return the one feature that says where a value (n,) is missing."""
    return [values.is_null().to_numpy()]


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
