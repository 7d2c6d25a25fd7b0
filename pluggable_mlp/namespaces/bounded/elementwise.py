"""The elementwise functions of the bounded namespace, which take it and arrays of any shapes.

+ - * / **    see `array.py`
f(x)          the largest |f'| within 2 e of m, times e, + a number of ulps, see `ELEMENTARY`
max, abs      the (largest) error: these do not round
sign          0, or 2 where the sign is uncertain
floor, round  what lies between their values at m - 2 e and m + 2 e
where         the difference of the two values where the condition is uncertain
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.namespaces.bounded.array import (
    ArrayOrScalar,
    Bounded,
    Comparison,
    NoBoundError,
    exact,
)
from pluggable_mlp.namespaces.kinds import COMPARING

_ROUNDINGS_OF_POWER = 8  # equivalent to 4 ulps, see `ELEMENTARY`


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
# document them; measured on the CPU: exp 1.7, expm1 5.1, log 1.2, log1p 2.5, tanh 5.7, erf 4.4.
# The portable erf in float32: 7.54.
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


def _elementary(function: _Function, ns: Namespace, x: ArrayOrScalar) -> Bounded:
    x = exact(x, ns)
    reach = 2.0 * x.error
    value = np.asarray(function.compute(x.value))
    slope = function.slope(x.value, reach)
    # An ulp is at most 2 u times the result.
    ulps = 2.0 * function.ulps * ns.precision.unit
    # An exact argument propagates no error, however steep the function is there.
    inherited = np.where(x.error == 0.0, 0.0, slope * x.error)
    magnitude = np.abs(value) + 2.0 * inherited
    error = inherited + ulps * magnitude + ns.precision.rounding(magnitude, 0)
    return Bounded(value, error, ns)


def _rounded(
    ns: Namespace, value: Array, error: Array, magnitude: Array, roundings: int = 1
) -> Bounded:
    return Bounded(value, error + ns.precision.rounding(magnitude, roundings), ns)


def _add(ns: Namespace, a: ArrayOrScalar, b: ArrayOrScalar) -> Bounded:
    a, b = exact(a, ns), exact(b, ns)
    value, error = a.value + b.value, a.error + b.error
    return _rounded(ns, value, error, np.abs(value) + 2.0 * error)


def _negative(ns: Namespace, x: ArrayOrScalar) -> Bounded:
    x = exact(x, ns)
    return Bounded(-x.value, x.error, ns)


def _multiply(ns: Namespace, a: ArrayOrScalar, b: ArrayOrScalar) -> Bounded:
    roundings = 0 if _is_power_of_two(a) or _is_power_of_two(b) else 1
    a, b = exact(a, ns), exact(b, ns)
    sizes = a.magnitude, b.magnitude
    error = a.error * sizes[1] + sizes[0] * b.error
    return _rounded(ns, a.value * b.value, error, sizes[0] * sizes[1], roundings)


def _is_power_of_two(x: object) -> bool:
    """Return whether x is a Python scalar that multiplies without rounding."""
    return isinstance(x, (int, float)) and math.frexp(abs(x))[0] == 0.5


def _divide(ns: Namespace, a: ArrayOrScalar, b: ArrayOrScalar) -> Bounded:
    a, b = exact(a, ns), exact(b, ns)
    smallest = np.maximum(np.abs(b.value) - 2.0 * b.error, 0.0)
    quotient = a.magnitude / smallest
    error = (a.error + quotient * b.error) / smallest
    # A compiler may multiply by the reciprocal, which may be lost.
    lost = np.where(b.magnitude * ns.precision.smallest_normal > 1.0, quotient, 0.0)
    return _rounded(ns, a.value / b.value, error + lost, quotient, 4)


def _pow(ns: Namespace, x: ArrayOrScalar, n: ArrayOrScalar) -> Bounded:
    if not (isinstance(n, int | float) and float(n).is_integer()):
        raise NoBoundError("x ** y unless y is an integer")
    if n < 0:
        return _divide(ns, 1.0, _pow(ns, x, -n))
    x = exact(x, ns)
    value, size = x.value**n, x.magnitude
    if n == 0:
        return Bounded(value, np.zeros(x.shape), ns)
    inherited = np.where(x.error == 0.0, 0.0, n * x.error * size ** (n - 1))
    return _rounded(ns, value, inherited, size**n, max(int(n) - 1, _ROUNDINGS_OF_POWER))


def _compared(
    relation: Callable[[Array, Array], Array], ns: Namespace, a: ArrayOrScalar, b: ArrayOrScalar
) -> Comparison:
    a, b = exact(a, ns), exact(b, ns)
    error = a.error + b.error
    # Not `<=`: where nothing is known, the error may be NaN.
    doubtful = ~(np.abs(a.value - b.value) > 2.0 * error) & (error != 0.0)
    return Comparison(relation(a.value, b.value), doubtful)


def _sign(ns: Namespace, x: ArrayOrScalar) -> Bounded:
    x = exact(x, ns)
    doubtful = (x < 0.0).doubtful
    error = np.where(np.isfinite(x.error), np.where(doubtful, 2.0, 0.0), np.inf)  # NaN for NaN
    return Bounded(np.sign(x.value), error, ns)


def _stepped(function: Callable[[Array], Array], ns: Namespace, x: ArrayOrScalar) -> Bounded:
    """Return floor and the like, which are monotonic, so values lie between those of the ends."""
    x = exact(x, ns)
    low, high = (
        np.where(x.error == 0.0, x.value, np.nextafter(x.value + side * x.error, side * np.inf))
        for side in (-2.0, 2.0)
    )
    return Bounded(function(x.value), function(high) - function(low), ns)


def _maximum(ns: Namespace, a: ArrayOrScalar, b: ArrayOrScalar) -> Bounded:
    """Return the larger of each pair of elements; one that cannot be larger adds no error."""
    a, b = exact(a, ns), exact(b, ns)
    decided = np.abs(a.value - b.value) > 2.0 * (a.error + b.error)
    of_larger = np.where(a.value > b.value, a.error, b.error)
    error = np.where(decided, of_larger, np.maximum(a.error, b.error))
    return Bounded(np.maximum(a.value, b.value), error, ns)


def _minimum(ns: Namespace, a: ArrayOrScalar, b: ArrayOrScalar) -> Bounded:
    return _negative(ns, _maximum(ns, _negative(ns, a), _negative(ns, b)))


def _clip(
    ns: Namespace,
    x: ArrayOrScalar,
    min: "ArrayOrScalar | None" = None,
    max: "ArrayOrScalar | None" = None,
) -> Bounded:
    x = exact(x, ns)
    raised = x if min is None else _maximum(ns, x, min)
    return raised if max is None else _minimum(ns, raised, max)


def _where(
    ns: Namespace, condition: "Comparison | Array", a: ArrayOrScalar, b: ArrayOrScalar
) -> Bounded:
    condition = Comparison.of(condition)
    a, b = exact(a, ns), exact(b, ns)
    error = np.where(condition.holds, a.error, b.error)
    either = np.abs(a.value - b.value) + 2.0 * (a.error + b.error)
    value = np.where(condition.holds, a.value, b.value)
    return Bounded(value, np.where(condition.doubtful, either, error), ns)


def _where_positive(ns: Namespace, x: Bounded, a: Bounded, b: Bounded | None) -> Bounded:
    """Return `_where`, unknown where either is: libraries may add 0 times the other one."""
    other = exact(0.0 if b is None else b, ns)
    chosen = _where(ns, x <= 0.0, other, a)
    error = np.where(np.isfinite(a.error + other.error), chosen.error, np.inf)
    return Bounded(chosen.value, error, ns)


def _asked(question: Callable[[Array], Array], ns: Namespace, x: ArrayOrScalar) -> Comparison:
    """Return isfinite and the like, which are uncertain where any value is possible."""
    x = exact(x, ns)
    return Comparison(question(x.value), ~np.isfinite(x.error))


ELEMENTWISE: dict[str, Callable[..., Bounded | Comparison]] = {
    **{name: partial(_elementary, function) for name, function in ELEMENTARY.items()},
    **{name: partial(_stepped, getattr(np, name)) for name in ("floor", "ceil", "trunc", "round")},
    **{name: partial(_asked, getattr(np, name)) for name in ("isfinite", "isinf", "isnan")},
    "clip": _clip,
    "maximum": _maximum,
    "minimum": _minimum,
    "pow": _pow,
    "reciprocal": lambda ns, x: _divide(ns, 1.0, x),
    "sign": _sign,
    "where": _where,
    "where_positive": _where_positive,
}

# For integers and booleans, they are NumPy's.
ALSO_OF_INTEGERS: dict[str, Callable[..., Bounded | Comparison]] = {
    **{name: partial(_compared, getattr(np, name)) for name in COMPARING},
    "abs": lambda ns, x: Bounded(np.abs(x.value), x.error, ns),
    "add": _add,
    "divide": _divide,
    "logical_and": lambda _, a, b: Comparison.of(a) & b,
    "logical_not": lambda _, x: ~x,
    "logical_or": lambda _, a, b: Comparison.of(a) | b,
    "multiply": _multiply,
    "negative": _negative,
    "positive": lambda _, x: x,
    "square": lambda ns, x: _multiply(ns, x, x),
    "subtract": lambda ns, a, b: _add(ns, a, _negative(ns, b)),
}
