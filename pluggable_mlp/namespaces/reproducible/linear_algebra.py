"""Products of matrices and vectors in the reproducible namespace.

Every function takes the namespace first.  Products of floats are sums of exact products of slices
(Ozaki et al. 2012); `pluggable_mlp.namespaces.reproducible.products` has their bounds.
Products of integers are the library's.
"""

import math
from collections.abc import Sequence

from pluggable_mlp.arrays import DType
from pluggable_mlp.namespaces import kinds
from pluggable_mlp.namespaces.reproducible import products
from pluggable_mlp.namespaces.reproducible.array import (
    PRODUCTS,
    FixedPointArray,
    Reproducible,
    ReproducibleArray,
)
from pluggable_mlp.namespaces.reproducible.coercion import operands, pair
from pluggable_mlp.namespaces.reproducible.scaled import scaled_back, unit_near

Wrapped = ReproducibleArray


def matrix_transpose(ns: Reproducible, x: Wrapped, /) -> Wrapped:
    """Return (…, n, m) of x (…, m, n)."""
    if x.fixed_point is not None:
        return FixedPointArray(x.fixed_point.mT, ns)
    return Wrapped(ns.library.matrix_transpose(x.native), ns, x.underflow)


def matmul(ns: Reproducible, x1: Wrapped, x2: Wrapped, /) -> Wrapped:
    """Return the product of x1 (…, m, k) and x2 (…, k, n); a vector (k,) is a row or a column.

    Raises
    ------
    ValueError
        If an operand is a scalar, or the inner lengths differ.
    """
    for name, x in (("x1", x1), ("x2", x2)):
        if not isinstance(x, Wrapped) or x.ndim == 0:
            raise ValueError(f"{name} is {x!r}, expected an array of at least one axis")
    inner = x1.factor.shape[-1], x2.factor.shape[-2 if x2.ndim > 1 else 0]
    if inner[0] != inner[1]:
        raise ValueError(f"x1 {x1.shape} and x2 {x2.shape} differ in their inner lengths {inner}")
    if not (x1.kind and x2.kind):
        a, b, _ = operands("matmul", x1, x2)
        return Wrapped(ns.library.matmul(a, b), ns)
    left = ns.expand_dims(x1, axis=0) if x1.ndim == 1 else x1
    right = ns.expand_dims(x2, axis=1) if x2.ndim == 1 else x2
    product = Wrapped(products.matmul(ns.library, ns.run_all, *_factors(left, right)), ns, PRODUCTS)
    if x2.ndim == 1:
        product = product[..., 0]
    if x1.ndim == 1:
        product = product[..., 0] if x2.ndim == 1 else product[..., 0, :]
    return product


def _factors(x1: Wrapped, x2: Wrapped) -> tuple[products.Factor, products.Factor]:
    """Return the factors of a product; fixed point is kept if the dtypes are the same."""
    if x1.dtype == x2.dtype:
        return x1.factor, x2.factor
    return pair("matmul", x1, x2)


def affine(ns: Reproducible, x: Wrapped, W: Wrapped, b: Wrapped, /) -> Wrapped:
    """Return x W + b, rounded once, for x (…, batch, in), W (…, in, out), b (…, out)."""
    return Wrapped(products.matmul(ns.library, ns.run_all, *_factors(x, W), b.native), ns)


def vecdot(ns: Reproducible, x1: Wrapped, x2: Wrapped, /, *, axis: int = -1) -> Wrapped:
    """Return the sum of x1 x2 along a negative axis, as products of rows and columns."""
    if not -min(x1.ndim, x2.ndim) <= axis < 0:
        raise ValueError(f"axis is {axis}, expected one from -{min(x1.ndim, x2.ndim)} to -1")
    if x1.shape[axis] != x2.shape[axis]:
        raise ValueError(f"x1 {x1.shape} and x2 {x2.shape} differ along axis {axis}")
    rows, columns = ns.moveaxis(x1, axis, -1), ns.moveaxis(x2, axis, -1)
    product = matmul(ns, ns.expand_dims(rows, axis=-2), ns.expand_dims(columns, axis=-1))
    return product[..., 0, 0]


