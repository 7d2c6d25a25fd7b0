"""An array API namespace over `Bounded` arrays, in which formulas compute their error bounds.

The network, the losses and the optimizers are written against a namespace.  With this one, the
same code returns each result with a bound on its rounding error, so that layers do not need an
error analysis of their own.  Products and sums are here, elementwise functions in `elementwise.py`;
functions that only move elements move their errors with them.

    matmul        E|Ŵ| + |x̂|E' + g_k |x̂||Ŵ| for factors with errors E, E' and inner length k
    affine        the same, + the error of b, + g_{k+1} |b̂|, and g_{k+1} for g_k: some libraries
                  add the products to b one by one
    sum of n      the sum of the errors, + g_{n-1} times the sum of the magnitudes
    mean          the sum, divided by n
    max, min      the largest error: these do not round

with g_n the growth that `Precision` gives to n roundings: the worst case, or a probable one.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any, ClassVar

import numpy as np

from pluggable_mlp.arrays import Array, Device, DType
from pluggable_mlp.namespaces.bounded.array import (
    ArrayOrScalar,
    Bounded,
    Comparison,
    NoBoundError,
    Precision,
    exact,
)
from pluggable_mlp.namespaces.bounded.elementwise import ALSO_OF_INTEGERS, ELEMENTWISE
from pluggable_mlp.namespaces.kinds import REARRANGING

Axis = int | tuple[int, ...] | None

_DTYPES = ("float32", "float64", "int64", "uint8")
_OF_NUMPY = ("arange", "e", "finfo", "inf", "isdtype", "nan", "pi")  # arange: of integers only
_OF_ONE_VALUE = ("full", "full_like", "ones", "ones_like", "zeros", "zeros_like")


class BoundedNamespace:
    """The functions of the array API standard that have a bound, on `Bounded` arrays.

    NumPy arrays and Python scalars are exact arguments.  The bounds are for the libraries' own
    namespaces.

    Parameters
    ----------
    dtype : {"float32", "float64"}
        The dtype of the computations that are bounded.
    deviations : float, optional
        lambda of `array.py`; by default the worst case.

    Attributes
    ----------
    sums : int
        The number of sums and inner products bounded so far; each may exceed its bound with
        probability `precision.improbability`.
    """

    beyond_standard: ClassVar[tuple[str, ...]] = (
        "affine", "complementary_products", "erf", "lerp_and_difference", "mean", "where_positive"
    )  # fmt: skip

    def __init__(self, dtype: str, deviations: float = math.inf) -> None:
        self.precision: Precision = Precision(np.dtype(dtype), deviations)
        self.sums: int = 0

    def __getattr__(self, name: str) -> Any:
        if name in ELEMENTWISE:
            return partial(ELEMENTWISE[name], self)
        if name in ALSO_OF_INTEGERS:
            return partial(self._of_any, name)
        if name in REARRANGING:
            return partial(_rearranged, getattr(np, name))
        if name in _OF_NUMPY:
            return getattr(np, name)
        if name in _DTYPES:
            return np.dtype(name)
        if name in _OF_ONE_VALUE:
            return partial(self._of_one_value, name)
        raise NoBoundError(f"xp.{name}")

    def asarray(
        self, x: ArrayOrScalar, *, dtype: DType = None, device: Device = None
    ) -> Bounded | Array:
        """Return an array of any shape or a scalar: floats as `Bounded`, integers unchanged."""
        if isinstance(x, Bounded):
            return x
        x = np.asarray(x) if dtype is None else np.asarray(x, dtype=dtype)
        return self._exact(x) if np.isdtype(x.dtype, "real floating") else x

    def astype(
        self, x: Bounded | Comparison | Array, dtype: DType, *, copy: bool = True
    ) -> Bounded | Comparison | Array:
        """Return x in the dtype: floats stay in the one that is bounded."""
        floating = np.isdtype(dtype, "real floating")
        if isinstance(x, Comparison) and floating:
            return self.where(x, 1.0, 0.0)
        if isinstance(x, Bounded | Comparison):
            if not floating:
                raise NoBoundError(f"a conversion of floats to {dtype}")
            return x
        return self.asarray(x.astype(dtype, copy=copy))

    def argmax(self, x: ArrayOrScalar, **settings: Array) -> Array:
        """Return the places of the largest elements, of integers and booleans."""
        if isinstance(x, Bounded):
            raise NoBoundError("xp.argmax of floats")
        return np.argmax(x, **settings)

    def concat(self, arrays: Sequence[ArrayOrScalar], *, axis: int | None = 0) -> Bounded | Array:
        """Return the arrays concatenated along an axis."""
        return self._joined(partial(np.concat, axis=axis), arrays)

    def stack(self, arrays: Sequence[ArrayOrScalar], *, axis: int = 0) -> Bounded | Array:
        """Return the arrays, of one shape, stacked along a new axis."""
        return self._joined(partial(np.stack, axis=axis), arrays)

    def matmul(self, a: ArrayOrScalar, b: ArrayOrScalar) -> Bounded:
        """Return the product of a (…, m, k) and b (…, k, n)."""
        a, b = self._exact(a), self._exact(b)
        return self._product(a, b, a.magnitude @ b.magnitude, a.shape[-1])

    def affine(self, x: ArrayOrScalar, W: ArrayOrScalar, b: ArrayOrScalar) -> Bounded:
        """Return x W + b for x (…, batch, in), W (…, in, out), b (…, out)."""
        x, W, b = self._exact(x), self._exact(W), self._exact(b)
        b = b if b.ndim == 1 else b[..., None, :]
        terms = x.magnitude @ W.magnitude + b.magnitude
        product = self._product(x, W, terms, x.shape[-1] + 1)
        return Bounded(product.value + b.value, product.error + b.error, self)

    def sum(self, x: ArrayOrScalar, *, axis: Axis = None, keepdims: bool = False) -> Bounded:
        """Return the sum along axes, or over all elements."""
        x = self._exact(x)
        value, error, magnitude = (
            np.asarray(part.sum(axis=axis, keepdims=keepdims))
            for part in (x.value, x.error, x.magnitude)
        )
        self.sums += error.size
        rounding = self.precision.rounding(magnitude, _terms(x.shape, axis) - 1)
        return Bounded(value, error + rounding, self)

    def mean(self, x: ArrayOrScalar, *, axis: Axis = None, keepdims: bool = False) -> Bounded:
        """Return the mean along axes, or over all elements."""
        x = self._exact(x)
        return self.sum(x, axis=axis, keepdims=keepdims) / float(_terms(x.shape, axis))

    def max(self, x: ArrayOrScalar, *, axis: Axis = None, keepdims: bool = False) -> Bounded:
        """Return the largest element along axes, or of all."""
        x = self._exact(x)
        value, error = (
            np.asarray(part.max(axis=axis, keepdims=keepdims)) for part in (x.value, x.error)
        )
        return Bounded(value, error, self)

    def min(self, x: ArrayOrScalar, *, axis: Axis = None, keepdims: bool = False) -> Bounded:
        """Return the smallest element along axes, or of all."""
        return -self.max(-self._exact(x), axis=axis, keepdims=keepdims)

    def lerp_and_difference(
        self, x: ArrayOrScalar, y: ArrayOrScalar, a: ArrayOrScalar
    ) -> tuple[Bounded, Bounded]:
        """Return x + a (y - x), and y - x.

        The error of x counts 1 - a times in the first, not once and a times:
        |1 - â| e_x + |â| e_y + |y - x| e_a, and the rounding of each of the three operations.
        """
        x, y, a = self._exact(x), self._exact(y), self._exact(a)
        difference = y - x
        size, part = difference.magnitude, difference.magnitude * a.magnitude
        error = _rest(a) * x.error + a.magnitude * y.error + size * a.error
        error = error + self.precision.rounding(size, 1) * a.magnitude
        error = error + self._roundings(part, x.magnitude + part)
        value = x.value + difference.value * a.value
        return Bounded(value, error, self), difference

    def complementary_products(self, x: ArrayOrScalar, a: ArrayOrScalar) -> tuple[Bounded, Bounded]:
        """Return x a, and x (1 - a) as x - x a.

        The error of x counts 1 - a times in the second: |1 - â| e_x + |x| e_a, and the rounding of
        the two operations.
        """
        x, a = self._exact(x), self._exact(a)
        part, size = x * a, x.magnitude * a.magnitude
        error = _rest(a) * x.error + x.magnitude * a.error
        error = error + self._roundings(size, x.magnitude + size)
        return part, Bounded(x.value - part.value, error, self)

    def _roundings(self, *magnitudes: Array) -> Array:
        """Return the summed error of roundings, one of each magnitude."""
        return reduce(np.add, (self.precision.rounding(magnitude, 1) for magnitude in magnitudes))

    def _product(self, a: Bounded, b: Bounded, terms: Array, roundings: int) -> Bounded:
        """Return the product of a and b with this many roundings and terms of this magnitude."""
        error = self.precision.rounding(terms, roundings)
        for inherited, factor in ((a.error, b.magnitude), (a.magnitude, b.error)):
            if inherited.any() and factor.any():  # parameters and pixels are exact
                error = error + inherited @ factor
        self.sums += error.size
        return Bounded(a.value @ b.value, error, self)

    def _joined(
        self, join: Callable[..., Array], arrays: Sequence[ArrayOrScalar]
    ) -> Bounded | Array:
        if not any(isinstance(x, Bounded) for x in arrays):
            return join(arrays)
        operands = [self._exact(x) for x in arrays]
        value, error = join([x.value for x in operands]), join([x.error for x in operands])
        return Bounded(value, error, self)

    def _of_any(self, name: str, *operands: ArrayOrScalar) -> Bounded | Comparison | Array:
        """Return an operation, which for integers and booleans alone is NumPy's."""
        if any(isinstance(x, Bounded | Comparison) for x in operands):
            return ALSO_OF_INTEGERS[name](self, *operands)
        return getattr(np, name)(*operands)

    def _of_one_value(self, name: str, *arguments: Array, **settings: object) -> Bounded | Array:
        """Return zeros, ones and the like without an error, on the host, whatever the device."""
        values = (x.value if isinstance(x, Bounded) else x for x in arguments)
        settings.pop("device", None)
        return self.asarray(getattr(np, name)(*values, **settings))

    def _exact(self, x: ArrayOrScalar) -> Bounded:
        return exact(x, self)


def _terms(shape: tuple[int, ...], axis: Axis) -> int:
    """Return how many terms a sum along the axes has."""
    if axis is None:
        return math.prod(shape)
    return math.prod(shape[place] for place in ((axis,) if isinstance(axis, int) else axis))


def _rest(a: Bounded) -> Array:
    """Return the largest |1 - a|, of the shape of a."""
    return np.abs(1.0 - a.value) + 2.0 * a.error


def _rearranged(
    function: Callable[..., Array],
    x: Bounded | Comparison | Array,
    *arguments: Array,
    **settings: object,
) -> Bounded | Comparison | Array:
    """Return x with its elements moved by a function."""

    def rearrange(array: Array) -> Array:
        return function(array, *arguments, **settings)

    return x.rearranged(rearrange) if isinstance(x, Bounded | Comparison) else rearrange(x)
