"""An optimizer's rule on NumPy, applied to all small arrays as one and to large ones in parts.

A call of NumPy takes half a microsecond however little it does, and each reads and writes arrays
in memory if they do not fit a cache.  Neither joining nor cutting changes a bit.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate, chain
from operator import is_
from typing import Any

import numpy as np

from pluggable_mlp.arrays import Array, DType

_PART = 2**17
"""Bytes of a part, and more than a small array has: Adam's five fit a second-level cache."""
_LARGE = 2**19
"""Bytes from which on an array is cut: less does not pay."""

Update = Callable[..., None]
Columns = Sequence[Sequence[Array]]


class Updater:
    """Applies rules to the arrays of one training: the `updater` of `shortcuts.offer`.

    The small arrays that it returns are views of one array for the parameters, and of one for each
    slot; when they are passed again, they need not be joined again.  Groups of parameters, which
    are passed one after the other in each step, are distinguished by their shapes.
    """

    def __init__(self) -> None:
        self._groups: defaultdict[tuple[tuple[int, ...], ...], _Group] = defaultdict(_Group)

    def __call__(
        self,
        rule: Any,
        parameters: Sequence[Array],
        gradients: Sequence[Array],
        *slots: Sequence[Array],
        in_place: bool,
    ) -> list[list[Array]] | None:
        """Return [parameters, *slots] after the rule; None if the old ones have its results."""
        group = self._groups[tuple([w.shape for w in parameters])]
        return group.update(rule, (parameters, *slots), gradients, in_place=in_place)


class _Group:
    """The arrays of a group of parameters, and the joined ones."""

    def __init__(self) -> None:
        self._columns: list[list[Array]] = []
        self._joined: list[Array] = []
        self._small: list[int] = []
        self._large: list[int] = []
        self._spans: list[tuple[int, slice, tuple[int, ...]]] = []

    def update(
        self, rule: Any, columns: Columns, gradients: Sequence[Array], *, in_place: bool
    ) -> list[list[Array]] | None:
        """Return the updater's result for columns = (parameters, *slots)."""
        is_joined = _are_the_same(columns, self._columns)
        if not is_joined:
            self._join_small(columns)
            self._renew(columns, in_place)
        elif not in_place:
            self._joined = [joined.copy() for joined in self._joined]
            self._renew(columns, in_place)
        w, *slots = self._columns
        for place, decay in enumerate(rule.decay):
            if decay is not None:
                w[place] *= decay
        for place in self._large:
            arrays = w[place], gradients[place], *[slot[place] for slot in slots]
            _part_by_part(_in_place(rule, w[place].dtype), *arrays)
        if self._small:
            joined_w, *joined_slots = self._joined
            gradient = _join(gradients, self._small)
            _part_by_part(_in_place(rule, joined_w.dtype), joined_w, gradient, *joined_slots)
        return None if is_joined and in_place else [*self._columns]

    def _join_small(self, columns: Columns) -> None:
        """Join the small arrays of each column, and note where they are."""
        like = columns[0]
        small = [place for place, w in enumerate(like) if w.nbytes < _PART]
        self._small = small if len(small) > 1 else []
        self._large = [place for place in range(len(like)) if place not in self._small]
        self._joined = [_join(column, self._small) for column in columns if self._small]
        ends = [*accumulate(like[place].size for place in self._small)]
        self._spans = [
            (place, slice(end - like[place].size, end), like[place].shape)
            for place, end in zip(self._small, ends, strict=True)
        ]

    def _renew(self, columns: Columns, in_place: bool) -> None:
        """Set the columns: views of the joined arrays, and the large arrays or their copies."""
        self._columns = [[*column] for column in columns]
        for joined, column in zip(self._joined, self._columns, strict=False):
            for place, span, shape in self._spans:
                column[place] = joined[span].reshape(shape)
        if not in_place:
            for column in self._columns:
                for place in self._large:
                    column[place] = column[place].copy(order="K")


def _in_place(rule: Any, dtype: DType) -> Update:
    """Return the rule as a function that writes its results over w and the slots."""
    if rule.kernel != "adam":
        return partial(_write_over, rule.function)
    c = rule.numbers
    beta1, beta2 = c["beta1"], c["beta2"]
    # NumPy would turn a number into an array at each operation, which takes longer.
    numbers = c["rate"], c["epsilon"], beta1, 1.0 - beta1, beta2, 1.0 - beta2, 1.0
    return partial(_adam, [np.asarray(number, dtype) for number in numbers])


def _write_over(function: Callable[..., Sequence[Array]], *arrays: Array) -> None:
    """Write the results of a function of w, g and slots over w and the slots."""
    w, _, *slots = arrays
    for array, result in zip((w, *slots), function(*arrays), strict=True):
        array[...] = result


def _adam(numbers: Sequence[Array], w: Array, g: Array, m: Array, v: Array) -> None:
    """Apply Adam's rule with exactly the same operations, and one new array."""
    rate, epsilon, beta1, rest1, beta2, rest2, one = numbers
    m *= beta1
    new = g * rest1
    m += new
    np.multiply(g, g, out=new)  # not over g, which may be a view of a loss's result
    new *= rest2
    v *= beta2
    v += new
    np.sqrt(v, out=new)
    new += epsilon
    np.divide(one, new, out=new)  # which takes half the time of np.reciprocal
    new *= m
    new *= rate
    w -= new


def _part_by_part(update: Update, *arrays: Array) -> None:
    """Update arrays of one shape, in parts that are contiguous in memory if possible."""
    w = arrays[0]
    if w.nbytes >= _LARGE and all(array.flags.c_contiguous for array in arrays):
        size = _PART // w.itemsize
        flat = [array.reshape(-1) for array in arrays]
        for start in range(0, w.size, size):
            update(*(array[start : start + size] for array in flat))
    else:
        update(*arrays)


def _join(arrays: Sequence[Array], places: Sequence[int]) -> Array:
    return np.concatenate([arrays[place] for place in places], axis=None)


def _are_the_same(a: Columns, b: Columns) -> bool:
    if [*map(len, a)] != [*map(len, b)]:
        return False
    return all(map(is_, chain.from_iterable(a), chain.from_iterable(b)))
