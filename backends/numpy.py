"""The NumPy backend, on the host."""

import math
from importlib import import_module

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.shortcuts import offer

from .memory import keep_freed_blocks
from .numpy_tracing import TracedNumpyFunction, Tracer
from .numpy_update import Updater
from .tape import Function
from .threads import run_all
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
    if b is None:
        chosen *= a
        return chosen
    total = (1.0 - chosen) * b
    chosen *= a
    total += chosen
    return total


def _take(x: Array, indices: Array, *, axis: int | None = None) -> Array:
    for operand in (x, indices):  # NumPy does not dispatch on the indices alone
        if isinstance(operand, Tracer):
            return operand.tape.record(np.ndarray.take, x, indices, axis=axis)
    return np.take(x, indices, axis=axis)


def _standard_function(name: str) -> Function:
    """Return a function as the standard has it."""
    is_unlike = name in _UNLIKE_THE_STANDARD  # importing the other takes as long as importing NumPy
    function: Function = getattr(import_module("array_api_compat.numpy") if is_unlike else np, name)
    return function


class NumpyBackend(ArrayLibrary):
    """NumPy arrays, which are host data already, so that `asarray` and `to_numpy` do not copy."""

    name = "numpy"
    xp = np
    _device = "cpu"
    run_all = staticmethod(run_all)

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

    def compile(
        self,
        function: Function,
        used_up: tuple[int, ...] = (),
        *,
        exact: bool = False,
        most: int = 1,
    ) -> Function | None:
        """See `Abilities.compile`: functions are traced, which changes no bit."""
        return None if most > 1 else TracedNumpyFunction.of(function)

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

_PART, _SHORTEST = 2**13, 2**6
"""So many counters at once, of all keys together: their six arrays fit a second-level cache.  But
not fewer than the latter of each key, as calls take time, too."""

_LOWER = 0xFFFFFFFF

Words = tuple[int | Array, ...]


def philox_halves(
    blocks: tuple[int, int], address: Words, key: Words, constants: tuple[Words, Words, int]
) -> Array:
    """See `shortcuts.offer`; the numbers are uint16."""
    for word in (*address, *key):
        if isinstance(word, Tracer):
            return word.tape.record(philox_halves, blocks, address, key, constants)
    begin, end = blocks
    own_key = [np.asarray(word, np.uint64) for word in key]
    leading = np.broadcast_shapes(*[word.shape for word in own_key])[:-1]
    words = np.empty((*leading, end - begin, 4), "<u4")  # the lower half of each comes first
    length = max(_PART // max(1, math.prod(leading)), _SHORTEST)

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
        run_all(draw, starts)
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
    entries=_take,
    matmul=np.matmul,
    philox_halves=philox_halves,
    put=np.put,
    standard_function=_standard_function,
    sum=np.add.reduce,
    take=_take,
    updater=lambda _: Updater(),
    where_positive=_where_positive,
)
