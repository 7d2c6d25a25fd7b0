"""The elementwise functions of the bounded namespace: of the precision and arrays of any shapes.

f(x)          the largest |f'| within 2 e of m, times e, + a number of ulps, see `ELEMENTARY`
max, abs      the (largest) error: these do not round
sign          0, or 2 where the sign is uncertain
floor, round  what lies between their values at m - 2 e and m + 2 e
where         the difference of the two values where the condition is uncertain
"""

import math
import operator
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.namespaces.bounded.array import (
    ArrayOrScalar,
    Bounded,
    Comparison,
    Precision,
    exact,
)


class _Function(NamedTuple):
    """An elementary function, the largest |f'| on [m - r, m + r], and its error in ulps."""

    compute: Callable[[Array], Array]
    slope: Callable[[Array, Array], Array]
    ulps: float


def _slope_of_logarithm(base: float) -> Callable[[Array, Array], Array]:
    return lambda m, r: 1.0 / (math.log(base) * np.maximum(m - r, 0.0))


# The largest errors of the libraries' functions in ulps.  Documented: NumPy's SVML below 4; NumPy's
# own float32 exp 2.52 and log 3.83; SLEEF "u10", which PyTorch uses, 1; MKL's VML "high
# accuracy" 1; CUDA exp 2, log 1, log1p 1, log2 1, log10 2, expm1 1, tanh 2, erf 2, pow 4 (float32),
# single-precision division 2 (CUDA C++ Programming Guide, "Mathematical Functions").  XLA does not
# document them; measured on the CPU: exp 1.7, expm1 5.1, log 1.2, log1p 2.5, tanh 5.7,
# erf 4.4.
# tests/namespaces/bounded/test_functions.py measures all of them.
ELEMENTARY = {
    "exp": _Function(np.exp, lambda m, r: np.exp(m + r), 4.0),
    "expm1": _Function(np.expm1, lambda m, r: np.exp(m + r), 8.0),
    "log": _Function(np.log, _slope_of_logarithm(math.e), 4.0),
    "log2": _Function(np.log2, _slope_of_logarithm(2.0), 4.0),
    "log10": _Function(np.log10, _slope_of_logarithm(10.0), 4.0),
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


def _elementary(function: _Function, precision: Precision, x: ArrayOrScalar) -> Bounded:
    x = exact(x, precision)
    reach = 2.0 * x.error
    value = np.asarray(function.compute(x.value))
    slope = function.slope(x.value, reach)
    # An ulp is at most 2 u times the result.
    ulps = 2.0 * function.ulps * precision.unit
    # An exact argument passes no error on, however steep the function is there.
    inherited = np.where(x.error == 0.0, 0.0, slope * x.error)
    magnitude = np.abs(value) + 2.0 * inherited
    error = inherited + ulps * magnitude + precision.rounding(magnitude, 0)
    return Bounded(value, error, precision)


def _sign(precision: Precision, x: ArrayOrScalar) -> Bounded:
    x = exact(x, precision)
    doubtful = (x < 0.0).doubtful
    error = np.where(np.isfinite(x.error), np.where(doubtful, 2.0, 0.0), np.inf)  # of NaN it is NaN
    return Bounded(np.sign(x.value), error, precision)


def _stepped(function: Callable[[Array], Array], precision: Precision, x: ArrayOrScalar) -> Bounded:
    """Return floor and the like, which are monotonic: no value is outside those of the ends."""
    x = exact(x, precision)
    low, high = (
        np.where(x.error == 0.0, x.value, np.nextafter(x.value + side * x.error, side * np.inf))
        for side in (-2.0, 2.0)
    )
    return Bounded(function(x.value), function(high) - function(low), precision)


def _maximum(precision: Precision, a: ArrayOrScalar, b: ArrayOrScalar) -> Bounded:
    """Return the larger of each pair of elements; one that cannot be it adds no error."""
    a, b = exact(a, precision), exact(b, precision)
    decided = np.abs(a.value - b.value) > 2.0 * (a.error + b.error)
    of_larger = np.where(a.value > b.value, a.error, b.error)
    error = np.where(decided, of_larger, np.maximum(a.error, b.error))
    return Bounded(np.maximum(a.value, b.value), error, precision)


def _minimum(precision: Precision, a: ArrayOrScalar, b: ArrayOrScalar) -> Bounded:
    return -_maximum(precision, -exact(a, precision), -exact(b, precision))


def _clip(
    precision: Precision,
    x: ArrayOrScalar,
    min: "ArrayOrScalar | None" = None,
    max: "ArrayOrScalar | None" = None,
) -> Bounded:
    x = exact(x, precision)
    raised = x if min is None else _maximum(precision, x, min)
    return raised if max is None else _minimum(precision, raised, max)


def _where(
    precision: Precision, condition: "Comparison | Array", a: ArrayOrScalar, b: ArrayOrScalar
) -> Bounded:
    condition = Comparison.of(condition)
    a, b = exact(a, precision), exact(b, precision)
    error = np.where(condition.holds, a.error, b.error)
    either = np.abs(a.value - b.value) + 2.0 * (a.error + b.error)
    value = np.where(condition.holds, a.value, b.value)
    return Bounded(value, np.where(condition.doubtful, either, error), precision)


def _asked(
    question: Callable[[Array], Array], precision: Precision, x: ArrayOrScalar
) -> Comparison:
    """Return isfinite and the like: in doubt where anything may be the value."""
    x = exact(x, precision)
    return Comparison(question(x.value), ~np.isfinite(x.error))


ELEMENTWISE: dict[str, Callable[..., Bounded | Comparison]] = {
    **{name: partial(_elementary, function) for name, function in ELEMENTARY.items()},
    **{name: partial(_stepped, getattr(np, name)) for name in ("floor", "ceil", "trunc", "round")},
    **{name: partial(_asked, getattr(np, name)) for name in ("isfinite", "isinf", "isnan")},
    "clip": _clip,
    "maximum": _maximum,
    "minimum": _minimum,
    "reciprocal": lambda precision, x: 1.0 / exact(x, precision),
    "sign": _sign,
    "where": _where,
}

# As operators of arrays, of integers and booleans, too.
OPERATORS: dict[str, Callable[..., Any]] = {
    "abs": operator.abs,
    "add": operator.add,
    "divide": operator.truediv,
    "equal": operator.eq,
    "greater": operator.gt,
    "greater_equal": operator.ge,
    "less": operator.lt,
    "less_equal": operator.le,
    "logical_and": operator.and_,
    "logical_not": operator.invert,
    "logical_or": operator.or_,
    "multiply": operator.mul,
    "negative": operator.neg,
    "not_equal": operator.ne,
    "positive": lambda x: x,
    "square": lambda x: x * x,
    "subtract": operator.sub,
}
