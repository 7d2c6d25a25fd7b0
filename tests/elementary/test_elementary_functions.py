"""Elementary functions: accuracy, special values, order, symmetry, and the same bits everywhere.

The reciprocal and the roots are in files of their own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import erf as libm_erf
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluggable_mlp.backends import Backend
from pluggable_mlp.elementary.error_function import erf, fast_erf
from pluggable_mlp.elementary.powers import exp, log, log1p
from pluggable_mlp.elementary.sigmoid import sigmoid, softplus, tanh
from tests.elementary.cases import (
    INF,
    NAN,
    Case,
    assert_bits,
    check_backend,
    check_increasing,
    check_values,
    points,
    worst,
    worst_float32,
)

pytestmark = pytest.mark.quick_on("jax:cpu")


@dataclass(frozen=True)
class Elementary(Case):
    """What is expected of a function.

    `float64` and `float32` are the largest errors in ulps; `reference` is the function in NumPy's
    float64.  Over `anywhere`, errors are at most 1 ulp.  `values` are results at special points.
    Results do not decrease from each of `starts` on.
    """

    reference: Callable[[Any], Any] = np.exp
    float64: float = 1.0
    float32: float = 1.0
    anywhere: Any = field(default_factory=st.floats)
    values: dict[float, float] = field(default_factory=dict)
    starts: Sequence[float] = ()


AROUND_ZERO = ((-60, 0, 1), (-60, 0, -1))
ODD_VALUES = {0.0: 0.0, 1e-310: 0.0, -1e-310: 0.0, INF: 1.0, -INF: -1.0, NAN: NAN}
SIGMOID_STARTS = (
    *(1e-8, 1e-3, 0.3, 1.0, 5.0, 16.0, 60.0),
    *(-1e-8, -1e-3, -0.69, -1.0, -5.0, -20.0, -87.0),
)
NORMAL = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)

FUNCTIONS = {
    "exp": Elementary(
        exp,
        mp.exp,
        intervals=((-708.39, 709.78), (-1.0, 1.0), (-0.02, 0.02), (700.0, 709.78)),
        octaves=AROUND_ZERO,
        reference=np.exp,
        float64=0.51,
        float32=0.52,
        anywhere=st.floats(-720.0, 709.78),
        values={0.0: 1.0, INF: INF, -INF: 0.0, NAN: NAN, 1e-40: 1.0, 710.0: INF},
        starts=(1e-4, 0.3, 1.0, 5.0, 80.0, -1e-4, -0.3, -1.0, -5.0, -80.0),
    ),
    "log": Elementary(
        log,
        mp.log,
        intervals=((0.5, 2.0), (0.69, 0.72), (0.9, 1.1), (0.999999, 1.000001)),
        octaves=((-1022, 1023.99, 1),),
        reference=np.log,
        float64=0.95,
        float32=0.501,
        anywhere=st.floats(2.0**-1022, allow_infinity=False),
        values={
            **{0.0: -INF, 1e-310: -INF, -1e-310: -INF, 1.0: 0.0, INF: INF},
            **{-INF: NAN, -1.0: NAN, NAN: NAN},
        },
        starts=(1e-30, 0.6, 0.7, 0.999, 1.0, 1.4, 3.0, 1e30),
    ),
    "log1p": Elementary(
        log1p,
        mp.log1p,
        intervals=((-0.35, 0.5), (-0.999, 3.0), (0.38, 0.45)),
        octaves=((-60, -1, 1), (-60, -1, -1), (-55, -50, 1), (-55, -50, -1), (-1022, 1023.99, 1)),
        reference=np.log1p,
        float64=0.95,
        float32=0.501,
        anywhere=st.floats(-1.0, exclude_min=True, allow_infinity=False, allow_subnormal=False),
        values={
            **{0.0: 0.0, 1e-310: 0.0, -1e-310: 0.0, -1.0: -INF, INF: INF},
            **{-2.0: NAN, -INF: NAN, NAN: NAN},
        },
        starts=(1e-30, 1e-8, 0.3, 0.41, 1.0, 1e30, -1e-30, -1e-8, -0.3, -0.9),
    ),
    "tanh": Elementary(
        tanh,
        mp.tanh,
        intervals=((-21.0, 21.0), (-1.0, 1.0), (-0.03, 0.03), (18.0, 20.5)),
        octaves=((-40, 0, 1), (-1022, 0, -1), (-29, -27, 1)),
        reference=np.tanh,
        float64=0.53,
        float32=0.65,
        anywhere=NORMAL,
        values=ODD_VALUES,
        starts=(1e-30, 1e-4, 0.01, 0.3, 1.0, 4.0, 9.0, -0.01, -1.0),
    ),
    "sigmoid": Elementary(
        sigmoid,
        lambda x: 1 / (1 + mp.exp(-x)),
        intervals=((-708.39, 40.0), (-40.0, -3.0), (-3.0, 3.0), (3.0, 40.0)),
        octaves=AROUND_ZERO,
        reference=lambda x: 1.0 / (1.0 + np.exp(-x)),
        float64=0.51,
        float32=0.58,
        anywhere=st.floats(-800.0, 800.0, allow_subnormal=False),
        values={0.0: 0.5, INF: 1.0, -INF: 0.0, NAN: NAN, 1e-40: 0.5},
        starts=SIGMOID_STARTS,
    ),
    "softplus": Elementary(
        softplus,
        lambda x: mp.log1p(mp.exp(x)),
        intervals=((-708.39, 70.0), (-40.0, -3.0), (-3.0, 3.0), (-1.0, -0.6), (3.0, 40.0)),
        octaves=AROUND_ZERO,
        reference=lambda x: np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x))),
        float64=0.95,
        float32=0.58,
        anywhere=st.floats(-800.0, 800.0, allow_subnormal=False),
        values={0.0: float(mp.log(2)), INF: INF, -INF: 0.0, NAN: NAN, 1e30: 1e30},
        starts=SIGMOID_STARTS,
    ),
    "erf": Elementary(
        erf,
        mp.erf,
        intervals=((-6.5, 6.5), (0.8, 1.3), (1.25, 1.4), (-0.85, 0.85)),
        octaves=((-40, 0, 1), (-1022, 0, -1)),
        reference=np.vectorize(libm_erf, otypes=[np.float64]),
        float64=0.95,
        float32=0.6,
        anywhere=NORMAL.filter(lambda x: not 1.25 <= abs(x) < 1.3),
        values=ODD_VALUES,
        starts=(1e-30, 1e-4, 0.3, 0.843, 1.0, 1.249, 2.0, 3.9, -0.3, -1.0),
    ),
}
EVERY = pytest.mark.parametrize("name", FUNCTIONS)


@EVERY
def test_errors_in_float64(name: str) -> None:
    error, argument = worst(FUNCTIONS[name], points(FUNCTIONS[name]))
    assert error <= FUNCTIONS[name].float64, argument


@EVERY
def test_errors_in_float32(name: str) -> None:
    error, argument = worst_float32(FUNCTIONS[name].function, FUNCTIONS[name].reference)
    assert error <= FUNCTIONS[name].float32, argument


@EVERY
@given(data=st.data())
def test_errors_anywhere_are_at_most_one_ulp(name: str, data: st.DataObject) -> None:
    x = data.draw(FUNCTIONS[name].anywhere)
    assert worst(FUNCTIONS[name], np.array([x]))[0] <= 1.0


@EVERY
def test_special_values(name: str) -> None:
    check_values(FUNCTIONS[name].function, FUNCTIONS[name].values)


@EVERY
def test_results_never_decrease(name: str) -> None:
    check_increasing(FUNCTIONS[name].function, FUNCTIONS[name].starts)


@EVERY
def test_every_backend_gives_the_same_bits(backend: Backend, name: str) -> None:
    check_backend(backend, FUNCTIONS[name].function)


def test_erf_just_above_the_second_interval() -> None:
    """There its largest errors are, up to 1.16 ulp of four million; 1.0 would be no bound."""
    x = np.random.default_rng(0).uniform(1.25, 1.2501, 10_000)
    x[0] = 1.2500085983264684
    error, argument = worst(FUNCTIONS["erf"], x)
    assert 1.0 < error <= 1.2, argument


def test_fast_erf_in_float32() -> None:
    """Without a clip, roundings would take it beyond 1, and gelu of -5 above 0."""
    x = np.linspace(0.125, 4.5, 1_000_000, dtype=np.float32)
    exact = np.vectorize(libm_erf, otypes=[np.float64])(x)
    for sign in (1, -1):
        y = sign * fast_erf(np, sign * x)
        assert np.max(y) == 1.0
        assert np.max(np.abs(y - exact) / np.spacing(exact.astype(np.float32))) <= 8.0


@given(st.floats(1.25, 1.3), st.sampled_from([1.0, -1.0]))
def test_erf_in_the_interval_of_its_largest_errors(x: float, sign: float) -> None:
    assert worst(FUNCTIONS["erf"], np.array([sign * x]))[0] <= 1.2


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_log_has_the_same_bits_near_the_ties_of_the_exponent(backend: Backend, dtype: str) -> None:
    """Near odd powers of sqrt(2), where a library's own roots decide the exponent at first."""
    generator = np.random.default_rng(23)
    x = np.ldexp(2.0**0.5, generator.integers(-60, 60, 100_000))
    x = (x * (1.0 + 1e-3 * generator.normal(size=x.size))).astype(dtype)
    assert_bits(backend.to_numpy(log(backend.xp, backend.asarray(x))), log(np, x), x)
