"""Small tables of constants, made once per library and device, for the functions beside it.

Every entry is exact or correctly rounded by integer arithmetic, so that no library's or system's
`pow` takes part.
"""

from functools import cache
from math import ldexp
from typing import Any

from array_api_compat import device

from pluggable_mlp.arrays import Array


def power_of_two(xp: Any, k: Array) -> Array:
    """Return 2^k (float64) for integers -1022 <= k <= 1023 in `k` (float64), both of any shape."""
    return take(xp, _powers_of_two(xp, device(k)), xp.astype(k, xp.int64) + 1022)


def take(xp: Any, table: Array, indices: Array) -> Array:
    """Return table[indices]: `table` (n,), `indices` and the result of any shape."""
    return xp.reshape(xp.take(table, xp.reshape(indices, (-1,))), indices.shape)


@cache
def _powers_of_two(xp: Any, device: Any) -> Array:
    return xp.asarray([ldexp(1.0, k) for k in range(-1022, 1024)], dtype=xp.float64, device=device)
