"""An optimizer's rule on NumPy: on all small arrays as one, on large ones part by part.

A call of NumPy takes half a microsecond however little it does, and each reads and writes from
memory what does not fit a cache.  Neither the joining nor the parts change a bit.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from itertools import accumulate
from operator import is_
from typing import Any

import numpy as np

from pluggable_mlp.arrays import Array, DType

__all__ = ["Updater"]

_PART = 2**17
"""Bytes of a part, and more than a small array has: Adam's five fit a second-level cache."""
_LARGE = 2**19
"""Bytes from which on an array is cut: less does not pay."""

Update = Callable[..., None]
Columns = Sequence[Sequence[Array]]


class Updater:
    """Applies rules to the arrays of one training: the `updater` of `shortcuts.offer`.

    The small arrays that it returns are views of one array for the parameters, and of one for each
    slot; when they are given again, they need not be joined again.
    """

    def __init__(self) -> None:
        self._columns: list[list[Array]] = []
        self._joined: list[Array] = []
        self._small: list[int] = []
        self._others: list[int] = []

    def __call__(
        self,
        rule: Any,
        parameters: Sequence[Array],
        gradients: Sequence[Array],
        *slots: Sequence[Array],
    ) -> list[list[Array]]:
        """Return [parameters, *slots] after the rule, in the memory of those given."""
        if not _are_the_same((parameters, *slots), self._columns):
            self._join_small(parameters, *slots)
        for place in self._others:
            arrays = parameters[place], gradients[place], *(slot[place] for slot in slots)
            _part_by_part(_in_place(rule, rule.decay[place]), *arrays)
        if self._small:
            for place in self._small:
                if (decay := rule.decay[place]) is not None:
                    self._columns[0][place] *= decay
            w, *joined_slots = self._joined
            _part_by_part(_in_place(rule, None), w, _join(gradients, self._small), *joined_slots)
        return [*self._columns]

    def _join_small(self, *columns: Sequence[Array]) -> None:
        """Join the small arrays of each column, and keep the columns with views in their place."""
        like = columns[0]
        small = [place for place, w in enumerate(like) if w.nbytes < _PART]
        self._small = small if len(small) > 1 else []
        self._others = [place for place in range(len(like)) if place not in self._small]
        self._columns = [[*column] for column in columns]
        self._joined = [_join(column, self._small) for column in columns if self._small]
        ends = [*accumulate(like[place].size for place in self._small)]
        for joined, column in zip(self._joined, self._columns, strict=False):
            for place, end in zip(self._small, ends, strict=True):
                shape, size = like[place].shape, like[place].size
                column[place] = joined[end - size : end].reshape(shape)


def _in_place(rule: Any, decay: float | None) -> Update:
    """Return the rule as a function that writes its results over w and the slots."""
    adam = partial(_adam, rule.numbers) if rule.kernel == "adam" else None

    def write_over(w: Array, g: Array, *slots: Array) -> None:
        if decay is not None:
            w *= decay
        if adam is not None:
            adam(w, g, *slots)
            return
        for array, result in zip((w, *slots), rule.function(w, g, *slots), strict=True):
            array[...] = result

    return write_over


def _adam(numbers: dict[str, float], w: Array, g: Array, m: Array, v: Array) -> None:
    """Do what Adam's rule does, each operation as it stands there, with one new array."""

    def number(value: float) -> Array:
        return _as_array(value, w.dtype)

    m *= number(numbers["beta1"])
    new = g * number(1.0 - numbers["beta1"])
    m += new
    np.multiply(g, g, out=new)  # not over g, which may be a view of what a loss returned
    new *= number(1.0 - numbers["beta2"])
    v *= number(numbers["beta2"])
    v += new
    np.sqrt(v, out=new)
    new += number(numbers["epsilon"])
    np.reciprocal(new, out=new)
    new *= m
    new *= number(numbers["rate"])
    w -= new


@lru_cache(maxsize=64)
def _as_array(number: float, dtype: DType) -> Array:
    """Return a number as a 0-d array: NumPy makes one of it at each operation, which takes longer.

    It is for reading.
    """
    return np.asarray(number, dtype)


def _part_by_part(update: Update, w: Array, *others: Array) -> None:
    """Update arrays of one shape, in parts that follow each other in memory where they can be."""
    arrays = (w, *others)
    if w.nbytes >= _LARGE and all(array.flags.c_contiguous for array in arrays):
        size = _PART // w.itemsize
        flat = [array.reshape(-1) for array in arrays]
        for start in range(0, w.size, size):
            update(*(array[start : start + size] for array in flat))
    else:
        update(*arrays)


def _join(arrays: Sequence[Array], places: Sequence[int]) -> Array:
    return np.concatenate([arrays[place] for place in places], axis=None)


def _are_the_same(some: Columns, others: Columns) -> bool:
    return len(some) == len(others) and all(
        len(one) == len(other) and all(map(is_, one, other))
        for one, other in zip(some, others, strict=True)
    )
