"""A table's columns as features: each column's arrays, and an array that makes rows of them.

`columns.py` fits how a column becomes features.

Shapes: n examples, a column is (n,), rows of features are (m, features).
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.columns import Column, Order, as_enum, as_texts, import_polars
from pluggable_mlp.data.errors import warn
from pluggable_mlp.lazy import LazyArray, blocks
from pluggable_mlp.wording import counted, listed

if TYPE_CHECKING:
    from polars import DataFrame, Series

Block = tuple[Column, Array]
"""A column of one block of features, and its values (n,): of categories places, -1 for none."""


def as_array(frame: "DataFrame") -> Array:
    """Return columns of numbers as one array (n, columns), NaN where one is missing."""
    return np.stack([values.to_numpy() for values in frame], axis=1)


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
        filled: Array = values.fill_null(column.fill).to_numpy()
        return filled
    if values.dtype.is_numeric():
        values = as_enum(as_texts(values))
    distinct = values.dtype.categories.to_list()
    place = {category: index for index, category in enumerate(column.categories)}
    places = [place.get(text.lower() if column.is_boolean else text, -1) for text in distinct]
    codes = values.to_physical().cast(import_polars().Int32).fill_null(-1).to_numpy()
    found = np.asarray([*places, -1], np.int32)[codes]
    unseen = (found < 0) & ~missing
    if unseen.any():
        shown = listed([repr(distinct[code]) for code in np.unique(codes[unseen]).tolist()], 5)
        fault = f"column {column.name!r} holds {shown}, which training never saw"
        rows = counted(int(unseen.sum()), "row")
        warn(name, f"{fault}, in {rows}: they count as none of its categories")
    _warn_missing(name, column, missing, "they count as none of its categories")
    return np.where(found < 0, 0.0, 2.0 * found - 1.0) if column.kind == "sign" else found


def _warn_missing(name: str, column: Column, missing: Array, meaning: str) -> None:
    if missing.any() and not column.missing:
        where = f"column {column.name!r} lacks values in {counted(int(missing.sum()), 'row')}"
        warn(name, f"{where}, where training lacked none: {meaning}")


class EncodedArray(LazyArray):
    """Features (n, features), float64, whose one-hot columns are made when rows are taken.

    Parameters
    ----------
    pairs : sequence of (Column, array)
        Blocks of features, in their order.
    prepare : callable, optional
        Changes rows (m, features) in place, each on its own.
    """

    dtype = np.dtype(np.float64)
    ndim = 2

    def __init__(
        self, pairs: Sequence[Block], prepare: Callable[[Array], Array] | None = None
    ) -> None:
        self._pairs, self._prepare = pairs, prepare
        self.shape = (len(pairs[0][1]), sum(len(column.features) for column, _ in pairs))

    def __getitem__(self, rows: slice) -> Array:
        """Return a slice of rows (m, features)."""
        start, stop, _ = rows.indices(len(self))
        made, at = np.zeros((max(stop - start, 0), self.shape[1])), 0
        for column, every in self._pairs:
            values = every[start:stop]
            if column.is_category:
                known = np.flatnonzero(values >= 0)
                made[known, at + values[known]] = 1.0
            else:
                made[:, at] = values
            at += len(column.features)
        return made if self._prepare is None else self._prepare(made)

    def astype(self, dtype: DTypeLike) -> Array:
        """Return all rows (n, features) in a dtype, converted from float64 some at a time."""
        made, start = np.empty(self.shape, dtype), 0
        for rows in blocks(self):
            made[start : start + len(rows)] = rows
            start += len(rows)
        return made

    def map(self, function: Callable[[Array], Array]) -> "EncodedArray":
        """Return an array that applies a function to rows, each by itself, when they are taken."""
        before = self._prepare
        both = function if before is None else lambda rows: function(before(rows))
        return EncodedArray(self._pairs, both)

    def only(self, chosen: Callable[[Column], bool]) -> tuple[Array, Array]:
        """Return the features of chosen columns, and which they are, bool (features,)."""
        pairs = [pair for pair in self._pairs if chosen(pair[0])]
        flags = [chosen(column) for column, _ in self._pairs for _ in column.features]
        none = np.zeros((len(self), 0))
        return EncodedArray(pairs) if pairs else none, np.asarray(flags)

    @cached_property
    def _ordered(self) -> list[Array]:
        """The values of each block in increasing order; for categories, how many rows have each."""
        return [
            np.bincount(values[values >= 0], minlength=len(column.features))
            if column.is_category
            else np.sort(values)
            for column, values in self._pairs
        ]

    def ordered_row(self, place: int) -> Array:
        """Return a row (features,) of the features, each sorted in increasing order."""
        row = [
            values >= len(self) - place if column.is_category else values[place : place + 1]
            for (column, _), values in zip(self._pairs, self._ordered, strict=True)
        ]
        return np.concatenate(row).astype(np.float64)

    @property
    def nbytes(self) -> int:
        """The memory that all rows together would take."""
        return self.shape[0] * self.shape[1] * self.dtype.itemsize
