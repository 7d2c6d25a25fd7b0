"""Sigmoid and softplus: accuracy, special values, order, and the same bits everywhere."""

from typing import Any

import array_api_compat.numpy as xp
import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluggable_mlp.backends import Backend
from pluggable_mlp.namespaces.reproducible.sigmoid import sigmoid, softplus
from tests.namespaces.reproducible.elementary import (
    INF,
    NAN,
    Case,
    Function,
    check_backend,
    check_increasing,
    check_values,
    points,
    worst,
    worst_float32,
)

OCTAVES = ((-60, 0, 1), (-60, 0, -1))
SIGMOID = Case(
    sigmoid,
    lambda x: 1 / (1 + mp.exp(-x)),
    intervals=((-708.39, 40.0), (-40.0, -3.0), (-3.0, 3.0), (3.0, 40.0)),
    octaves=OCTAVES,
)
SOFTPLUS = Case(
    softplus,
    lambda x: mp.log1p(mp.exp(x)),
    intervals=((-708.39, 70.0), (-40.0, -3.0), (-3.0, 3.0), (-1.0, -0.6), (3.0, 40.0)),
    octaves=OCTAVES,
)


def sigmoid_in_float64(x: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-x))


def softplus_in_float64(x: Any) -> Any:
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


@pytest.mark.parametrize(("case", "bound"), [(SIGMOID, 0.51), (SOFTPLUS, 0.95)])
def test_they_are_within_one_ulp_in_float64(case: Case, bound: float) -> None:
    error, argument = worst(case, points(case))
    assert error <= bound, argument


@pytest.mark.parametrize(
    ("function", "reference"), [(sigmoid, sigmoid_in_float64), (softplus, softplus_in_float64)]
)
def test_they_are_within_one_ulp_in_float32(function: Function, reference: Any) -> None:
    error, argument = worst_float32(function, reference)
    assert error <= 0.58, argument


@given(st.floats(-800.0, 800.0, allow_subnormal=False))
def test_sigmoid_is_within_one_ulp_anywhere(x: float) -> None:
    assert worst(SIGMOID, np.array([x]))[0] <= 1.0


@given(st.floats(-800.0, 800.0, allow_subnormal=False))
def test_softplus_is_within_one_ulp_anywhere(x: float) -> None:
    assert worst(SOFTPLUS, np.array([x]))[0] <= 1.0


def test_special_values() -> None:
    check_values(sigmoid, {0.0: 0.5, INF: 1.0, -INF: 0.0, NAN: NAN, 1e-40: 0.5})
    half = float(np.log(2.0))
    assert half == float(mp.log(2))
    check_values(softplus, {0.0: half, INF: INF, -INF: 0.0, NAN: NAN, 1e30: 1e30})


def test_sigmoid_and_its_mirror_image_add_to_one() -> None:
    x = np.random.default_rng(5).normal(0.0, 10.0, 2000)
    assert np.all(np.abs(sigmoid(xp, x) + sigmoid(xp, -x) - 1.0) <= 2.0**-52)


def test_they_never_decrease() -> None:
    starts = (1e-8, 1e-3, 0.3, 1.0, 5.0, 16.0, 60.0, -1e-8, -1e-3, -0.69, -1.0, -5.0, -20.0, -87.0)
    check_increasing(sigmoid, starts)
    check_increasing(softplus, starts)


@pytest.mark.parametrize("function", [sigmoid, softplus])
def test_they_have_the_same_bits(backend: Backend, function: Function) -> None:
    check_backend(backend, function)
