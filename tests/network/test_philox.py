"""Random numbers on the device: published vectors, the address, and that they are uniform."""

import numpy as np
import pytest

from pluggable_mlp.arrays import device_of
from pluggable_mlp.arrays.shortcuts import load_offers
from pluggable_mlp.network.layers import as_words
from pluggable_mlp.network.philox import philox, random_numbers

ONES = 0xFFFFFFFF
KNOWN_ANSWERS = [  # Random123's tests/kat_vectors, the lines "philox4x32 10": counter, key, words
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES,) * 4, (ONES,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


def draw(backend, count, seed=0, stream=0, step=0):
    device = device_of(backend.asarray(0.0))
    words = {"seed": as_words(seed), "step": as_words(step)}
    numbers = random_numbers(backend.xp, count, stream=stream, device=device, **words)
    assert backend.xp.isdtype(numbers.dtype, "integral")
    return backend.to_numpy(numbers)


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN_ANSWERS)
def test_known_answers(backend, counter, key, words):
    """As Python integers, and as arrays on the device, where nothing may overflow."""
    assert philox(np, *counter, *key) == words
    arrays = tuple(backend.asarray(np.asarray([word, 0], dtype=np.int64)) for word in counter)
    drawn = [int(backend.to_numpy(word)[0]) for word in philox(backend.xp, *arrays, *key)]
    assert drawn == list(words)


@pytest.mark.parametrize("step", [0, 2**32 - 1, 2**32 + 5, 2**64 - 1])
@pytest.mark.parametrize("seed", [0, 2**64 - 3])
@pytest.mark.parametrize("count", [1, 8, 21])
def test_numbers_are_at_their_address(backend, count, seed, step):
    """Halves of the words, the lower first, counter (block, stream, step), key seed."""
    halves = []
    for block in range(3):
        counter = (block, 7, step % 2**32, step // 2**32)
        for word in philox(np, *counter, seed % 2**32, seed // 2**32):
            halves += [word % 2**16, word // 2**16]
    assert draw(backend, count, seed, 7, step).tolist() == halves[:count]


def test_many_numbers_are_at_their_address():
    """A library may compute many in parts: of several seeds, from the middle of a block on."""
    load_offers(np)
    first, count, seeds = 8 * 5 + 3, 8 * 2**15, [3, 2**64 - 3]
    words = np.array([[divmod(seed, 2**32)[::-1]] for seed in seeds])
    key = words[..., 0], words[..., 1]
    address = {"stream": 7, "step": (1, 2**8), "device": "cpu", "first": first}
    numbers = random_numbers(np, count, seed=key, **address)
    assert numbers.shape == (2, count)
    for row, seed in zip(numbers, seeds, strict=True):
        assert np.array_equal(random_numbers(np, count, seed=as_words(seed), **address), row)
        for place in (0, 5, 2**16 - 43, 2**16 - 4, 2**17 + 1, count - 1):
            block, half = divmod(first + place, 8)
            word = philox(np, block, 7, 1, 2**8, seed % 2**32, seed // 2**32)[half // 2]
            assert row[place] == word >> 16 * (half % 2) & 0xFFFF
