"""Error-free splitting: slices of an array so short that their products and sums are exact.

This file has the grid of a row (or column), the slices on it, and the exact addition of exact
results.  `products` and `sums` decide how many slices to use, and their widths.

Source: Ozaki, Ogita, Oishi, Rump, "Error-free transformations of matrix multiplication",
Numer. Algorithms 59 (2012); the power of two is from Rump, Ogita, Oishi, "Accurate
floating-point summation I", SIAM J. Sci. Comput. 31 (2008), algorithm 3.6.

Why any order of additions gives the same bits
----------------------------------------------
Let a row's magnitudes be at most p = 2^e. Its first slice of width s is the row rounded to the
nearest multiples of the grid g = 2^-s p: integers times g, of magnitude at most 2^s, as 2^s is
itself an integer. What is left is at most g/2, so the next slice, of width t on the grid
2^-t g/2, holds integers of magnitude at most 2^t, and reaches t + 1 bits further.

A product of a slice of width s with one of width t, and a sum of k of them, in any order and
grouping, with or without fused multiply-add, passes through integers (times the product of the
two grids) of magnitude at most k 2^(s+t). While that is at most 2^53, every one of them is a
float64, so nothing is ever rounded. 2^53 itself is a float64: the bound includes the extreme.
"""

from collections.abc import Iterable
from itertools import accumulate
from operator import mul

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.arrays.shortcuts import in_one_kernel

_STEPS = [2.0 ** -(width + 1) for width in range(52)]
"""By the width of a slice, its grid as a part of the grid before, at first of twice the power."""


def power_of_two_at_least(xp: Namespace, x: Array) -> Array:
    """Return the smallest power of two >= x for float64 0 <= x <= 2^900 (any shape).

    It is 0 for 0, and NaN for infinity and NaN; elementwise, for one kernel.
    """
    x = xp.where(x == float("inf"), float("nan"), x)  # no invalid operation, of which NumPy warns
    q = x * 2.0**53
    p = (q + x) - q
    return xp.where(p == 0.0, x, p)


def split(
    xp: Namespace, x: Array, largest: Array, widths: tuple[int, ...], scale: Array | float = 1.0
) -> tuple[Array, ...]:
    """Split `x`, float64 times `scale`, into float64 slices of the given widths.

    Parameters
    ----------
    x : (…, m, n)
        float32 or float64.
    largest : (…, m, 1) or (…, 1, n)
        The largest magnitude of each scaled row or column, float64. Every grid must be a normal
        number; if one is infinite, its slices are NaN.
    widths
        Bits of each slice, at most 51.
    scale : (…, m, 1), (…, 1, n) or float
        Powers of two that multiply float64 first.

    Returns
    -------
    tuple of (…, m, n)
        The coarsest first; each element loses at most half of the last grid.
    """
    return in_one_kernel(xp, _slices, x, largest, scale, *map(_STEPS.__getitem__, widths))


def grids_of(xp: Namespace, largest: Array, widths: tuple[int, ...]) -> list[Array]:
    """Return the powers of two that the slices of `split` are integer multiples of."""
    twice = in_one_kernel(xp, power_of_two_at_least, largest) * 2.0
    return [twice * part for part in accumulate(map(_STEPS.__getitem__, widths), mul)]


def _slices(
    xp: Namespace, x: Array, largest: Array, scale: Array | float, *steps: float
) -> tuple[Array, ...]:
    """Return the slices of an array; the last one uses the memory of the copy."""
    slices: list[Array] = []
    rest = x * scale if x.dtype == xp.float64 else xp.astype(x, xp.float64)
    c = power_of_two_at_least(xp, largest) * (3.0 * 2.0**52)
    for place, step in enumerate(steps):
        c = c * step  # rest + c is in [2^52 g, 2^53 g], where float64 counts by the grid g
        if place < len(steps) - 1:
            part = rest + c
            part -= c
            rest -= part
        else:
            part = rest
            part += c
            part -= c
        slices.append(part)
    return tuple(slices)


def add_exact(parts: Iterable[Array], unit: Array | float) -> Array:
    """Return the sum of at most 2^26 arrays, rounded once: the order changes no bit.

    Parameters
    ----------
    parts
        float64 arrays of one shape: multiples of `unit` of magnitude at most 2^53 units. They
        are changed in place.
    unit
        A power of two, or one for each element; broadcasts to their shape.

    Notes
    -----
    Each part is cut at 2^27 units. The upper ends add up to at most 2^26 2^26 multiples of
    2^27 units, the lower ones (at most 2^26 units each) to at most 2^52 units: both are exact.
    """
    high, low = exact_ends(parts, unit)
    return high + low


def exact_ends(parts: Iterable[Array], unit: Array | float) -> tuple[Array, Array]:
    """Return the upper and the lower ends of `add_exact`, each an exact sum."""
    c = unit * (1.5 * 2.0**79)
    high: Array = 0.0
    low: Array = 0.0
    for part in parts:
        upper = part + c
        upper -= c
        lower = part
        lower -= upper
        upper += high
        lower += low
        high, low = upper, lower
    return high, low
