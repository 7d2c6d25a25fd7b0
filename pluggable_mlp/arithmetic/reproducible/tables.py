"""Small tables of constants, made once per library and device, for the functions beside it.

Every entry is exact or correctly rounded by integer arithmetic, so that no library's or system's
`pow` takes part.
"""

from functools import cache
from math import isqrt, ldexp
from typing import Any

from array_api_compat import device

from pluggable_mlp.arrays import Array


def power_of_two(xp: Any, k: Array) -> Array:
    """Return 2^k (float64) for -1022 <= k <= 1023 in `k` (int64), both of any shape."""
    return _take(xp, _powers_of_two(xp, device(k)), k + 1022)


def roots_of_two(xp: Any, j: Array) -> tuple[Array, Array]:
    """Return the leading 26 bits of 2^(j/64) and the rest, for 0 <= j < 64.

    `j` (int64) may be of any shape; both results are float64.
    """
    high, low = _roots_of_two(xp, device(j))
    return _take(xp, high, j), _take(xp, low, j)


def _take(xp: Any, table: Array, indices: Array) -> Array:
    """Return table[indices]: `table` (n,), `indices` and the result of any shape."""
    return xp.reshape(xp.take(table, xp.reshape(indices, (-1,))), indices.shape)


@cache
def _powers_of_two(xp: Any, device: Any) -> Array:
    return xp.asarray([ldexp(1.0, k) for k in range(-1022, 1024)], dtype=xp.float64, device=device)


@cache
def _roots_of_two(xp: Any, device: Any) -> tuple[Array, Array]:
    high, low = [], []
    for j in range(64):
        root = 1 << (j + 64 * 128)
        for _ in range(6):
            root = isqrt(root)
        leading = root >> 103
        high.append(leading / 2**25)
        low.append((root - (leading << 103)) / 2**128)
    return (
        xp.asarray(high, dtype=xp.float64, device=device),
        xp.asarray(low, dtype=xp.float64, device=device),
    )
