"""Reductions of the reproducible namespace: sums in a fixed order, and what is made of them.

Every function takes the namespace first.  The bounds of `sum` and `mean` stand in
`pluggable_mlp.namespaces.reproducible.sums`.  Reductions of integers and booleans are the
library's.
"""

import math
from collections.abc import Callable
from typing import Any

from pluggable_mlp.arrays import Array, DType
from pluggable_mlp.namespaces.reproducible.array import ANY, LATTICE, PRODUCTS, ReproducibleArray
from pluggable_mlp.namespaces.reproducible.operands import check_floating, is_floating
from pluggable_mlp.namespaces.reproducible.rounding import flush, flush_product

__all__ = ["FUNCTIONS"]

Wrapped = ReproducibleArray
Axis = int | tuple[int, ...] | None


def _axes(x: Any, axis: Axis) -> tuple[int, ...]:
    """Return the axes to reduce, from 0 and in order.

    Raises
    ------
    IndexError
        If there is no such axis.
    """
    given = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    for one in given:
        if not -x.ndim <= one < max(x.ndim, 1):
            raise IndexError(f"axis is {one}, expected one of the {x.ndim} axes of {x.shape}")
    return tuple(sorted({one % x.ndim for one in given})) if x.ndim else ()


def _of_library(ns: Any, name: str, x: Wrapped, dtype: DType, **settings: Any) -> Wrapped:
    """Return the library's reduction of integers or booleans, in its own dtype if none is asked."""
    if dtype is not None:
        settings["dtype"] = dtype
    return ns.of_library(name)(x, **settings)


def _along_last(
    xp: Any, array: Array, axes: tuple[int, ...], keepdims: bool, function: Callable[[Array], Array]
) -> Array:
    """Return function(array) over several axes as one, which it reduces as the last."""
    shape = tuple(array.shape)
    kept = [axis for axis in range(array.ndim) if axis not in axes]
    count = math.prod(shape[axis] for axis in axes)
    moved = xp.permute_dims(array, (*kept, *axes))
    result = function(xp.reshape(moved, (*(shape[axis] for axis in kept), count)))
    if keepdims:
        ones = tuple(1 if axis in axes else length for axis, length in enumerate(shape))
        return xp.reshape(result, ones)
    return result


def _average(name: str) -> Any:
    """Return `sum` or `mean` over any axes."""

    def reduce(
        ns: Any, x: Wrapped, /, *, axis: Axis = None, dtype: DType = None, keepdims: bool = False
    ) -> Wrapped:
        if dtype is not None:
            x = ns.astype(x, dtype)
        if not is_floating(x):
            return _of_library(ns, name, x, dtype, axis=axis, keepdims=keepdims)
        function = getattr(ns.rules, name)
        axes = _axes(x, axis)
        if len(axes) == 1:
            total = function(x.native, axis=axes[0] - x.ndim, keepdims=keepdims)
        else:
            total = _along_last(
                ns.library, x.native, axes, keepdims, lambda array: function(array, axis=-1)
            )
        grain = min(x.grain, LATTICE) if name == "sum" else ANY
        return Wrapped(total, ns, grain)

    return reduce


def _mean(ns: Any, x: Wrapped, /, *, axis: Axis = None, keepdims: bool = False) -> Wrapped:
    check_floating("mean", x)
    return _average("mean")(ns, x, axis=axis, keepdims=keepdims)


def var(
    ns: Any, x: Wrapped, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False
) -> Wrapped:
    """Return the sum of (x - mean)² over n - correction: two passes, each sum as `sum`."""
    check_floating("var", x)
    deviations = x - _mean(ns, x, axis=axis, keepdims=True)
    total = ns.sum(deviations * deviations, axis=axis, keepdims=keepdims)
    count = math.prod(x.shape[one] for one in _axes(x, axis)) - correction
    return ns.divide(total, count) if count > 0.0 else total * math.nan


def std(
    ns: Any, x: Wrapped, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False
) -> Wrapped:
    """Return the root of `var`."""
    return ns.sqrt(var(ns, x, axis=axis, correction=correction, keepdims=keepdims))


