"""An array API namespace over `Bounded` arrays, with which formulas compute their error bounds.

The network, the losses and the optimizers are written against a namespace.  With this one, the
same code gives each result with a bound on its rounding error, so that layers do not need an error
analysis of their own.  It has the functions that the formulas call; a missing one raises an error,
and is to be added with its rule.

    matmul        E|Ŵ| + |x̂|E' + g_k |x̂||Ŵ| for factors with errors E, E' and inner length k
    sum of n      the sum of the errors, + g_{n-1} times the sum of the magnitudes
    mean          the sum, divided by n
    max, abs      the (largest) error: these do not round
    sign          0, or 2 where the sign is uncertain
    where         the difference of the two values where the condition is uncertain
    f(x)          the largest |f'| within e of x, times e, + a number of ulps, see `_FUNCTIONS`

with g_n the growth that `Precision` gives to n roundings: the worst case, or a probable one.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from pluggable_mlp.arrays import Array, DType
from pluggable_mlp.namespaces.bounded.array import Bounded, Comparison, Precision, exact

__all__ = ["BoundedNamespace"]


class _Function(NamedTuple):
    """An elementary function, the largest |f'| on [m - r, m + r], and its error in ulps."""

    compute: Callable[[Array], Array]
    slope: Callable[[Array, Array], Array]
    ulps: float


# The largest errors of the libraries' functions in ulps.  Documented: NumPy's SVML below 4; NumPy's
# own float32 exp 2.52 and log 3.83; SLEEF "u10", which PyTorch uses, 1; MKL's VML "high
# accuracy" 1; CUDA exp 2, log 1, log1p 1, tanh 2, erf 2, single-precision division 2 (CUDA C++
# Programming Guide, "Mathematical Functions").  XLA does not document them; measured on the CPU:
# exp 1.7, log 1.2, log1p 2.5, tanh 5.7, erf 4.4.
# tests/namespaces/bounded/test_functions.py measures all of them.
_FUNCTIONS = {
    "exp": _Function(np.exp, lambda m, r: np.exp(m + r), 4.0),
    "log": _Function(np.log, lambda m, r: 1.0 / np.maximum(m - r, 0.0), 4.0),
    # Not for x < 0: XLA's log1p in float64 is off by more than 100 ulps around -0.41.
    "log1p": _Function(np.log1p, lambda m, r: np.where(m < 0.0, np.inf, 1.0 / (1.0 + m - r)), 4.0),
    "tanh": _Function(np.tanh, lambda m, r: np.cosh(np.maximum(np.abs(m) - r, 0.0)) ** -2.0, 8.0),
    # Not in the standard: a library's own, or the portable one.
    "erf": _Function(
        np.vectorize(math.erf, otypes=[np.float64]),
        lambda m, r: 2.0 / math.sqrt(math.pi) * np.exp(-(np.maximum(np.abs(m) - r, 0.0) ** 2)),
        8.0,
    ),
    # PyTorch's is MKL's, which does not round correctly.  Next to 0, where the derivative is
    # infinite, |sqrt(x) - sqrt(y)| <= sqrt(|x - y|) says more.
    "sqrt": _Function(
        np.sqrt,
        lambda m, r: np.minimum(0.5 / np.sqrt(np.maximum(m - r, 0.0)), np.sqrt(2.0 / r)),
        1.0,
    ),
}


