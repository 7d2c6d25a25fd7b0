"""The features of a table whose categories are codes until rows are taken.

Shapes: n examples, rows of them (m, features).
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.lazy import LazyArray, blocks


class Block(NamedTuple):
    """Features that say one thing of a column: a number, its categories, or where one is missing.

    Parameters
    ----------
    features : list of str
        Their names.
    is_number : bool
        Whether it is a number of the table.
    categories : int, default 0
        How many there are; 0 for a single feature.
    values : array, shape (n,)
        Of float64 or bool; of categories their places, -1 where it is none of them.
    """

    features: list[str]
    is_number: bool = False
    categories: int = 0
    values: Array = None


class Order(NamedTuple):
    """The order of a table's features.

    Parameters
    ----------
    numbers_first : bool, default False
        Whether numbers of the table come before its categories, and what says where values are
        missing.
    embedded : int, optional
        Columns of so many categories or more come last.
    """

    numbers_first: bool = False
    embedded: int | None = None


AS_THEY_COME = Order()


def in_order(blocks: Sequence[Block], order: Order) -> list[Block]:
    """Return blocks of a table's features in the order that a preparation has."""

    def rank(block: Block) -> int:
        last = order.embedded is not None and block.categories >= order.embedded
        return 2 if last else int(order.numbers_first and not block.is_number)

    return sorted(blocks, key=rank)


class EncodedArray(LazyArray):
    """Features (n, features), float64: a 1 in the place of a category is written when it is taken.

    Parameters
    ----------
    blocks : sequence of Block
        In the order of their features.
    prepare : callable, optional
        What is made of rows (m, features) in their place, each by itself.
    """

    dtype = np.dtype(np.float64)
    ndim = 2

    def __init__(
        self, blocks: Sequence[Block], prepare: Callable[[Array], Array] | None = None
    ) -> None:
        self._blocks, self._prepare = blocks, prepare
        self.shape = (len(blocks[0].values), sum(block.categories or 1 for block in blocks))

    def __getitem__(self, rows: Any) -> Array:
        """Return a slice of rows (m, features)."""
        start, stop, _ = rows.indices(len(self))
        made, at = np.zeros((max(stop - start, 0), self.shape[1])), 0
        for _, _, categories, values in self._blocks:
            own = values[start:stop]
            if categories:
                known = np.flatnonzero(own >= 0)
                made[known, at + own[known]] = 1.0
            else:
                made[:, at] = own
            at += categories or 1
        return made if self._prepare is None else self._prepare(made)

    def astype(self, dtype: Any) -> Array:
        """Return all rows (n, features) of a dtype: those of float64 are some at a time."""
        made, start = np.empty(self.shape, dtype), 0
        for rows in blocks(self):
            made[start : start + len(rows)] = rows
            start += len(rows)
        return made

    def map(self, function: Callable[[Array], Array]) -> "EncodedArray":
        """Return what a function makes of rows, each by itself, when they are taken."""
        before = self._prepare
        both = function if before is None else lambda rows: function(before(rows))
        return EncodedArray(self._blocks, both)

    def numbers(self) -> Array:
        """Return the features that are numbers of the table (n, numbers), as they are there."""
        found = [block.values for block in self._blocks if block.is_number]
        return np.stack(found, axis=1) if found else np.zeros((len(self), 0))

    @property
    def is_number(self) -> Array:
        """Which features are numbers of the table, bool (features,)."""
        widths = [block.categories or 1 for block in self._blocks]
        return np.repeat([block.is_number for block in self._blocks], widths)

    def are_of(self, categories: int) -> Array:
        """Return which features are of columns of at least so many categories, bool (features,)."""
        widths = [block.categories or 1 for block in self._blocks]
        return np.repeat([block.categories >= categories for block in self._blocks], widths)

    def ordered(self, features: Array | None = None) -> "OrderedFeatures":
        """Return chosen features, bool (features,), by default all, each in increasing order."""
        chosen = np.ones(self.shape[1], np.bool_) if features is None else features
        return OrderedFeatures(self._blocks, chosen)

    @property
    def nbytes(self) -> int:
        """What all rows together take in memory."""
        return self.shape[0] * self.shape[1] * self.dtype.itemsize


class OrderedFeatures:
    """The values of each feature of a table in increasing order, of categories their counts alone.

    Parameters
    ----------
    blocks : sequence of Block
        In the order of their features.
    chosen : array of bool, shape (features,)
        The features that rows are of.
    """

    def __init__(self, blocks: Sequence[Block], chosen: Array) -> None:
        self.shape = (len(blocks[0].values), int(chosen.sum()))
        self._chosen = chosen
        self._columns = [
            (np.bincount(values[values >= 0], minlength=count) if count else np.sort(values), count)
            for _, _, count, values in blocks
        ]  # of categories how many rows have each

    def __getitem__(self, place: int) -> Array:
        """Return the values (features,) at a place of the order."""
        place %= self.shape[0]
        row = [
            values >= self.shape[0] - place if categories else values[place : place + 1]
            for values, categories in self._columns
        ]
        return np.concatenate(row).astype(np.float64)[self._chosen]

    def min(self) -> float:
        """Return the least of all."""
        return float(self[0].min())

    def max(self) -> float:
        """Return the largest of all."""
        return float(self[-1].max())
