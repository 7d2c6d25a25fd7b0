"""The NumPy backend, on the host, with its updates: small arrays as one, large ones in parts.

A call of NumPy takes half a microsecond however little it does, and each reads and writes arrays
in memory if they do not fit a cache.  An optimizer's rule is therefore applied to all small arrays
as one, and to large ones in parts; neither joining nor cutting changes a bit.
"""

import math
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from itertools import accumulate, chain
from operator import is_
from typing import Any, ClassVar

import numpy as np
from numpy.lib.introspect import opt_func_info

from pluggable_mlp.arrays import Array, DType
from pluggable_mlp.arrays.executor import RunAll
from pluggable_mlp.arrays.shortcuts import offer

from .host import Threads, keep_freed_blocks
from .numpy_recording import TracedNumpyFunction
from .tape import Function
from .transfer import ArrayLibrary

# Keywords, defaults or orders of results differ.
_UNLIKE_THE_STANDARD = {
    "argsort", "sort", "take_along_axis",
    "unique_all", "unique_counts", "unique_inverse", "unique_values",
}  # fmt: skip


def _where_positive(x: Array, a: Array, b: Array | None) -> Array:
    # Products cost the same for every pattern, where np.where slows down up to seven times if the
    # pattern cannot be predicted, as that of relu.  Products with booleans convert them slowly.
    chosen = (~(x <= 0.0)).astype(x.dtype)
    other = None if b is None else (1.0 - chosen) * b
    chosen *= a
    if other is not None:
        chosen += other
    return chosen


def _take_rows(x: Array, indices: Array) -> Array:
    return np.take(x, indices, axis=0)


def _sum_of_squares(x: Array) -> float:
    if not x.flags.forc:  # it would be copied
        return math.inf
    flat = x.ravel("K")
    with np.errstate(all="ignore"):
        return float(flat.dot(flat))


def _standard_function(name: str) -> Function:
    """Return a function as the standard has it."""
    is_unlike = name in _UNLIKE_THE_STANDARD  # importing the other takes as long as importing NumPy
    return getattr(import_module("array_api_compat.numpy") if is_unlike else np, name)


def _has_vector_expm1() -> bool:
    """Return whether NumPy's expm1 of float32 has vector code: on Linux, with AVX-512."""
    code = opt_func_info(func_name="^expm1$").get("expm1", {}).get("ff", {})
    return sys.platform == "linux" and "baseline" not in code.get("current", "baseline")


class NumpyBackend(ArrayLibrary):
    """NumPy arrays, which are host data already, so that `asarray` and `to_numpy` do not copy."""

    name = "numpy"
    xp = np
    _device = "cpu"
    run_all: ClassVar[RunAll] = staticmethod(Threads())
    _traced_function = TracedNumpyFunction

    def __init__(self, device: str | None = None) -> None:
        if device not in (None, "cpu"):
            raise ValueError(f"device is {device!r}: NumPy has one device, 'cpu'")
        keep_freed_blocks()

    def _upload(self, host: Array) -> Array:
        return host

    def _download(self, array: Array) -> Array:
        return np.asarray(array)  # a scalar from NumPy's reductions becomes 0-d

    def synchronize(self) -> None:
        """Return at once: NumPy's operations are complete when they return."""

    def versions(self) -> dict[str, str]:
        """See `Backend.versions`."""
        return {"numpy": np.__version__}

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        """See `Backend.devices`."""
        return ("cpu",)


# Philox 4x32-10 in the unsigned integers of NumPy, in parts that fit a cache, on several threads.
#
# The numbers are those of `network/philox.py`, which has the constants and says what they mean.  An
# unsigned integer of 64 bits holds the product of two words, and the memory of a word is that of
# its two halves: a third of the operations, and results of a quarter of the memory.
#
# Shapes: numbers (…, 8 n) for n counters; words of the key, and what else has axes before, (…, 1).

_COUNTERS, _FEWEST = 2**13, 2**6
"""The most counters at once, of all keys, so that their six arrays fit a second-level cache; and
the fewest of each key, since calls take time, too."""

_LOWER = 0xFFFFFFFF

Words = tuple[int | Array, ...]


def philox_halves(
    blocks: tuple[int, int], address: Words, key: Words, constants: tuple[Words, Words, int]
) -> Array:
    """See `shortcuts.offer`; the numbers are uint16."""
    begin, end = blocks
    own_key = [np.asarray(word, np.uint64) for word in key]
    leading = np.broadcast_shapes(*[word.shape for word in own_key])[:-1]
    words = np.empty((*leading, end - begin, 4), "<u4")  # the lower half of each comes first
    length = max(_COUNTERS // max(1, math.prod(leading)), _FEWEST)

    def draw(start: int) -> None:
        part = words[..., start : start + length, :]
        first = begin + start
        counter = np.arange(first, first + part.shape[-2]), *address
        state = [np.empty(part.shape[:-1], np.uint64) for _ in counter]
        for place, word in enumerate(counter):
            state[place][...] = word
        _encrypt(state, own_key, constants)
        for place, word in enumerate(state):
            part[..., place] = word

    starts = range(0, end - begin, length)
    if len(starts) > 1:
        NumpyBackend.run_all(draw, starts)
    else:
        draw(0)
    return words.view("<u2").reshape(*leading, -1)


def _encrypt(state: list[Array], key: list[Array], constants: tuple[Words, Words, int]) -> None:
    """Write the words at a counter over its four words."""
    multipliers, steps, rounds = constants
    a, b, c, d = state
    of_a, of_c = np.empty_like(a), np.empty_like(a)
    for _ in range(rounds):
        np.multiply(a, multipliers[0], out=of_a)
        np.multiply(c, multipliers[1], out=of_c)
        for words, product, word in (((a, b), of_c, key[0]), ((c, d), of_a, key[1])):
            high, low = words
            np.right_shift(product, 32, out=high)
            high ^= low  # as it was before
            high ^= word
            np.bitwise_and(product, _LOWER, out=low)
        key = [(word + step) & _LOWER for word, step in zip(key, steps, strict=True)]


# `np.sum` ends there, too, after several functions in Python: half of its time for small arrays.
offer(
    np,
    backend_at=NumpyBackend._at,
    clip=np.clip,
    entries=np.take,
    matmul=np.matmul,
    philox_halves=philox_halves,
    standard_function=_standard_function,
    sum=np.add.reduce,
    sum_of_squares=_sum_of_squares,
    take_rows=_take_rows,
    updater=lambda _: Updater(),
    where_positive=_where_positive,
)
if _has_vector_expm1():  # else it takes more than twice as long as the portable formula
    offer(np, expm1=np.expm1)


_SMALL = 2**17
"""Arrays of fewer bytes are joined."""
_PART = 2**18
"""Bytes of a part: Adam's five fit a second-level cache.

An array of up to two parts stays whole, as the calls would take what the cache gains.
"""

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
        write = _in_place(rule, w[0].dtype if w else None)
        for place in self._large:
            arrays = w[place], gradients[place], *[slot[place] for slot in slots]
            _part_by_part(write, *arrays)
        if self._small:
            joined_w, *joined_slots = self._joined
            _part_by_part(write, joined_w, _join(gradients, self._small), *joined_slots)
        return None if is_joined and in_place else [*self._columns]

    def _join_small(self, columns: Columns) -> None:
        """Join the small arrays of each column, and note where they are."""
        like = columns[0]
        small = [place for place, w in enumerate(like) if w.nbytes < _SMALL]
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


def _in_place(rule: Any, dtype: DType | None) -> Update:
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
    if w.nbytes > 2 * _PART and all(array.flags.c_contiguous for array in arrays):
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