class BoundedNamespace:
    """The functions of the array API standard that the formulas call, on `Bounded` arrays.

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

    beyond_standard = ("erf",)
    float32, float64 = np.dtype(np.float32), np.dtype(np.float64)
    int64, uint8 = np.dtype(np.int64), np.dtype(np.uint8)
    # Of integers and bools only: they have no errors.
    isdtype, arange, argmax = staticmethod(np.isdtype), staticmethod(np.arange), np.argmax
    reshape, stack = staticmethod(np.reshape), staticmethod(np.stack)

    def __init__(self, dtype: str, deviations: float = math.inf) -> None:
        self.precision = Precision(np.dtype(dtype), deviations)
        self.sums = 0

    def __getattr__(self, name: str) -> Any:
        if name in _FUNCTIONS:
            return partial(self._elementary, _FUNCTIONS[name])
        raise AttributeError(f"no error bound is known for xp.{name}; add its rule to {__name__}")

    def asarray(self, x: Any) -> Any:
        """Return an array of any shape or a scalar: floats as `Bounded`, integers unchanged."""
        return self._exact(x) if np.isdtype(np.asarray(x).dtype, "real floating") else x

    def astype(self, x: Any, dtype: DType, *, copy: bool = True) -> Any:
        """Return x in the dtype; the formulas convert only exact values and values of the dtype."""
        if isinstance(x, Comparison):
            return self.where(x, 1.0, 0.0)
        return x if isinstance(x, Bounded) else x.astype(dtype, copy=copy)

    def expand_dims(self, x: Any, *, axis: int) -> Any:
        """Return x with a new axis of length one."""
        return self._rearranged(x, partial(np.expand_dims, axis=axis))

    def take(self, x: Any, indices: Array, *, axis: int) -> Any:
        """Return the slices of x at the indices (n,) along an axis."""
        return self._rearranged(x, partial(np.take, indices=indices, axis=axis))

    def abs(self, x: Any) -> Any:
        """Return |x|."""
        return abs(x)

    def sign(self, x: Any) -> Bounded:
        """Return -1, 0 or 1."""
        x = self._exact(x)
        doubtful = (x < 0.0).doubtful
        return self._bounded(np.sign(x.value), np.where(doubtful, 2.0, 0.0))

    def max(self, x: Bounded, *, axis: int, keepdims: bool = False) -> Bounded:
        """Return the maximum along an axis."""
        return x.rearranged(partial(np.max, axis=axis, keepdims=keepdims))

    def maximum(self, a: Any, b: Any) -> Bounded:
        """Return the larger of each pair of elements; one that cannot be it adds no error."""
        a, b = self._exact(a), self._exact(b)
        decided = np.abs(a.value - b.value) > a.error + b.error
        of_larger = np.where(a.value > b.value, a.error, b.error)
        error = np.where(decided, of_larger, np.maximum(a.error, b.error))
        return self._bounded(np.maximum(a.value, b.value), error)

    def minimum(self, a: Any, b: Any) -> Bounded:
        """Return the smaller of each pair of elements."""
        return -self.maximum(-self._exact(a), -self._exact(b))

    def where(self, condition: Any, a: Any, b: Any) -> Bounded:
        """Return a where the condition holds and b elsewhere."""
        a, b = self._exact(a), self._exact(b)
        if not isinstance(condition, Comparison):
            condition = Comparison(condition, np.False_)
        error = np.where(condition.holds, a.error, b.error)
        either = np.abs(a.value - b.value) + 2.0 * (a.error + b.error)
        value = np.where(condition.holds, a.value, b.value)
        return self._bounded(value, np.where(condition.doubtful, either, error))

    def matmul(self, a: Any, b: Any) -> Bounded:
        """Return the product of a (…, m, k) and b (…, k, n)."""
        a, b = self._exact(a), self._exact(b)
        size, its_size = a.magnitude, b.magnitude
        error = self.precision.rounding(size @ its_size, a.shape[-1])
        for inherited, factor in ((a.error, its_size), (size, b.error)):
            if inherited.any() and factor.any():  # parameters and pixels are exact
                error = error + inherited @ factor
        self.sums += error.size
        return self._bounded(a.value @ b.value, error)

    def sum(self, x: Any, *, axis: int | None = None, keepdims: bool = False) -> Bounded:
        """Return the sum along one axis, or over all elements."""
        x = self._exact(x)
        value, error, magnitude = (
            np.asarray(np.sum(part, axis=axis, keepdims=keepdims))
            for part in (x.value, x.error, x.magnitude)
        )
        self.sums += error.size
        rounding = self.precision.rounding(magnitude, _terms(x, axis) - 1)
        return self._bounded(value, error + rounding)

    def mean(self, x: Any, *, axis: int | None = None, keepdims: bool = False) -> Bounded:
        """Return the mean along one axis, or over all elements."""
        return self.sum(x, axis=axis, keepdims=keepdims) / float(_terms(x, axis))

    def _elementary(self, function: _Function, x: Any) -> Bounded:
        x = self._exact(x)
        reach = 2.0 * x.error
        value = np.asarray(function.compute(x.value))
        slope = function.slope(x.value, reach)
        # An ulp is at most 2 u times the result.
        ulps = 2.0 * function.ulps * self.precision.unit
        # An exact argument passes no error on, however steep the function is there.
        inherited = np.where(x.error == 0.0, 0.0, slope * x.error)
        magnitude = np.abs(value) + 2.0 * inherited
        lost = self.precision.rounding(magnitude, 0)
        return self._bounded(value, inherited + ulps * magnitude + lost)

    def _exact(self, x: Any) -> Bounded:
        return exact(x, self.precision)

    def _rearranged(self, x: Any, rearrange: Callable[[Array], Array]) -> Any:
        return x.rearranged(rearrange) if isinstance(x, Bounded) else rearrange(x)

    def _bounded(self, value: Array, error: Array) -> Bounded:
        return Bounded(value, error, self.precision)


def _terms(x: Any, axis: int | None) -> int:
    """Return how many terms a sum along that axis has."""
    return int(np.prod(x.shape)) if axis is None else int(x.shape[axis])
