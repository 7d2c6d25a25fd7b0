"""Matrix products whose bits do not depend on library, kernel, threads or order.

This file decides which operand is cut into which slices and which pairs of slices are multiplied,
and rounds once at the end. The splitting itself is in `splitting`, the operands in `operand`.

The result
----------
C = A B, with A (…, m, k) and B (…, k, n) of float32 or float64, is computed as a sum of products
of slices that are exact in any order (see `splitting`), the small ones added first, then rounded.
With p_i (q_j) the smallest power of two not below the largest magnitude in row i of A (column j
of B), and u the unit roundoff 2^-24 (2^-53) of the type,

    |error_ij|  <=  u' |C_ij|  +  eps k p_i q_j,    u' = u (1 + 2^-18)

    eps                     float32    float64    products of slices, float32 / float64
    any floats              2^-29      2^-65      2 / 6
    fixed point and any     2^-36      2^-72      1 / 2
    fixed point and same    0          0          1 / 1

The second term is the price of a range within a row or column wider than the slices hold: an
element below 2^-30 (2^-66) of its row's largest is lost altogether. A float64 product longer than
BLOCK is rounded once more (2 u'). With a bias, C is A B + b, whose addition in float64 rounds by
2^-53 |C| more. Results below 2^-102 (2^-969), with a bias below the smallest normal number, are +0.
Elements are taken to be 0 or normal numbers; a row of A (column of B) with NaN or an infinity makes
NaN of that row (column) of C. An outer product (k = 1) is rounded correctly, and has the infinities
of its terms.

Since grids belong to rows of A and columns of B as a whole, and widths depend on the dtype and on
the kind of the operands alone (never on data, k or device):

- permuting the inner dimension, padding it with zeros (from k >= 2 on, in float64), and cutting
  the output into tiles change no bit;
- scaling by a power of two scales the result exactly, short of overflow and underflow;
- rows or columns badly scaled against each other cost nothing.
"""

from collections.abc import Sequence
from itertools import product
from typing import TypeAlias

from pluggable_mlp.arrays import Array, DType, Namespace
from pluggable_mlp.arrays.compiling import call_compiled
from pluggable_mlp.arrays.executor import RunAll
from pluggable_mlp.arrays.shortcuts import zero_below
from pluggable_mlp.elementary.common import SMALLEST_NORMAL, SMALLEST_PRODUCT, type_name
from pluggable_mlp.namespaces.reproducible.exactness import require_exact_products
from pluggable_mlp.namespaces.reproducible.operand import (
    FIXED_POINT_BITS,
    FixedPoint,
    Operand,
    cut,
    scale_back,
)
from pluggable_mlp.namespaces.reproducible.splitting import add_exact, exact_ends
from pluggable_mlp.namespaces.reproducible.tiling import Ends, run_tiles

Factor: TypeAlias = Array | FixedPoint

BLOCK = 1024
"""Inner length of one exact product: width of left + width of right + log2(BLOCK) is 53."""

NARROW = 64
"""Up to this width all slices of the right operand are one matrix, for one product instead of
several. Wider ones would take too much memory."""

_FIXED = (FIXED_POINT_BITS,)
# Widths of left and right by (dtype, is left fixed point, is right fixed point). In float32 one
# slice of 29 bits against two of 14 (29 together) hold the same range on both sides.
WIDTHS: dict[tuple[str, bool, bool], tuple[tuple[int, ...], tuple[int, ...]]] = {
    ("float32", False, False): ((29,), (14, 14)),
    ("float32", True, False): (_FIXED, (35,)),
    ("float32", False, True): ((35,), _FIXED),
    ("float32", True, True): (_FIXED, _FIXED),
    ("float64", False, False): ((21, 21, 21), (22, 22, 22)),
    ("float64", True, False): (_FIXED, (35, 35)),
    ("float64", False, True): ((35, 35), _FIXED),
    ("float64", True, True): (_FIXED, _FIXED),
}

PAIRS = {
    (m, n): [(i, s - i) for s in range(max(m, n) - 1, -1, -1) for i in range(m) if 0 <= s - i < n]
    for m, n in product((1, 2, 3), repeat=2)
}
"""The pairs of slices that are multiplied, of m and n slices: those with small products first."""


