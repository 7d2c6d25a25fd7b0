"""Columns of numbers and of texts, as a table's rows are held in memory.

Shapes: n rows, a column is (n,).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pluggable_mlp.arrays import Array

__all__ = ["Frame", "Texts"]


@dataclass(frozen=True, eq=False)
class Texts:
    """A column of texts.

    Parameters
    ----------
    distinct : tuple of str
        In order.
    codes : array of int32, shape (n,)
        The place of each row's text among them; -1 where it is missing.
    """

    distinct: tuple[str, ...]
    codes: Array

    @classmethod
    def of(cls, values: Sequence[str | None]) -> "Texts":
        """Return a column of these texts; None is a missing one."""
        distinct = sorted({text for text in values if text is not None})
        place: dict[str | None, int] = {text: code for code, text in enumerate(distinct)}
        return cls(tuple(distinct), np.asarray([place.get(v, -1) for v in values], np.int32))

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: Array) -> "Texts":
        """Return the rows that an array of booleans or indices chooses."""
        return Texts(self.distinct, self.codes[rows])

    def as_array(self) -> Array:
        """Return the texts themselves (n,); none may be missing."""
        return np.asarray(self.distinct)[self.codes]


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

    def column(self, name: str) -> Any:
        """Return a column (n,) by its name."""
        return self.columns[self.names.index(name)]

    def as_numbers(self) -> Array | None:
        """Return the values (n, columns) where all are numbers and none is missing, else None."""
        if any(isinstance(c, Texts) or not np.isfinite(c).all() for c in self.columns):
            return None
        return np.stack(self.columns, axis=1)
