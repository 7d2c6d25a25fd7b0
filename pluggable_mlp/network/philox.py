"""Random words on the device: Philox 4x32-10 in the array API's integer operations.

Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011), section 3.3.
A counter-based generator has no state: the words depend only on their address (seed, stream,
step), so every library gives the same bits.  The widest integer type that every library has is
int64, which a product of two 32-bit words would overflow; each product is therefore computed as
two products of 32 by 16 bits.

Random numbers on the host (parameters, shuffles) are in `pluggable_mlp/host/randomness.py`.
"""

from typing import TypeAlias

from pluggable_mlp.arrays import Array, Device, Namespace
from pluggable_mlp.arrays.shortcuts import in_one_kernel, own

# The multipliers and the steps of the key (the golden ratio, sqrt(3) - 1) of the paper.
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_MASK_16, _MASK_32 = 0xFFFF, 0xFFFFFFFF

Word: TypeAlias = Array  # int64, or a Python integer


def random_numbers(
    xp: Namespace,
    count: int,
    *,
    seed: tuple[Word, Word],
    stream: int,
    step: tuple[Word, Word],
    device: Device,
    first: int = 0,
) -> Array:
    """Return `count` numbers of 16 random bits (…, count), addressed by (seed, stream, step).

    They are integers, int64 unless the library has a function of its own.  Numbers 8 i to 8 i + 7
    are the words of Philox at the counter (i, stream, step mod 2^32, step div 2^32) and the key
    (seed mod 2^32, seed div 2^32): the lower half of each word, then the upper one.

    Parameters
    ----------
    xp
        The namespace.
    count : int
        Up to 2^35.
    seed, step : pair of words
        The lower and upper 32 bits, for the seed perhaps arrays (…, 1).
    stream : int
        From 0 to 2^32 - 1: which layer draws.
    device
        Where the numbers will be.
    first : int, default 0
        How many numbers at this address are skipped first.
    """
    begin, left_out = divmod(first, 8)
    blocks = begin, (first + count + 7) // 8
    address, function = (stream, *step), own(xp, "philox_halves")
    if function is None:
        numbers = _halves(xp, xp.arange(*blocks, dtype=xp.int64, device=device), address, seed)
    else:
        numbers = function(blocks, address, seed, (_MULTIPLIERS, _KEY_STEPS, _ROUNDS))
    return numbers[..., left_out : left_out + count]


def _halves(
    xp: Namespace, blocks: Array, address: tuple[Word, Word, Word], key: tuple[Word, Word]
) -> Array:
    """Return the halves of the words at counters that begin with blocks (n,), (…, 8 n)."""
    words = in_one_kernel(xp, philox, blocks, *address, *key)
    halves = [half for word in words for half in (word & _MASK_16, word >> 16)]
    numbers = xp.stack(halves, axis=-1)
    return xp.reshape(numbers, (*numbers.shape[:-2], -1))


def philox(
    xp: Namespace, a: Word, b: Word, c: Word, d: Word, first: Word, second: Word
) -> tuple[Word, Word, Word, Word]:
    """Return the four words at the counter (a, b, c, d) and the key (first, second).

    Parameters
    ----------
    xp
        The namespace of the arrays.
    a, b, c, d
        int64 arrays of one shape, or Python integers, each from 0 to 2^32 - 1.
    first, second
        Integers or arrays of a shape that broadcasts with it, from 0 to 2^32 - 1.

    Returns
    -------
    four words
        Of that shape, int64; integers if all words of the counter are.
    """
    for _ in range(_ROUNDS):
        high_a, low_a = _product(a, _MULTIPLIERS[0])
        high_c, low_c = _product(c, _MULTIPLIERS[1])
        # The key may be traced where the counter is not: not in place.
        a, b, c, d = high_c ^ first ^ b, low_c, high_a ^ second ^ d, low_a
        first = (first + _KEY_STEPS[0]) & _MASK_32
        second = (second + _KEY_STEPS[1]) & _MASK_32
    return a, b, c, d


def _product(x: Word, multiplier: int) -> tuple[Word, Word]:
    """Return the upper and the lower 32 bits of x (any shape) times the multiplier.

    x m = 2^16 (x m_high) + x m_low, both products below 2^48.
    """
    lower = x * (multiplier & _MASK_16)
    upper = x * (multiplier >> 16)
    upper += lower >> 16
    high = upper >> 16
    upper &= _MASK_16
    upper <<= 16
    lower &= _MASK_16
    upper |= lower
    return high, upper
