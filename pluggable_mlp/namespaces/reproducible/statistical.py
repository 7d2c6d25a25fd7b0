"""Reductions of the reproducible namespace: sums in a fixed order, and functions of sums.

Every function takes the namespace first.  `pluggable_mlp.namespaces.reproducible.sums` has the
bounds of `sum` and `mean`.  Reductions of integers and booleans are the library's.
"""

import math
from collections.abc import Callable

from pluggable_mlp.arrays import Array, DType, Namespace, device_of
from pluggable_mlp.elementary.common import SMALLEST_PRODUCT, flush, flush_to, type_name
from pluggable_mlp.elementary.powers import sqrt
from pluggable_mlp.namespaces.reproducible import coercion, sums
from pluggable_mlp.namespaces.reproducible.array import (
    ANY,
    LATTICE,
    PRODUCTS,
    Reproducible,
    ReproducibleArray,
)
from pluggable_mlp.namespaces.reproducible.elementwise import multiply
from pluggable_mlp.namespaces.reproducible.scaled import Scaled, scaled_back, unit_near
from pluggable_mlp.namespaces.reproducible.tiling import in_blocks
from pluggable_mlp.namespaces.wrapped_array import WrappedArray

Wrapped = ReproducibleArray
Axis = int | tuple[int, ...] | None


def axes_of(x: WrappedArray, axis: Axis) -> tuple[int, ...]:
    """Return the axes to reduce, from 0 and in order.

    Raises
    ------
    IndexError
        If an axis is out of bounds.
    ValueError
        If one is named twice.
    """
    if isinstance(axis, int) and -x.ndim <= axis < x.ndim:
        return (axis % x.ndim,)
    axes = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    for one in axes:
        if not -x.ndim <= one < max(x.ndim, 1):
            raise IndexError(f"axis is {one}, expected one of the {x.ndim} axes of {x.shape}")
    if not x.ndim:
        return ()
    places = [one % x.ndim for one in axes]
    if len({*places}) < len(places):
        raise ValueError(f"axis is {axis}, which names one of the {x.ndim} axes twice")
    return tuple(sorted(places))


def _of_library(
    ns: Reproducible, name: str, x: Wrapped, dtype: DType, **settings: object
) -> Wrapped:
    """Return the library's reduction of integers or booleans, which wraps around.

    Without a dtype the result is int64, or uint64 for unsigned ones, which PyTorch cannot sum.
    """
    if dtype is None:
        dtype = ns.uint64 if ns.isdtype(x.dtype, "unsigned integer") else ns.int64
    total = ns.of_library(name)(ns.astype(x, ns.int64, copy=False), **settings)
    return ns.astype(total, dtype, copy=False)


def _along_last(
    xp: Namespace,
    array: Array,
    axes: tuple[int, ...],
    keepdims: bool,
    function: Callable[[Array], Array],
) -> Array:
    """Return function(array) over several axes, merged into one last axis."""
    shape = tuple(array.shape)
    kept_axes = [axis for axis in range(array.ndim) if axis not in axes]
    count = math.prod(shape[axis] for axis in axes)
    moved = xp.permute_dims(array, (*kept_axes, *axes))
    result = function(xp.reshape(moved, (*(shape[axis] for axis in kept_axes), count)))
    if keepdims:
        ones = tuple(1 if axis in axes else length for axis, length in enumerate(shape))
        return xp.reshape(result, ones)
    return result


def _along_axes(
    name: str, function: Callable[..., Array], underflow: int
) -> Callable[..., Wrapped]:
    """Return the function of a name over any axes, from a library function over one axis.

    `underflow` is the class of results for arrays of that class or a higher one.
    """

    def reduce(
        ns: Reproducible,
        x: Wrapped,
        /,
        *,
        axis: Axis = None,
        dtype: DType = None,
        keepdims: bool = False,
    ) -> Wrapped:
        if dtype is not None:
            x = ns.astype(x, dtype)
        axes = axes_of(x, axis)
        if not x.kind:
            return _of_library(ns, name, x, dtype, axis=axis, keepdims=keepdims)
        xp = ns.library
        if len(axes) == 1:
            total = function(xp, x.native, axis=axes[0] - x.ndim, keepdims=keepdims)
        else:
            total = _along_last(
                xp, x.native, axes, keepdims, lambda array: function(xp, array, axis=-1)
            )
        return Wrapped(total, ns, min(x.underflow, underflow))

    return reduce


