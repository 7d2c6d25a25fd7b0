"""Matrix products over an inner dimension divided among processes, with the whole's bits.

The grids belong to whole rows of the left operand and whole columns of the right one: the largest
magnitudes of all processes are exchanged first.  Then every product of two slices is a sum of
integers on one grid, and so is its sum over the processes: exact in any order.  Products of more
than BLOCK terms are added in two ends, as `add_exact` does; they are rounded once, when both ends
of all processes are there.  The rest is as in `products`.
"""

from collections.abc import Iterator, Sequence
from functools import reduce
from operator import add
from typing import Literal, Protocol

from pluggable_mlp.arrays import Array, Namespace, device_of
from pluggable_mlp.elementary.common import type_name
from pluggable_mlp.namespaces.reproducible.exactness import require_exact_products
from pluggable_mlp.namespaces.reproducible.operand import FixedPoint, Operand, scale_back
from pluggable_mlp.namespaces.reproducible.products import BLOCK, PAIRS, WIDTHS, Factor, rounded
from pluggable_mlp.namespaces.reproducible.splitting import exact_ends


class Exchange(Protocol):
    """Reduces the library's arrays over all processes, several in one exchange."""

    def __call__(self, arrays: Sequence[Array], operation: Literal["sum", "max"]) -> list[Array]:
        """Return the "sum" or the "max", of each array, of all processes."""


def shared_matmul(xp: Namespace, a: Factor, b: Factor, inner: int, exchange: Exchange) -> Array:
    """Return the product of the wholes that a (…, m, k) and b (…, k, n) are parts of.

    Parameters
    ----------
    xp : namespace
        That of the arrays.
    a, b
        As for `matmul`: this process's columns of the left and rows of the right operand, perhaps
        none.
    inner : int
        The inner length of the wholes, at least 2.
    exchange : Exchange

    Returns
    -------
    (…, m, n)
        With the bits of `matmul` of the wholes, on all processes.
    """
    require_exact_products(xp, b.floats if isinstance(b, FixedPoint) else b)
    left, right = _operands(xp, a, b, exchange)
    r = _shared_sum(left, right, inner, exchange)
    if a.dtype == xp.float64:
        r = scale_back(xp, r, left.root * right.root)
    return rounded(xp, r, a.dtype)


def _operands(xp: Namespace, a: Factor, b: Factor, exchange: Exchange) -> tuple[Operand, Operand]:
    """Return the operands with the largest magnitudes of the wholes."""
    sides = (a, -1), (b, -2)
    of_floats = [side for side in sides if not isinstance(side[0], FixedPoint)]
    largest = iter(exchange([_largest(xp, *side) for side in of_floats], "max"))
    widths = WIDTHS[type_name(xp, a), isinstance(a, FixedPoint), isinstance(b, FixedPoint)]
    left, right = (
        Operand(xp, x, axis, its_widths, None if isinstance(x, FixedPoint) else next(largest))
        for (x, axis), its_widths in zip(sides, widths, strict=True)
    )
    return left, right


def _largest(xp: Namespace, x: Array, axis: int) -> Array:
    """Return the largest magnitudes along the axis, float64: 0 if empty, infinity for NaN."""
    if not x.shape[axis]:
        shape = [*x.shape]
        shape[axis] = 1
        return xp.zeros(tuple(shape), dtype=xp.float64, device=device_of(x))
    magnitudes = xp.astype(xp.abs(x), xp.float64)
    magnitudes = xp.where(xp.isnan(magnitudes), float("inf"), magnitudes)
    return xp.max(magnitudes, axis=axis, keepdims=True)


def _shared_sum(left: Operand, right: Operand, inner: int, exchange: Exchange) -> Array:
    """Return the sum of the products of slices over all processes, in float64 (…, m, n)."""
    a, b, xp = left.slices, right.slices, left.xp
    grids = (left.grids(), right.grids()) if inner > BLOCK else None
    parts: list[Array] = []
    for i, j in PAIRS[len(a), len(b)]:
        if grids is None:
            parts.append(xp.matmul(a[i], b[j]))
        else:
            parts += exact_ends(_blocks(xp, a[i], b[j]), grids[0][i] * grids[1][j])
    totals = exchange(parts, "sum")
    if grids is not None:
        totals = [high + low for high, low in zip(totals[::2], totals[1::2], strict=True)]
    return reduce(add, totals)


def _blocks(xp: Namespace, a: Array, b: Array) -> Iterator[Array]:
    """Yield exact products of at most BLOCK terms, or one of zeros if there are none."""
    inner = a.shape[-1]
    for start in range(0, max(inner, 1), BLOCK):
        stop = min(start + BLOCK, inner)
        yield xp.matmul(a[..., start:stop], b[..., start:stop, :])