def matmul(
    xp: Namespace, run_all: RunAll | None, a: Factor, b: Factor, bias: Array | None = None
) -> Array:
    """Return the matrix product of a (…, m, k) and b (…, k, n), plus a bias (…, n).

    Parameters
    ----------
    xp : namespace
        The namespace of the arrays.
    run_all : callable or None
        Runs the tiles that a large product is cut into; None on a queue, if nothing is cut.
    a : (…, m, k)
        A library's array of float32 or float64, or a `FixedPoint`. Leading axes broadcast.
    b : (…, k, n)
        An array of the same dtype.
    bias : (…, n), optional
        Added before the only rounding.

    Returns
    -------
    (…, m, n)
        Its bits depend only on the values; the error bound is at the top of this file.
    """
    require_exact_products(xp, b.floats if isinstance(b, FixedPoint) else b)
    name = type_name(xp, a)
    if bias is not None:
        bias = _without_tiny_bits(xp, bias, name)
    parts, axis = _parts(xp, run_all, name, a, b, bias)  # the slices are gone when these are joined
    return parts[0] if len(parts) == 1 else xp.concat(parts, axis=axis)


def lost(xp: Namespace, x: Array, axis: int, *, beside_fixed_point: bool = False) -> Array:
    """Return how many numbers of an array x (…, m, n), not 0, are 0 in all of their slices: 0-d.

    Short of those within a factor of 2 of the last grid.  x is the left operand (axis -1: each row
    for itself) or the right one (-2: each column), beside any array or beside a `FixedPoint`.
    """
    left = axis == -1
    fixed = (False, beside_fixed_point) if left else (beside_fixed_point, False)
    widths = WIDTHS[type_name(xp, x), *fixed][0 if left else 1]
    half_of_last_grid = 2.0 ** -(sum(widths) + len(widths))  # as a part of the largest, at least
    return call_compiled(xp, _count_below, x, axis, half_of_last_grid)


def _count_below(xp: Namespace, axis: int, share: float, x: Array) -> Array:
    """Return how many numbers of x, not 0, are less than a share of the largest on the axis."""
    magnitudes = xp.abs(x)
    smallest = xp.max(magnitudes, axis=axis, keepdims=True) * share
    return xp.sum(xp.astype((magnitudes > 0.0) & (magnitudes < smallest), xp.int64))


def _parts(
    xp: Namespace, run_all: RunAll | None, name: str, a: Factor, b: Factor, bias: Array | None
) -> tuple[list[Array], int]:
    """Return the parts of a product, and the axis along which they follow each other.

    The bias is (…, 1, n) in float64, or none.

    One side of the output is cut into tiles, so that their temporaries stay in cache: the side of
    the operand that is not fixed point, so that its tiles are also split at once; else the longer.
    """
    m, k, n = a.shape[-2], a.shape[-1], b.shape[-1]
    fixed = isinstance(a, FixedPoint), isinstance(b, FixedPoint)
    # Of one term, no product is added to another.
    widths = ((), ()) if k == 1 else WIDTHS[name, *fixed]
    if fixed[1] > fixed[0] or (fixed[0] == fixed[1] and m > n):
        axis, length, across = -2, m, n
        right = Operand(xp, b, -2, widths[1])
        if n <= NARROW and run_all is not None and len(right.slices) > 1:
            right.stacked = _stack(xp, right.slices)  # on a queue, copying takes longer

        def part(ends: Ends) -> Array:
            return _tile(Operand(xp, cut(a, -2, *ends), -1, widths[0]), right, bias)
    else:
        axis, length, across = -1, n, m
        left = Operand(xp, a, -1, widths[0])

        def part(ends: Ends) -> Array:
            return _tile(left, Operand(xp, cut(b, -1, *ends), -2, widths[1]), cut(bias, -1, *ends))

    return run_tiles(run_all, part, length, across, k, axis=axis), axis


def _tile(left: Operand, right: Operand, bias: Array | None) -> Array:
    """Return the product of two operands plus bias (…, 1, n) float64 or none, rounded."""
    xp, dtype = left.xp, left.x.dtype
    r = _sum_of_products(left, right)
    if dtype == xp.float64:
        root = left.root * right.root
        if right.stacked is not None:  # in the order of the result, which NumPy keeps then
            of_rows = left.root if left.fixed else xp.matrix_transpose(left.root)
            root = xp.matrix_transpose(xp.matrix_transpose(right.root) * of_rows)
        r = scale_back(xp, r, root)
    del left, right  # the slices of this tile go before the result is converted
    return rounded(xp, r, dtype, bias)