_mean = _along_axes("mean", sums.mean, ANY)


def mean(ns: Reproducible, x: Wrapped, /, *, axis: Axis = None, keepdims: bool = False) -> Wrapped:
    """Return the sum over any axes times 1/n; NaN for n = 0."""
    coercion.check_floating("mean", x)
    return _mean(ns, x, axis=axis, keepdims=keepdims)


def _spread(name: str, doc: str) -> Callable[..., Wrapped]:
    """Return the variance or the standard deviation: two passes, each a `sum`.

    Numbers and deviations are scaled by powers of two, so that no square vanishes or overflows.
    """

    def reduce(
        ns: Reproducible,
        x: Wrapped,
        /,
        *,
        axis: Axis = None,
        correction: float = 0.0,
        keepdims: bool = False,
    ) -> Wrapped:
        coercion.check_floating(name, x)
        xp, axes = ns.library, axes_of(x, axis)
        count = math.prod(x.shape[one] for one in axes) - correction
        if 0 in x.shape or count <= 0.0:
            return ns.sum(x, axis=axis, keepdims=keepdims) * math.nan
        scale = unit_near(xp, xp.max(xp.abs(x.native), axis=axes, keepdims=True))
        scaled = multiply(ns, x, Wrapped(1.0 / scale, ns))
        deviations = scaled - ns.mean(scaled, axis=axes, keepdims=True)
        unit = unit_near(xp, xp.max(xp.abs(deviations.native), axis=axes, keepdims=True))
        deviations = multiply(ns, deviations, Wrapped(1.0 / unit, ns))
        total = ns.sum(deviations * deviations, axis=axes, keepdims=True)
        spread = ns.divide(total, float(count)).native
        if name == "std":
            spread = in_blocks(xp, ns.queued, sqrt, spread) * unit
        else:
            spread = spread * unit * unit * scale
        spread = scaled_back(xp, spread, scale)
        return Wrapped(spread if keepdims else xp.squeeze(spread, axis=axes), ns)

    reduce.__doc__ = doc
    return reduce


def _tree_product(xp: Namespace, x: Scaled) -> Scaled:
    """Return the product along the last axis by a fixed tree: second half times the first."""
    odd = None
    n = x.m.shape[-1]
    while n > 1:
        if n % 2:
            last = _between(x, n - 1, n)
            odd = last if odd is None else last.times(xp, odd)
        n //= 2
        x = _between(x, 0, n).times(xp, _between(x, n, 2 * n))
    return x if odd is None else x.times(xp, odd)


def _between(x: Scaled, start: int, stop: int | None) -> Scaled:
    return Scaled(x.m[..., start:stop], x.k[..., start:stop])


def _prod(xp: Namespace, x: Array, axis: int, keepdims: bool = False) -> Array:
    """Return the product by a fixed tree, every product rounded: within n u; 0 as for a product.

    Intermediate products neither vanish nor overflow.
    """
    rows = xp.moveaxis(x, axis, -1)
    if rows.shape[-1]:
        smallest = SMALLEST_PRODUCT[type_name(xp, x)]
        product = _tree_product(xp, Scaled.of(xp, rows)).value(xp, smallest)
    else:
        product = xp.ones((*rows.shape[:-1], 1), dtype=x.dtype, device=device_of(x))
    return xp.moveaxis(product, -1, axis) if keepdims else product[..., 0]


def _extreme(name: str) -> Callable[..., Wrapped]:
    """Return `max` or `min`, NaN if any is NaN; JAX's own loses some in large arrays."""

    def reduce(
        ns: Reproducible, x: Wrapped, /, *, axis: Axis = None, keepdims: bool = False
    ) -> Wrapped:
        coercion.check_numeric(name, x)
        xp, a = ns.library, x.native
        axes_of(x, axis)
        y = getattr(xp, name)(a, axis=axis, keepdims=keepdims)
        if x.kind:
            y = xp.where(xp.any(xp.isnan(a), axis=axis, keepdims=keepdims), math.nan, y)
        return Wrapped(y, ns, x.underflow)

    return reduce


