"""Arrays that carry a bound on their rounding error.

A `Bounded` array holds, element by element, a value m and a number e such that

    |x̂ - x| <= e    and    |m - x| <= e

where x is the result of exact arithmetic and x̂ that of *any* computation in the dtype, with
additions in any order, with or without fused multiply-adds, and with denormal numbers or zeros in
their place.  m is one such x̂, computed in float64.  So |x| <= |m| + e, |x̂| <= |m| + 2 e, and two
computations differ by at most 2 e.

The rules, in `elementwise.py`, are those of running error analysis (Higham, "Accuracy and Stability
of Numerical Algorithms", 2nd edition, 2002: the model and underflow in section 2.8, gamma_n in 3.1,
running errors in 3.3).  The error of an operation consists of the propagated errors of its
operands, not only to first order, and of its own rounding:

    x + y    e_x + e_y                               + u |x + y|
    x y      e_x |ŷ| + |x̂| e_y                       + u |x̂ ŷ|
    x / y    (e_x + |x / y| e_y) / (|y| - 2 e_y)     + 4 u |x̂ / ŷ|    (2 ulps, see `elementwise`)
    x ** n   n e_x |x̂|^(n-1)                         + gamma_n |x̂|^n      (or 4 ulps if n < 9)

with u the unit roundoff.  In addition, any result may lose as much as the smallest normal number,
and a quotient whose divisor has such a reciprocal is lost.  If |x̂|, or a partial sum of it,
may exceed the largest number of the dtype, e is infinite: one computation may overflow and another
not, and only infinity or NaN may be left.  m itself does not overflow, as float64 has room for it.
Everything is computed on the host, with NumPy.  The other functions are in `namespace.py`.

Sums of n terms t
-----------------
Added in any order, with A = sum |t|, their error is at most gamma_n A, gamma_n = n u / (1 - n u).
This is the worst case, in which all n roundings have the same sign.  If each rounding has mean
zero, conditional on those before it,

    |error| <= lambda sqrt(n) u (1 + gamma_n) A

except with probability 2 exp(-lambda^2 / 2): sqrt(n) replaces n.  The idea and experiments are
in Higham and Mary, "A new approach to probabilistic rounding error analysis" (SIAM J. Sci. Comput.
41, 2019).  For this form, let a binary tree be the order of the additions, and s_v the computed sum
in its node v before rounding.  The error of the whole sum is exactly the sum over all nodes of
s_v d_v, where d_v is the rounding there, |d_v| <= u; products t = x y are leaves with a rounding of
their own.  As |s_v| <= (1 + gamma_n) A, and the t^2 of the leaves sum up to at most A^2, the bound
follows from the Azuma-Hoeffding inequality for martingales (Ipsen and Zhou, "Probabilistic error
analysis for inner products", SIAM J. Matrix Anal. Appl. 41, 2020).  The assumption fails if the
terms are so similar that their roundings have the same sign: adding n equal numbers one after the
other can give an error of n u A / 4, which exceeds the bound from n = 16 lambda^2 on.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, ClassVar, TypeAlias

import numpy as np

from pluggable_mlp.arrays import Array, DType, Namespace
from pluggable_mlp.namespaces.wrapped_array import WrappedArray

ArrayOrScalar: TypeAlias = "Bounded | Array | bool | int | float"

# The bounds are themselves computed in float64, with a relative error of about k 2^-53 for each
# operation (k: inner lengths); this covers inner lengths times operations up to 2^33.
_SLACK = 1.0 + 2.0**-20


class NoBoundError(AttributeError, ValueError):
    """Raised if a formula calls a function, named by the argument, without a known error bound."""

    def __str__(self) -> str:
        return (
            f"no error bound is known for {self.args[0]}, so backends cannot be compared by their "
            "rounding: write the formula with functions that docs/explanation/compare.md lists, or "
            "compare bits, with arithmetic 'reproducible'"
        )


@dataclass(frozen=True)
class Precision:
    """The rounding and underflow of a dtype.

    Parameters
    ----------
    dtype : numpy.dtype
        float32 or float64.
    deviations : float, optional
        lambda of the module's docstring; by default the worst case.
    """

    dtype: DType
    deviations: float = math.inf

    @property
    def unit(self) -> float:
        """The unit roundoff u: 2^-24 or 2^-53."""
        return float(np.finfo(self.dtype).eps) / 2.0

    @property
    def largest(self) -> float:
        """The largest finite number of the dtype."""
        return float(np.finfo(self.dtype).max)

    @property
    def smallest_normal(self) -> float:
        """The smallest normal number: 2^-126 or 2^-1022."""
        return float(np.finfo(self.dtype).smallest_normal)

    @property
    def improbability(self) -> float:
        """The probability with which one sum exceeds its bound; 0 in the worst case."""
        return 2.0 * math.exp(-0.5 * self.deviations**2)

    def growth(self, roundings: int) -> float:
        """Return the relative error that n successive roundings can cause.

        The probable growth exceeds the worst case below n = lambda^2, so results of only a few
        roundings are always bounded by the worst case.
        """
        total = roundings * self.unit
        worst = total / (1.0 - total) if total < 1.0 else math.inf
        probable = self.deviations * math.sqrt(roundings) * self.unit * (1.0 + worst)
        return min(worst, probable) if roundings else 0.0

    def rounding(self, magnitude: Array, roundings: int) -> Array:
        """Return the error of results no larger than `magnitude`, of any shape.

        `roundings` n is the largest number of roundings of any of the terms.  A result below the
        smallest normal number may become zero, and so may each intermediate result.  One above the
        largest number may become infinite or NaN.
        """
        error = self.growth(roundings) * magnitude
        lost = 2.0 * (roundings + 1) * np.minimum(magnitude, self.smallest_normal)
        # Not `>`: where nothing is known, the magnitude may be NaN.
        return np.where(magnitude + error <= self.largest, error + lost, np.inf)


class Comparison:
    """The outcome of a comparison, and where it is uncertain: two boolean arrays."""

    __array_ufunc__ = None

    def __init__(self, holds: Array, doubtful: Array) -> None:
        self.holds: Array = holds
        self.doubtful: Array = doubtful

    @classmethod
    def of(cls, x: "Comparison | Array") -> "Comparison":
        """Return x, or a certain outcome of booleans of any shape."""
        return x if isinstance(x, cls) else cls(np.asarray(x), np.False_)

    def rearranged(self, rearrange: Callable[[Array], Array]) -> "Comparison":
        """Return the outcome with its elements rearranged by a function."""
        doubtful = np.broadcast_to(self.doubtful, self.holds.shape)
        return Comparison(rearrange(self.holds), rearrange(doubtful))

    def __invert__(self) -> "Comparison":
        return Comparison(~self.holds, self.doubtful)

    def __and__(self, other: "Comparison | Array") -> "Comparison":
        y = Comparison.of(other)
        possible = (self.holds | self.doubtful) & (y.holds | y.doubtful)
        return Comparison(self.holds & y.holds, possible & (self.doubtful | y.doubtful))

    def __or__(self, other: "Comparison | Array") -> "Comparison":
        return ~(~self & ~Comparison.of(other))

    __rand__ = __and__
    __ror__ = __or__


class Bounded(WrappedArray):
    """An array of values with bounds on their errors, which behaves like an array of the dtype.

    Parameters
    ----------
    value, error : numpy.ndarray, float64, of one shape
        m and e of the module's docstring.
    namespace : BoundedNamespace
        The namespace of the precision whose computations are bounded.
    """

    __slots__ = ("error",)

    error: Array
    namespace: Namespace
    scalars: ClassVar[tuple[type, ...]] = (int, float, np.ndarray, np.generic)

    def __init__(self, value: Array, error: Array, namespace: Namespace) -> None:
        self._array, self.error, self.namespace = value, error, namespace

    value: property = property(attrgetter("_array"), doc="The values m.")
    dtype: property = property(
        attrgetter("namespace.precision.dtype"), doc="That which is bounded, not that of `value`."
    )

    @property
    def magnitude(self) -> Array:
        """The largest possible magnitude of a computed result, |m| + 2 e."""
        return np.abs(self.value) + 2.0 * self.error

    @property
    def spread(self) -> Array:
        """The largest possible difference of two computations, 2 e; infinite if e is NaN."""
        spread = 2.0 * _SLACK * self.error
        return np.where(np.isnan(spread), np.inf, spread)

    def rearranged(self, rearrange: Callable[[Array], Array]) -> "Bounded":
        """Return the array with its elements rearranged by a function."""
        return Bounded(rearrange(self.value), rearrange(self.error), self.namespace)

    def __getitem__(self, key: Any) -> "Bounded":
        return self.rearranged(lambda x: x[key])

    def _whole(self) -> Array:
        raise NoBoundError("a Python number in the place of an array")


Bounded.operands = (Bounded, *Bounded.scalars)


def exact(x: ArrayOrScalar, namespace: Namespace) -> Bounded:
    """Return an array or a Python scalar, rounded to the dtype, as an argument of computations.

    Its error is that of this rounding, 0 if it has the dtype already.  Denormal numbers may be
    flushed to zero.
    """
    if isinstance(x, Bounded):
        return x
    value, precision = np.asarray(x, dtype=np.float64), namespace.precision
    rounded = value.astype(precision.dtype)
    denormal = np.abs(value) < precision.smallest_normal
    return Bounded(value, np.where(denormal, np.abs(value), np.abs(value - rounded)), namespace)
