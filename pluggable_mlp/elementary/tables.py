"""Small tables of constants, created once per library and device.

Every entry is exact or correctly rounded by integer arithmetic, independent of any library's or
system's `pow`.
"""

from math import isqrt, ldexp

from pluggable_mlp.arrays import Array, Namespace, device_of
from pluggable_mlp.shortcuts import entries

_made: dict[tuple[Namespace, str, str], Array] = {}


def power_of_two(xp: Namespace, k: Array) -> Array:
    """Return 2^k (float64) for -1022 <= k <= 1023 in `k` (int64), both of any shape."""
    return entries(xp, _table(xp, "powers", k), k + 1022)


def roots_of_two(xp: Namespace, j: Array) -> tuple[Array, Array]:
    """Return the leading 26 bits of 2^(j/64) and the rest, for 0 <= j < 64.

    `j` (int64) may be of any shape; both results are float64.
    """
    leading, rest = (_table(xp, f"roots, {part}", j) for part in ("leading bits", "rest"))
    return entries(xp, leading, j), entries(xp, rest, j)


def _table(xp: Namespace, name: str, indices: Array) -> Array:
    """Return the table of a name, on the device of the indices."""
    place = device_of(indices)
    if place is None:  # within a function that JAX compiles, whose arrays must not outlive it
        return xp.asarray(_ENTRIES[name], dtype=xp.float64)
    # The name of the device, since CuPy's devices cannot be hashed.
    key = (xp, str(place), name)
    if key not in _made:
        _made[key] = xp.asarray(_ENTRIES[name], dtype=xp.float64, device=place)
    return _made[key]


def _entries() -> dict[str, list[float]]:
    """Return the entries of every table."""
    roots = {0: 1 << 256, 64: 2 << 256}  # 2^(j/64) in units of 2^-256, each between its neighbours
    for step in (32, 16, 8, 4, 2, 1):
        for j in range(step, 64, 2 * step):
            roots[j] = isqrt(roots[j - step] * roots[j + step])
    high, low = [], []
    for j in range(64):
        root = roots[j] >> 128
        leading = root >> 103
        high.append(leading / 2**25)
        low.append((root - (leading << 103)) / 2**128)
    powers = [ldexp(1.0, k) for k in range(-1022, 1024)]
    return {"powers": powers, "roots, leading bits": high, "roots, rest": low}


_ENTRIES = _entries()
