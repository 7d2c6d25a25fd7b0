"""The native arithmetic: the array library's own products, sums and functions, fast.

Nothing is promised here beyond rounding: each result is what the library computes.  What the
standard lacks is composed of what it has, stable for every finite input.
"""

import operator
from functools import partial
from typing import Any

from pluggable_mlp.arithmetic.reproducible.error_function import erf
from pluggable_mlp.arithmetic.running import RunAll, one_by_one
from pluggable_mlp.arrays import Array, DType, Namespace, by_columns, transpose
from pluggable_mlp.shortcuts import own

__all__ = ["Native"]

# exp(87) is finite in float32 and exp(708) in float64; beyond, 1 + exp(-x) would overflow.
_LARGEST_EXPONENT_FLOAT32 = 87.0
_LARGEST_EXPONENT_FLOAT64 = 708.0

# Sums and means over one element, as of a batch of 1, are that element: no need to reduce.
_ONLY_ELEMENT = {-1: (..., 0), -2: (..., 0, slice(None))}


class Native:
    """The arithmetic of the array library behind `xp`; see `Arithmetic` for the methods.

    Parameters
    ----------
    xp
        An array API namespace.
    run_all
        Not asked: the library has its own ways to use a whole processor.
    """

    name = "native"

    def __init__(self, xp: Namespace, run_all: RunAll = one_by_one) -> None:
        del run_all
        self.xp = xp
        # Bound once: the formulas then call the library's own functions.
        self.exp = xp.exp
        self.log = xp.log
        self.log1p = xp.log1p
        self.tanh = xp.tanh
        self.sqrt = xp.sqrt
        self.multiply = operator.mul
        # The standard has no erf: a library's own where there is one, else the portable one.
        self.erf = own(xp, "erf") or partial(erf, xp)

    def flush(self, x: Array, dtype: DType | None = None) -> Array:
        """Return x in dtype, by default its own: every number is one that the library knows."""
        return x if dtype is None else self.xp.astype(x, dtype, copy=False)

    def term(self, x: Array) -> Array:
        """Return x: any number may be added."""
        return x

    def factor(self, x: Array) -> Array:
        """Return x: the library takes arrays as they are."""
        return x

    def fixed_point(self, integers: Array, scale: float, dtype: DType) -> Array:
        """Return integers * scale as an array of dtype, of the same shape."""
        x = self.xp.astype(integers, dtype)
        x *= scale
        return x

    def values(self, x: Array) -> Array:
        """Return x: a factor is an array here."""
        return x

    def lost(self, x: Array, axis: int, *, beside_fixed_point: bool = False) -> None:
        """Return None: the library's products lose no number."""

    def sum(self, x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
        """Return the sum along one axis, or over all elements."""
        if not keepdims and axis in _ONLY_ELEMENT and x.shape[axis] == 1:
            return x[_ONLY_ELEMENT[axis]]
        return self.xp.sum(x, axis=axis, keepdims=keepdims)

    def mean(self, x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
        """Return the mean along one axis, or over all elements."""
        if not keepdims and axis in _ONLY_ELEMENT and x.shape[axis] == 1:
            return x[_ONLY_ELEMENT[axis]]
        return self.xp.mean(x, axis=axis, keepdims=keepdims)

    def matmul(self, a: Any, b: Any) -> Array:
        """Return the matrix product of a (…, m, k) and b (…, k, n)."""
        if a.shape[-1] == 1:  # an outer product is one multiplication by broadcasting, not a GEMM
            return a * b
        return self.xp.matmul(a, b)

    def affine(self, x: Any, W: Any, b: Array) -> Array:
        """Return x W + b for x (…, batch, in), W (…, in, out), b (…, out)."""
        if by_columns(x.shape[-2], W.shape[-1]):
            y = transpose(self.xp.matmul(transpose(W), transpose(x)))
        else:
            y = self.matmul(x, W)
        y += b if b.ndim == 1 else self.xp.expand_dims(b, axis=-2)
        return y

    def sigmoid(self, x: Array) -> Array:
        """Return 1 / (1 + exp(-x)), without overflow."""
        single = x.dtype == self.xp.float32
        largest = _LARGEST_EXPONENT_FLOAT32 if single else _LARGEST_EXPONENT_FLOAT64
        y = self.xp.exp(self.xp.minimum(-x, largest))
        y += 1.0
        return 1.0 / y

    def softplus(self, x: Array) -> Array:
        """Return log(1 + exp(x)) as max(x, 0) + log1p(exp(-|x|)), without overflow."""
        y = self.xp.log1p(self.xp.exp(-self.xp.abs(x)))
        y += self.xp.maximum(x, 0.0)
        return y

    def reciprocal(self, x: Array) -> Array:
        """Return 1 / x."""
        return 1.0 / x

    def rsqrt(self, x: Array) -> Array:
        """Return 1 / sqrt(x)."""
        return 1.0 / self.xp.sqrt(x)
