"""Sums, products and what is made of them, along axes of `Bounded` arrays.

    sum of n        the sum of the errors, + g_{n-1} times the sum of the magnitudes
    cumulative_sum  the same for each of its sums
    mean            the sum, divided by n
    max, min        the largest error: these do not round
    prod of n       the errors, each times the other magnitudes, + g_{n-1} times their product
    var             as the mean of squared deviations, or by Welford's updates; std is its root
    diff            differences of neighbours

with g_n the growth that `Precision` gives to n roundings.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.namespaces.bounded.array import ArrayOrScalar, Bounded, exact

if TYPE_CHECKING:
    from pluggable_mlp.namespaces.bounded.namespace import BoundedNamespace

Axis = int | tuple[int, ...] | None


def _terms(x: Bounded | Array, axis: Axis) -> int:
    """Return how many terms a sum along the axes has."""
    if axis is None:
        return int(np.prod(x.shape))
    return int(np.prod([x.shape[one] for one in ((axis,) if isinstance(axis, int) else axis)]))


def _sum(
    ns: "BoundedNamespace", x: ArrayOrScalar, *, axis: Axis = None, keepdims: bool = False
) -> Bounded:
    """Return the sum along axes, or over all elements."""
    x = exact(x, ns.precision)
    value, error, magnitude = (
        np.asarray(np.sum(part, axis=axis, keepdims=keepdims))
        for part in (x.value, x.error, x.magnitude)
    )
    ns.sums += error.size
    rounding = ns.precision.rounding(magnitude, _terms(x, axis) - 1)
    return Bounded(value, error + rounding, ns.precision)


def _mean(
    ns: "BoundedNamespace", x: ArrayOrScalar, *, axis: Axis = None, keepdims: bool = False
) -> Bounded:
    """Return the mean along axes, or over all elements."""
    return _sum(ns, x, axis=axis, keepdims=keepdims) / float(_terms(x, axis))


def _cumulative_sum(
    ns: "BoundedNamespace",
    x: ArrayOrScalar,
    *,
    axis: int | None = None,
    include_initial: bool = False,
) -> Bounded:
    """Return the sums of the first elements along an axis, which each order of additions makes."""
    x = exact(x, ns.precision)
    axis = 0 if axis is None else axis
    value, error, magnitude = (np.cumsum(part, axis) for part in (x.value, x.error, x.magnitude))
    rounding = np.stack(
        [
            ns.precision.rounding(np.take(magnitude, place, axis), place)
            for place in range(magnitude.shape[axis])
        ],
        axis=axis,
    )
    ns.sums += error.size
    sums = Bounded(value, error + rounding, ns.precision)
    if not include_initial:
        return sums
    before = [(0, 0)] * sums.ndim
    before[axis] = (1, 0)
    return sums.rearranged(partial(np.pad, pad_width=before))


def _extreme(function: Callable[..., Array]) -> Callable[..., Bounded]:
    def extreme(
        ns: "BoundedNamespace", x: ArrayOrScalar, *, axis: Axis = None, keepdims: bool = False
    ) -> Bounded:
        x = exact(x, ns.precision)
        value = np.asarray(function(x.value, axis=axis, keepdims=keepdims))
        error = np.asarray(np.max(x.error, axis=axis, keepdims=keepdims))
        return Bounded(value, error, ns.precision)

    return extreme


def _prod(
    ns: "BoundedNamespace", x: ArrayOrScalar, *, axis: Axis = None, keepdims: bool = False
) -> Bounded:
    """Return the product along axes, or of all elements.

    In some order the factors above 1 come first, and may overflow, or those below 1: each product
    then loses up to the smallest normal number, times the factors above 1, and so may the next that
    takes a denormal number for 0.  A factor of 0 makes 0 of all that.
    """
    x = exact(x, ns.precision)

    def product(factors: Array) -> Array:
        return np.asarray(np.prod(factors, axis=axis, keepdims=keepdims))

    def of_others(factors: Array) -> Array:
        """Return the product of all factors but one, for each."""
        along = _along_last(factors, axis)
        ones = np.ones_like(along[..., :1])
        before = np.cumprod(np.concat([ones, along[..., :-1]], axis=-1), axis=-1)
        behind = np.cumprod(np.concat([ones, along[..., :0:-1]], axis=-1), axis=-1)[..., ::-1]
        return before * behind

    n, size = _terms(x, axis), x.magnitude
    inherited = np.sum(_along_last(x.error, axis) * of_others(size), axis=-1)
    magnitude, largest = product(size), product(np.maximum(size, 1.0))
    smallest = product(np.clip(np.abs(x.value) - 2.0 * x.error, 0.0, 1.0))
    normal = ns.precision.smallest_normal
    may_be_lost = (smallest < normal) & (magnitude > 0.0)
    lost = np.where(may_be_lost, 2.0 * n * normal * largest, 0.0)
    lost = np.where(largest <= ns.precision.largest, lost, np.inf)
    rounding = ns.precision.rounding(magnitude, n - 1)
    error = np.reshape(inherited, magnitude.shape) + lost + rounding
    return Bounded(product(x.value), error, ns.precision)


def _along_last(x: Array, axis: Axis) -> Array:
    """Return `x` with the axes as one, the last."""
    if axis is None:
        return np.reshape(x, (-1,))
    axes = (axis,) if isinstance(axis, int) else axis
    moved = np.moveaxis(x, axes, range(-len(axes), 0))
    return np.reshape(moved, (*moved.shape[: x.ndim - len(axes)], -1))


def _var(
    ns: "BoundedNamespace",
    x: ArrayOrScalar,
    *,
    axis: Axis = None,
    correction: float = 0.0,
    keepdims: bool = False,
) -> Bounded:
    """Return the variance along axes, or of all elements.

    Welford's updates take the deviations d of each element from the mean of those before it.  With
    S the sum of squares about the mean of all, sum d^2 (k - 1) / k = S over the elements k = 1, 2,
    …: so sum d^2 <= 2 S for k > 1, and sum |d| <= sqrt(2 n S).  No mean is larger than max |x|, so
    n updates move it by up to E = g_n max |x|, and with it each d, which is there twice: in all by
    2 E sqrt(2 n S) + n E^2.
    """
    x = exact(x, ns.precision)
    n = _terms(x, axis)
    mean = _mean(ns, x, axis=axis, keepdims=True)
    deviations = x - mean
    squares = _sum(ns, deviations * deviations, axis=axis, keepdims=keepdims)
    shift = ns.precision.growth(n) * np.max(x.magnitude, axis=axis, keepdims=keepdims)
    moved = 2.0 * shift * np.sqrt(2.0 * n * squares.magnitude) + n * shift**2
    return Bounded(squares.value, squares.error + moved, ns.precision) / (n - float(correction))


def _std(ns: "BoundedNamespace", x: ArrayOrScalar, **settings: Any) -> Bounded:
    """Return the root of `var`."""
    return ns.sqrt(_var(ns, x, **settings))


def _diff(
    ns: "BoundedNamespace",
    x: ArrayOrScalar,
    *,
    axis: int = -1,
    n: int = 1,
    prepend: "ArrayOrScalar | None" = None,
    append: "ArrayOrScalar | None" = None,
) -> Bounded:
    """Return the differences of neighbours along an axis, n times."""
    parts = [part for part in (prepend, x, append) if part is not None]
    joined = ns.concat(parts, axis=axis)
    for _ in range(n):
        length = joined.shape[axis]
        first, last = (
            ns.take(joined, np.arange(start, length - 1 + start), axis=axis) for start in (0, 1)
        )
        joined = last - first
    return joined


STATISTICAL: dict[str, Callable[..., Bounded]] = {
    "cumulative_sum": _cumulative_sum,
    "diff": _diff,
    "max": _extreme(np.max),
    "mean": _mean,
    "min": _extreme(np.min),
    "prod": _prod,
    "std": _std,
    "sum": _sum,
    "var": _var,
}
