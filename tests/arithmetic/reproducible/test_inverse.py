"""1/x and 1/sqrt(x): accuracy, special values, and the same bits everywhere."""

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluggable_mlp.arithmetic.reproducible.inverse import reciprocal, rsqrt
from pluggable_mlp.backends import Backend
from tests.arithmetic.reproducible.elementary import (
    INF,
    NAN,
    Case,
    Function,
    check_backend,
    check_values,
    points,
    worst,
    worst_float32,
)

RECIPROCAL = Case(reciprocal, lambda x: 1 / x, ((1.0, 2.0),), ((-1022, 1023.99, -1),))
RSQRT = Case(rsqrt, lambda x: 1 / mp.sqrt(x), ((1.0, 4.0),), ((-1022, 1023.99, 1),))


@pytest.mark.parametrize(("case", "bound"), [(RECIPROCAL, 0.5), (RSQRT, 0.5001)])
def test_they_are_nearly_correctly_rounded_in_float64(case: Case, bound: float) -> None:
    error, argument = worst(case, points(case))
    assert error <= bound, argument


@pytest.mark.parametrize(
    ("function", "reference"),
    [(reciprocal, lambda x: 1.0 / np.where(x == 0.0, 0.0, x)), (rsqrt, lambda x: 1.0 / np.sqrt(x))],
)
def test_they_are_nearly_correctly_rounded_in_float32(
    function: Function, reference: Function
) -> None:
    error, argument = worst_float32(function, reference)
    assert error <= 0.5001, argument


@given(st.floats(2.0**-1022, allow_infinity=False))
def test_they_are_within_one_ulp_anywhere(x: float) -> None:
    assert worst(RECIPROCAL, np.array([x]))[0] <= 1.0
    assert worst(RSQRT, np.array([x]))[0] <= 1.0


def test_special_values() -> None:
    zeros = {0.0: INF, 1e-310: INF, -1e-310: INF}
    check_values(reciprocal, {**zeros, INF: 0.0, -INF: 0.0, NAN: NAN, -4.0: -0.25})
    check_values(rsqrt, {**zeros, INF: 0.0, -INF: NAN, NAN: NAN, -1.0: NAN, 4.0: 0.5})


@pytest.mark.parametrize("function", [reciprocal, rsqrt])
def test_they_have_the_same_bits(backend: Backend, function: Function) -> None:
    check_backend(backend, function)