def _halves(xp: Any, array: Array, keep: Callable[[Any, Array], Array]) -> Array:
    """Return the product along the last axis by a fixed tree: second half times the first."""
    n = array.shape[-1]
    if n == 0:
        return xp.ones(array.shape[:-1], dtype=array.dtype, device=array.device)
    odd = None
    while n > 1:
        if n % 2:
            last = array[..., n - 1 : n]
            odd = last if odd is None else keep(xp, last * odd)
        n //= 2
        array = keep(xp, array[..., :n] * array[..., n : 2 * n])
    return (array if odd is None else keep(xp, array * odd))[..., 0]


def prod(
    ns: Any, x: Wrapped, /, *, axis: Axis = None, dtype: DType = None, keepdims: bool = False
) -> Wrapped:
    """Return the product by a fixed tree, every product rounded: within n u."""
    if dtype is not None:
        x = ns.astype(x, dtype)
    if not is_floating(x):
        return _of_library(ns, "prod", x, dtype, axis=axis, keepdims=keepdims)
    xp = ns.library
    product = _along_last(
        xp, x.native, _axes(x, axis), keepdims, lambda array: _halves(xp, array, flush_product)
    )
    return Wrapped(flush_product(xp, product), ns, PRODUCTS)


def _extreme(name: str) -> Any:
    """Return `max` or `min`: NaN where any is, which JAX's own forgets in large arrays."""

    def reduce(ns: Any, x: Wrapped, /, *, axis: Axis = None, keepdims: bool = False) -> Wrapped:
        xp, a = ns.library, x.native
        y = getattr(xp, name)(a, axis=axis, keepdims=keepdims)
        if is_floating(x):
            y = xp.where(xp.any(xp.isnan(a), axis=axis, keepdims=keepdims), math.nan, y)
        return Wrapped(y, ns, x.grain)

    return reduce


def _running(
    ns: Any, x: Wrapped, axis: int | None, neutral: float, initial: bool, combine: Any
) -> Wrapped:
    """Return the running total along an axis: after pass p, of the last 2^p elements.

    Hillis and Steele (1986): ceil(log2 n) passes, in float64, so that no order is left open.
    """
    if axis is None:
        if x.ndim != 1:
            raise ValueError(f"axis is None, expected one of the {x.ndim} axes of {x.shape}")
        axis = 0
    xp, (place,) = ns.library, _axes(x, axis)
    a = xp.moveaxis(xp.astype(x.native, xp.float64, copy=False), place, -1)
    shift = 1
    while shift < a.shape[-1]:
        a = xp.concat([a[..., :shift], combine(a[..., shift:], a[..., :-shift])], axis=-1)
        shift *= 2
    if initial:
        first = xp.full((*a.shape[:-1], 1), neutral, dtype=a.dtype, device=a.device)
        a = xp.concat([first, a], axis=-1)
    y = xp.astype(xp.moveaxis(a, -1, place), x.dtype, copy=False)
    return Wrapped(flush(xp, y), ns)


def _cumulative(name: str, neutral: float, combine: Callable[[Any], Any]) -> Any:
    def accumulate(
        ns: Any,
        x: Wrapped,
        /,
        *,
        axis: int | None = None,
        dtype: DType = None,
        include_initial: bool = False,
    ) -> Wrapped:
        if dtype is not None:
            x = ns.astype(x, dtype)
        if not is_floating(x):
            return _of_library(ns, name, x, dtype, axis=axis, include_initial=include_initial)
        return _running(ns, x, axis, neutral, include_initial, combine(ns.library))

    return accumulate


def _add(xp: Any) -> Any:
    """Return the sum of float64 arrays, without denormal numbers."""
    return lambda a, b: flush(xp, a + b)


def _times(xp: Any) -> Any:
    """Return the product of float64 arrays, without denormal numbers."""
    return lambda a, b: flush_product(xp, a * b)


def diff(
    ns: Any,
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
    (place,) = _axes(x, axis)
    for _ in range(n):
        before = (slice(None),) * place
        x = x[(*before, slice(1, None), ...)] - x[(*before, slice(None, -1), ...)]
    return x


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "sum": _average("sum"),
    "mean": _mean,
    "var": var,
    "std": std,
    "prod": prod,
    "max": _extreme("max"),
    "min": _extreme("min"),
    "cumulative_sum": _cumulative("cumulative_sum", 0.0, _add),
    "cumulative_prod": _cumulative("cumulative_prod", 1.0, _times),
    "diff": diff,
}
