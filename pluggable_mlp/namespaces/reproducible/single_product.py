"""Float32 products by a single product in float64: Ziv's rounding test decides nearly all results.

A result is T(S): S is the exact sum of products of a row and a column, each rounded to a slice of
29 bits, and T the roundings that follow, a non-decreasing function.  One product of the library
gives r with |r - S| <= e.  Where T(r - e) = T(r + e), that is T(S), too.  The other results are
open: one in 1,300 for normally distributed operands with k = 1024, fewer for smaller k.

In any order of additions, the error of a sum of k products is at most k u / (1 - k u), u = 2^-53,
times the sum of their magnitudes (Higham, "Accuracy and Stability of Numerical Algorithms", 2002,
section 3.1), and that sum, by Cauchy and Schwarz, is at most the product of the norms of row and
column.  e is that bound with k + 8 for k, which covers the roundings of e itself and of r - e and
r + e.

Source: Ziv, "Fast evaluation of elementary mathematical functions with correctly rounded last
bit", ACM TOMS 17 (1991).
"""

from collections.abc import Callable

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.elementary.common import power_of_two
from pluggable_mlp.namespaces.reproducible.operand import Operand
from pluggable_mlp.namespaces.reproducible.splitting import split
from pluggable_mlp.shortcuts import take

SLICE = (29,)
"""The widths of either operand: two slices of 14 bits reach 29 bits, too."""

_FEW_BITS = (14,)
"""A product of such a slice and a `SLICE` is exact in any order: 14 + 29 + log2(1024) is 53."""

_MANY = 2.0**-8
"""From this share of open results on, computing each by itself takes as long as all at once."""

_WORD = 53
"""Bits of an integer that float64 has."""


def single_product(
    left: Operand, right: Operand, finish: Callable[[Array], Array]
) -> tuple[Array, Array] | None:
    """Return T(S) (m, n), and the undecided places (p,) in its flat form.

    The result is None if so many are open that the product of all slices is faster.

    Parameters
    ----------
    left, right : Operand
        Of float32, with slices of `SLICE`: (m, k) and (k, n), k at most 1024.
    finish : callable
        T, which may overwrite its argument.
    """
    xp = left.xp
    (a,), (b,) = left.slices, right.slices
    r = xp.matmul(a, b)
    error = _norms(xp, a, -1) * _norms(xp, b, -2)
    lowest = finish(r - error)
    error += r
    (places,) = xp.nonzero(xp.reshape(lowest < finish(error), (-1,)))
    most = _MANY * r.shape[0] * r.shape[1]
    if places.shape[0] <= most:
        return lowest, places
    del lowest, error
    if _has_few_bits(left) or _has_few_bits(right):
        return finish(r), places[:0]
    # A sum with only 0 as terms, as after relu, is exact, however large the norms.
    places = places[_have_terms(xp, a, b, places)]
    return None if places.shape[0] > most else (finish(r), places)


def _norms(xp: Namespace, x: Array, axis: int) -> Array:
    """Return the norms along an axis of x (m, n), times a bit more than sqrt(k u), k its length."""
    unit = (x.shape[axis] + 8) * 2.0**-53
    return xp.sqrt(xp.sum(x * x, axis=axis, keepdims=True) * unit)


def _has_few_bits(operand: Operand) -> bool:
    """Return whether a slice of few bits holds as much of an operand as `SLICE` does."""
    (few,) = split(operand.xp, operand.x, operand.largest, _FEW_BITS)
    return bool(operand.xp.all(few == operand.slices[0]))


def _have_terms(xp: Namespace, a: Array, b: Array, places: Array) -> Array:
    """Return whether results of a (m, k) times b (k, n), at places (p,), have a nonzero term.

    The nonzero numbers of a row, or column, are a set of bits, `_WORD` to an integer.
    """
    index = xp.arange(a.shape[1], dtype=xp.int64)
    words = xp.arange(-(-a.shape[1] // _WORD), dtype=xp.int64)
    is_of_word = xp.astype(index[:, None] // _WORD == words, xp.float64)
    bits = is_of_word * power_of_two(xp, index % _WORD)[:, None]
    of_rows, of_columns = (
        xp.astype(xp.matmul(xp.astype(x != 0.0, xp.float64), bits), xp.int64)
        for x in (a, xp.matrix_transpose(b))
    )
    n = b.shape[1]
    common = take(xp, of_rows, places // n)
    common &= take(xp, of_columns, places % n)
    return xp.any(common != 0, axis=1)