def rounded(xp: Namespace, r: Array, dtype: DType, bias: Array | None = None) -> Array:
    """Return r (…, m, n) in float64, which is changed, plus bias, rounded to the dtype."""
    name = "float64" if dtype == xp.float64 else "float32"
    smallest = (SMALLEST_PRODUCT if bias is None else SMALLEST_NORMAL)[name]
    if bias is not None:
        r += bias
    return xp.astype(zero_below(xp, r, smallest), dtype, copy=False)


def _sum_of_products(left: Operand, right: Operand) -> Array:
    """Return the product of scaled operands in float64 (…, m, n)."""
    xp = left.xp
    if 0 in (*left.x.shape, *right.x.shape):  # nothing, or sums of nothing
        return xp.matmul(left.floats(), right.floats())
    k, n = left.x.shape[-1], right.x.shape[-1]
    if k == 1:
        return left.floats() * right.floats()
    a, b, transpose = left.slices, right.slices, xp.matrix_transpose
    reach = max(len(a), len(b))
    grids = (left.grids(), right.grids()) if k > BLOCK else None
    with_all: dict[int, Array] = {}  # those of the right by a slice of the left, transposed
    r: Array = None
    for i, j in PAIRS[len(a), len(b)]:
        if right.stacked is None:
            unit = None if grids is None else grids[0][i] * grids[1][j]
            term = _exact_product(xp, a[i], b[j], unit)
        else:
            if i not in with_all:
                unit = None
                if grids is not None:
                    unit = _stack(xp, grids[1][: reach - i]) * transpose(grids[0][i])
                rows = right.stacked[..., : (reach - i) * n, :]
                with_all[i] = _exact_product(xp, rows, transpose(a[i]), unit)
            term = transpose(with_all[i][..., j * n : (j + 1) * n, :])
        if r is None:
            r = term
        else:
            r += term
    return r


def _stack(xp: Namespace, matrices: Sequence[Array]) -> Array:
    """Return transposed matrices (…, k, n) one below the other: (…, count n, k).

    With slices as such rows, and products whose columns lie one after the other in memory,
    operations on few columns run along many rows.
    """
    return xp.concat([*map(xp.matrix_transpose, matrices)], axis=-2)


def _exact_product(xp: Namespace, a: Array, b: Array, unit: Array | float | None) -> Array:
    """Return the product of two slices (…, m, k) and (…, k, n), rounded once.

    The unit is the product of their grids; products of at most BLOCK terms need none.
    """
    k = a.shape[-1]
    if unit is None:
        return xp.matmul(a, b)
    if a.shape[-2] * b.shape[-1] <= BLOCK:
        return _small_product(xp, a, b, unit)
    ranges = [(start, min(start + BLOCK, k)) for start in range(0, k, BLOCK)]
    blocks = (xp.matmul(a[..., start:stop], b[..., start:stop, :]) for start, stop in ranges)
    return add_exact(blocks, unit)


def _small_product(xp: Namespace, a: Array, b: Array, unit: Array | float) -> Array:
    """Return `_exact_product` of more than BLOCK terms with few results, such as those of vectors.

    All whole blocks are one product of stacks, whose results take no more memory than `a`.
    """
    (*_, m, k), n = a.shape, b.shape[-1]
    count, remainder = divmod(k, BLOCK)
    whole = k - remainder
    rows = xp.reshape(a[..., :whole], (*a.shape[:-2], m, count, BLOCK))
    columns = xp.reshape(b[..., :whole, :], (*b.shape[:-2], count, BLOCK, n))
    blocks = xp.matmul(xp.moveaxis(rows, -3, -2), columns)
    of_blocks = xp.expand_dims(unit, axis=-3) if getattr(unit, "ndim", 0) > 2 else unit
    high, low = (xp.sum(end, axis=-3) for end in exact_ends([blocks], of_blocks))
    if remainder:
        last = exact_ends([xp.matmul(a[..., whole:], b[..., whole:, :])], unit)
        high, low = high + last[0], low + last[1]
    return high + low


def _without_tiny_bits(xp: Namespace, bias: Array, name: str) -> Array:
    """Return the bias (…, n) as float64 (…, 1, n), on a grid that sums cannot leave downwards.

    If it has bits below twice the smallest normal number, it is rounded to multiples of that;
    adding it to a multiple of the smallest normal number then never gives a denormal number.
    """
    bias = xp.expand_dims(xp.astype(bias, xp.float64), axis=-2)
    c = 1.5 * 2.0**53 * SMALLEST_NORMAL[name]
    on_grid = (bias + c) - c
    return xp.where(xp.abs(bias) < 2.0**52 * SMALLEST_NORMAL[name], on_grid, bias) + 0.0
