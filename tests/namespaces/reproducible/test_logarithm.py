"""log x and log(1 + x): accuracy, special values, order, and the same bits everywhere."""

import array_api_compat.numpy as xp
import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluggable_mlp.backends import Backend
from pluggable_mlp.namespaces.reproducible.logarithm import log, log1p
from tests.namespaces.reproducible.elementary import (
    INF,
    NAN,
    Case,
    Function,
    assert_bits,
    check_backend,
    check_increasing,
    check_values,
    points,
    worst,
    worst_float32,
)

LOG = Case(
    log,
    mp.log,
    intervals=((0.5, 2.0), (0.69, 0.72), (0.9, 1.1), (0.999999, 1.000001)),
    octaves=((-1022, 1023.99, 1),),
)
LOG1P = Case(
    log1p,
    mp.log1p,
    intervals=((-0.35, 0.5), (-0.999, 3.0), (0.38, 0.45)),
    octaves=((-60, -1, 1), (-60, -1, -1), (-55, -50, 1), (-55, -50, -1), (-1022, 1023.99, 1)),
)


@pytest.mark.parametrize("case", [LOG, LOG1P], ids=["log", "log1p"])
def test_logarithms_are_within_one_ulp_in_float64(case: Case) -> None:
    error, argument = worst(case, points(case))
    assert error <= 0.95, argument


@pytest.mark.parametrize(("function", "reference"), [(log, np.log), (log1p, np.log1p)])
def test_logarithms_are_within_one_ulp_in_float32(function: Function, reference: Function) -> None:
    error, argument = worst_float32(function, reference)
    assert error <= 0.501, argument


@given(st.floats(2.0**-1022, allow_infinity=False))
def test_log_is_within_one_ulp_anywhere(x: float) -> None:
    assert worst(LOG, np.array([x]))[0] <= 1.0


@given(st.floats(-1.0, exclude_min=True, allow_infinity=False, allow_subnormal=False))
def test_log1p_is_within_one_ulp_anywhere(x: float) -> None:
    assert worst(LOG1P, np.array([x]))[0] <= 1.0


def test_log_of_special_values() -> None:
    values = {0.0: -INF, 1e-310: -INF, -1e-310: -INF, 1.0: 0.0, INF: INF}
    check_values(log, {**values, -INF: NAN, -1.0: NAN, NAN: NAN})


def test_log_of_a_power_of_two_is_the_nearest_multiple() -> None:
    x = np.exp2(np.arange(-1022.0, 1024.0))
    assert worst(LOG, x)[0] <= 0.51


def test_log1p_of_special_values() -> None:
    values = {0.0: 0.0, 1e-310: 0.0, -1e-310: 0.0, -1.0: -INF, INF: INF}
    check_values(log1p, {**values, -2.0: NAN, -INF: NAN, NAN: NAN})


def test_logarithms_never_decrease() -> None:
    check_increasing(log, (1e-30, 0.6, 0.7, 0.999, 1.0, 1.4, 3.0, 1e30))
    check_increasing(log1p, (1e-30, 1e-8, 0.3, 0.41, 1.0, 1e30, -1e-30, -1e-8, -0.3, -0.9))


@pytest.mark.parametrize("function", [log, log1p])
def test_logarithms_have_the_same_bits(backend: Backend, function: Function) -> None:
    check_backend(backend, function)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_same_bits_near_the_ties_of_the_exponent(backend: Backend, dtype: str) -> None:
    """Near odd powers of sqrt(2), where a library's own roots decide the exponent at first."""
    generator = np.random.default_rng(23)
    x = np.ldexp(2.0**0.5, generator.integers(-60, 60, 100_000))
    x = (x * (1.0 + 1e-3 * generator.normal(size=x.size))).astype(dtype)
    assert_bits(backend.to_numpy(log(backend.xp, backend.asarray(x))), log(xp, x), x)
