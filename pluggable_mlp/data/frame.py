"""Columns of numbers and of texts, as a table's rows are held in memory.

Shapes: n rows, a column is (n,).
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pluggable_mlp.arrays import Array


@dataclass(frozen=True, eq=False)
class Texts:
    """A column of texts.

    Parameters
    ----------
    distinct : tuple of str
        In order.
    codes : array of int32, shape (n,)
        The place of each row's text among them; -1 where it is missing.
    were_numbers : bool
        Whether they are numbers that were written as texts, to be categories.
    """

    distinct: tuple[str, ...]
    codes: Array
    were_numbers: bool = False

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: Array) -> "Texts":
        """Return the rows that an array of booleans or indices chooses."""
        return replace(self, codes=self.codes[rows])

    def occurring(self) -> list[str]:
        """Return the texts that occur, in order: of a part of a table maybe fewer than all."""
        counts = np.bincount(self.codes + 1, minlength=len(self.distinct) + 1)[1:]
        return [text for text, count in zip(self.distinct, counts, strict=True) if count]

    def as_array(self) -> Array:
        """Return the texts themselves (n,); none may be missing."""
        return np.asarray(self.distinct)[self.codes]


def is_missing(column: Any) -> Array:
    """Return where a column of numbers or of texts (n,) lacks a value, bool (n,)."""
    lacking: Array = column.codes < 0 if isinstance(column, Texts) else np.isnan(column)
    return lacking


@dataclass(frozen=True, eq=False)
class Frame:
    """Columns of one length.

    Parameters
    ----------
    names : tuple of str
        Where a file has none: "1", "2", …
    columns : tuple of arrays of float64 and of Texts, each of shape (n,)
        NaN where a number is missing.
    """

    names: tuple[str, ...]
    columns: tuple[Any, ...]

    def __len__(self) -> int:
        return len(self.columns[0])

    def __getitem__(self, rows: Array) -> "Frame":
        """Return the rows that an array of booleans or indices chooses."""
        return Frame(self.names, tuple(column[rows] for column in self.columns))

    @property
    def ndim(self) -> int:
        """The number of its axes, 2, as of an array."""
        return 2

    @property
    def shape(self) -> tuple[int, int]:
        """(n, columns), as of an array."""
        return len(self), len(self.columns)

    @property
    def is_plain(self) -> bool:
        """Whether all columns are numbers, and none is missing."""
        return not any(isinstance(of, Texts) or np.isnan(of).any() for of in self.columns)

    def as_array(self) -> Array:
        """Return columns of numbers as one array (n, columns)."""
        return np.stack(self.columns, axis=1)

    def column(self, name: str) -> Any:
        """Return a column (n,) by its name."""
        return self.columns[self.names.index(name)]