Rows = tuple[Array, ...]


def _running(xp: Namespace, rows: Rows, combine: Callable[[Rows, Rows], Rows]) -> Rows:
    """Return the running total along the last axis: after pass p, of the last 2^p elements.

    Hillis and Steele (1986): ceil(log2 n) passes, so that no order is left open.  Several arrays
    may be combined at once.
    """
    shift, length = 1, rows[0].shape[-1]
    while shift < length:
        later = combine(tuple(a[..., shift:] for a in rows), tuple(a[..., :-shift] for a in rows))
        parts = zip(rows, later, strict=True)
        rows = tuple(xp.concat([a[..., :shift], total], axis=-1) for a, total in parts)
        shift *= 2
    return rows


def _running_sums(xp: Namespace, x: Array) -> Array:
    """Return the running sums of float64 x (…, n), in float64."""
    [total] = _running(xp, (x,), lambda a, b: (flush(xp, a[0] + b[0]),))
    return total


def _running_products(xp: Namespace, x: Array) -> Array:
    """Return the running products of float64 x (…, n), in float64."""
    products = _running(xp, Scaled.of(xp, x), lambda a, b: Scaled(*a).times(xp, Scaled(*b)))
    return Scaled(*products).value(xp, SMALLEST_PRODUCT["float64"])


def _cumulative(
    name: str, neutral: float, running: Callable[[Namespace, Array], Array]
) -> Callable[..., Wrapped]:
    def accumulate(
        ns: Reproducible,
        x: Wrapped,
        /,
        *,
        axis: int | None = None,
        dtype: DType = None,
        include_initial: bool = False,
    ) -> Wrapped:
        if axis is None and x.ndim != 1:
            raise ValueError(f"axis is None, expected one of the {x.ndim} axes of {x.shape}")
        (place,) = axes_of(x, axis)
        if dtype is not None:
            x = ns.astype(x, dtype)
        if not x.kind:
            return _of_library(ns, name, x, dtype, axis=place, include_initial=include_initial)
        xp = ns.library
        a = running(xp, xp.moveaxis(xp.astype(x.native, xp.float64, copy=False), place, -1))
        if include_initial:
            first = xp.full((*a.shape[:-1], 1), neutral, dtype=a.dtype, device=device_of(a))
            a = xp.concat([first, a], axis=-1)
        return Wrapped(flush_to(xp, xp.moveaxis(a, -1, place), x.dtype), ns)

    return accumulate


def diff(
    ns: Reproducible,
    x: Wrapped,
    /,
    *,
    axis: int = -1,
    n: int = 1,
    prepend: Wrapped | None = None,
    append: Wrapped | None = None,
) -> Wrapped:
    """Return the n-th differences along an axis, each rounded once."""
    parts = [part for part in (prepend, x, append) if part is not None]
    if len(parts) > 1:
        x = ns.concat(parts, axis=axis)
    (place,) = axes_of(x, axis)
    for _ in range(n):
        before = (slice(None),) * place
        x = x[(*before, slice(1, None), ...)] - x[(*before, slice(None, -1), ...)]
    return x


FUNCTIONS: dict[str, Callable[..., Wrapped]] = {
    "sum": _along_axes("sum", sums.sum, LATTICE),
    "mean": mean,
    "prod": _along_axes("prod", _prod, PRODUCTS),
    "var": _spread("var", "Return the sum of (x - mean)² over n - correction."),
    "std": _spread("std", "Return the root of the variance, which may vanish or overflow."),
    "max": _extreme("max"),
    "min": _extreme("min"),
    "cumulative_sum": _cumulative("cumulative_sum", 0.0, _running_sums),
    "cumulative_prod": _cumulative("cumulative_prod", 1.0, _running_products),
    "diff": diff,
}
