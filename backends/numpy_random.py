"""Philox 4x32-10 in the unsigned integers of NumPy, in parts that fit a cache, on several threads.

The numbers are those of `network/philox.py`, which has the constants and says what they mean.  An
unsigned integer of 64 bits holds the product of two words, and the memory of a word is that of its
two halves: a third of the operations, and results of a quarter of the memory.

Shapes: numbers (…, 8 n) for n counters; words of the key, and what else has axes before, (…, 1).
"""

import math
from typing import Any

import numpy as np

from pluggable_mlp.arrays import Array

from .numpy_tracing import Tracer
from .threads import run_all

_PART, _SHORTEST = 2**13, 2**6
"""So many counters at once, of all keys together: their six arrays fit a second-level cache.  But
not fewer than the latter of each key, as calls take time, too."""

_LOWER = 0xFFFFFFFF

Words = tuple[Any, ...]


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
    words = np.empty((*leading, end - begin, 4), "<u4")  # of each the lower half comes first
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