def tensordot(
    ns: Reproducible,
    x1: Wrapped,
    x2: Wrapped,
    /,
    *,
    axes: int | tuple[Sequence[int], Sequence[int]] = 2,
) -> Wrapped:
    """Return sums of products over the last axes of x1 and the first of x2, or over given axes."""
    if isinstance(axes, int):
        axes = (range(x1.ndim - axes, x1.ndim), range(axes))
    one, two = [axis % x1.ndim for axis in axes[0]], [axis % x2.ndim for axis in axes[1]]
    free1 = [axis for axis in range(x1.ndim) if axis not in one]
    free2 = [axis for axis in range(x2.ndim) if axis not in two]
    if [x1.shape[axis] for axis in one] != [x2.shape[axis] for axis in two]:
        raise ValueError(f"x1 {x1.shape} and x2 {x2.shape} differ along the axes {axes}")
    inner = math.prod(x1.shape[axis] for axis in one)
    outer = tuple(x1.shape[axis] for axis in free1), tuple(x2.shape[axis] for axis in free2)
    left = ns.reshape(ns.permute_dims(x1, (*free1, *one)), (math.prod(outer[0]), inner))
    right = ns.reshape(ns.permute_dims(x2, (*two, *free2)), (inner, math.prod(outer[1])))
    return ns.reshape(matmul(ns, left, right), (*outer[0], *outer[1]))


def vector_norm(
    ns: Reproducible,
    x: Wrapped,
    /,
    *,
    axis: int | tuple[int, ...] | None = None,
    keepdims: bool = False,
    ord: float = 2,
) -> Wrapped:
    """Return the norm of order 0, 1, 2, inf or -inf; that of order 2 is scaled by a power of two.

    Raises
    ------
    ValueError
        If the order is another one.
    """
    magnitudes = ns.abs(x)
    if ord == 1:
        return ns.sum(magnitudes, axis=axis, keepdims=keepdims)
    if ord == 0:
        counted = ns.astype(x != 0.0, x.dtype)
        return ns.sum(counted, axis=axis, keepdims=keepdims)
    if abs(ord) == math.inf:
        extreme = ns.max if ord > 0 else ns.min
        return extreme(magnitudes, axis=axis, keepdims=keepdims)
    if ord != 2:
        raise ValueError(f"ord is {ord!r}; the reproducible namespace has 0, 1, 2, inf and -inf")
    xp = ns.library
    unit = unit_near(xp, ns.max(magnitudes, axis=axis, keepdims=True).native)
    scaled = magnitudes * Wrapped(1.0 / unit, ns)  # exact
    total = ns.sum(scaled * scaled, axis=axis, keepdims=True)
    norm = Wrapped(scaled_back(xp, ns.sqrt(total).native, unit), ns)
    return norm if keepdims else ns.sum(norm, axis=axis)


def outer(ns: Reproducible, x1: Wrapped, x2: Wrapped, /) -> Wrapped:
    """Return the products of every element of x1 (m,) with every one of x2 (n,): (m, n)."""
    return ns.expand_dims(x1, axis=1) * ns.expand_dims(x2, axis=0)


def diagonal(ns: Reproducible, x: Wrapped, /, *, offset: int = 0) -> Wrapped:
    """Return the diagonals (…, k) of x (…, m, n)."""
    return Wrapped(ns.library.linalg.diagonal(x.native, offset=offset), ns, x.underflow)


def trace(ns: Reproducible, x: Wrapped, /, *, offset: int = 0, dtype: DType = None) -> Wrapped:
    """Return the sum of each diagonal of x (…, m, n)."""
    return ns.sum(diagonal(ns, x, offset=offset), axis=-1, dtype=dtype)


_IN_BOTH = matmul, matrix_transpose, tensordot, vecdot
FUNCTIONS = kinds.by_name(affine, *_IN_BOTH)
LINALG = kinds.by_name(*_IN_BOTH, vector_norm, outer, diagonal, trace)
