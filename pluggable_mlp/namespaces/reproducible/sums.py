"""Sums and means along an axis whose bits do not depend on library, kernel or threads.

float32: a fixed binary tree of float64 additions, with n the length of the axis, x its elements:

    |error|  <=  u |sum|  +  2^-53 (ceil(log2 n) + 1) sum |x|,    u = 2^-24

float64: split against the largest magnitude m along the axis into two slices whose sums are exact
in any order (see `splitting`), the small one added first:

    |error|  <=  u' |sum|  +  2^-67 n m,    u' = u (1 + 2^-30),    u = 2^-53

NaN and infinity propagate as in any order of additions; results below the smallest normal number
are +0. Elements are assumed to be 0 or normal numbers.
"""

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.arrays.shortcuts import own, zero_below
from pluggable_mlp.elementary.common import SMALLEST_NORMAL, type_name
from pluggable_mlp.namespaces.reproducible.operand import Operand, scale_back
from pluggable_mlp.namespaces.reproducible.splitting import add_exact, grids_of, split

# Terms of one exact sum of a slice: WIDTH + log2(BLOCK) is 53.
_BLOCK = 2**20
_WIDTH = 33


def sum(xp: Namespace, x: Array, axis: int, keepdims: bool = False, divisor: int = 1) -> Array:
    """Return the sum along one axis, times 1/divisor.

    Parameters
    ----------
    xp : namespace
        The namespace of the array.
    x : (…, n, …)
        A library's array of float32 or float64.
    axis
    keepdims
        Whether the axis stays, with length 1.
    divisor
        At least 0.

    Returns
    -------
    (…, …)
        In the same dtype; the error bound is at the top of this file.
    """
    if 0 in x.shape:
        total = xp.sum(xp.astype(x, xp.float64), axis=axis, keepdims=True)
    elif x.dtype == xp.float64:
        total = _exact_sum(xp, x, axis)
    else:
        at_once = own(xp, "tree_sum")
        total = _halved(xp, x, axis) if at_once is None else at_once(_halved, x, axis)
    smallest = SMALLEST_NORMAL[type_name(xp, x)]
    if divisor == 1:
        total = zero_below(xp, total, smallest)
    else:  # compared before the product, which then cannot be denormal
        total = zero_below(xp, total, smallest * divisor * (1.0 + 2.0**-50))
        total *= 1.0 / divisor if divisor else float("nan")
    total = xp.astype(total, x.dtype, copy=False)
    return total if keepdims else xp.squeeze(total, axis=axis)


def mean(xp: Namespace, x: Array, axis: int, keepdims: bool = False) -> Array:
    """Return the mean along one axis (see `sum`): the sum times 1/n; NaN for n = 0.

    Beyond the error of the sum, the two roundings of float64 add at most 2^-52 |mean|.
    """
    return sum(xp, x, axis, keepdims, x.shape[axis])


def _halved(xp: Namespace, x: Array, axis: int) -> Array:
    """Return the sum of float32 x (…, n, …) along the axis in float64, kept with length 1.

    The second half is added to the first, again and again; elements left over from odd lengths
    are added at the end.
    """
    n, before = x.shape[axis], (slice(None),) * (axis % x.ndim)
    odd: Array | float = 0.0
    while n > 1:
        if n % 2:
            odd = x[*before, n - 1 : n, ...] + odd
        n //= 2
        first = xp.astype(x[*before, :n, ...], xp.float64, copy=False)
        x = first + x[*before, n : 2 * n, ...]
    return xp.astype(x + odd, xp.float64, copy=False)


def _exact_sum(xp: Namespace, x: Array, axis: int) -> Array:
    """Return the sum of float64 x along the axis, kept with length 1; it may be denormal or -0."""
    operand, widths = Operand(xp, x, axis), (_WIDTH, _WIDTH)
    terms = operand.floats()
    # Scaled numbers overflow in no order: infinity or NaN is among the terms.
    unbounded = xp.sum(terms, axis=axis, keepdims=True)
    slices = split(xp, terms, operand.largest, widths)
    n, before = x.shape[axis], (slice(None),) * (axis % x.ndim)
    blocks = [slice(start, min(start + _BLOCK, n)) for start in range(0, n, _BLOCK)]

    def total(part: Array, grid: Array | float) -> Array:
        terms = (xp.sum(part[*before, block, ...], axis=axis, keepdims=True) for block in blocks)
        return add_exact(terms, grid)

    if n <= _BLOCK:
        high, low = (xp.sum(part, axis=axis, keepdims=True) for part in slices)
    else:
        high, low = map(total, slices, grids_of(xp, operand.largest, widths))
    r = scale_back(xp, low + high, operand.root)
    return xp.where(xp.isnan(r), unbounded, r)
