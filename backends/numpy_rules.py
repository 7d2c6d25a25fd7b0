"""An optimizer's rule on NumPy: on all small arrays as one, on large ones part by part.

A call of NumPy takes half a microsecond however little it does, and each reads and writes from
memory what does not fit a cache.  Neither the joining nor the parts change a bit.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate
from typing import Any

import numpy as np

__all__ = ["RuleInParts"]

_PART = 2**17
"""Bytes of a part, and more than a small array has: Adam's five fit a second-level cache."""
_LARGE = 2**19
"""Bytes from which on an array is cut: less does not pay."""

Update = Callable[..., None]
Columns = Sequence[Sequence[Any]]


class RuleInParts:
    """See `RuleApplier.rule_applier`: of one training, as it remembers what it has joined.

    The small arrays that it returns are views of one array for the parameters, and of one for each
    slot; when they are given again, they need not be joined again.
    """

    def __init__(self) -> None:
        self._joined: list[Any] = []
        self._views: list[list[Any]] = []

    def __call__(self, rule: Any, *columns: Sequence[Any]) -> list[list[Any]]:
        """Return [parameters, *slots] after the rule, in the memory of those given."""
        update = _in_place(rule)
        small = [place for place, w in enumerate(columns[0]) if w.nbytes < _PART]
        if len(small) < 2:
            small = []
        for place in range(len(columns[0])):
            if place not in small:
                _part_by_part(update, *(column[place] for column in columns))
        updated = [list(column) for column in (columns[0], *columns[2:])]
        if small:
            self._update_small(update, [[of[place] for place in small] for of in columns])
            for column, views in zip(updated, self._views, strict=True):
                for place, view in zip(small, views, strict=True):
                    column[place] = view
        return updated

    def _update_small(self, update: Update, columns: Columns) -> None:
        """Apply the rule to arrays as if they were one, and keep the views of the results."""
        owned = [columns[0], *columns[2:]]
        if not _are_the_same(owned, self._views):
            self._joined = [_join(column) for column in owned]
            self._views = [_views(joined, columns[0]) for joined in self._joined]
        w, *slots = self._joined
        _part_by_part(update, w, _join(columns[1]), *slots)


def _in_place(rule: Any) -> Update:
    """Return the rule as a function that writes its results over w and the slots."""
    if rule.kernel == "adam":
        return partial(_adam, rule.numbers)

    def write_over(w: Any, g: Any, *slots: Any) -> None:
        for array, result in zip((w, *slots), rule.function(w, g, *slots), strict=True):
            array[...] = result

    return write_over


def _adam(numbers: dict[str, float], w: Any, g: Any, m: Any, v: Any) -> None:
    """Do what Adam's rule does, each operation as it stands there, with one new array."""
    m *= numbers["beta1"]
    new = g * (1.0 - numbers["beta1"])
    m += new
    np.multiply(g, g, out=g)
    g *= 1.0 - numbers["beta2"]
    v *= numbers["beta2"]
    v += g
    np.sqrt(v, out=new)
    new += numbers["epsilon"]
    np.divide(1.0, new, out=new)
    new *= m
    new *= -numbers["rate"]
    w += new


def _part_by_part(update: Update, w: Any, *others: Any) -> None:
    """Update arrays of one shape, in parts that follow each other in memory where they can be."""
    arrays = (w, *others)
    if w.nbytes >= _LARGE and all(array.flags.c_contiguous for array in arrays):
        size = _PART // w.itemsize
        flat = [array.reshape(-1) for array in arrays]
        for start in range(0, w.size, size):
            update(*(array[start : start + size] for array in flat))
    else:
        update(*arrays)


def _join(arrays: Sequence[Any]) -> Any:
    return np.concatenate([array.reshape(-1) for array in arrays])


def _views(joined: Any, like: Sequence[Any]) -> list[Any]:
    """Return the parts of a joined array, in the shapes of those that it was made of."""
    ends = accumulate(array.size for array in like)
    return [
        joined[end - array.size : end].reshape(array.shape)
        for end, array in zip(ends, like, strict=True)
    ]


def _are_the_same(some: Columns, others: Columns) -> bool:
    return len(some) == len(others) and all(
        one is other
        for column, other_column in zip(some, others, strict=True)
        for one, other in zip(column, other_column, strict=True)
    )
