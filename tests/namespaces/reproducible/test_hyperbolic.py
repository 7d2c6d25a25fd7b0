"""tanh: accuracy, special values, symmetry, order, and the same bits everywhere."""

import array_api_compat.numpy as xp
import mpmath as mp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pluggable_mlp.backends import Backend
from pluggable_mlp.namespaces.reproducible.hyperbolic import tanh
from tests.namespaces.reproducible.elementary import (
    INF,
    NAN,
    Case,
    check_backend,
    check_increasing,
    check_values,
    every_kind,
    points,
    worst,
    worst_float32,
)

TANH = Case(
    tanh,
    mp.tanh,
    intervals=((-21.0, 21.0), (-1.0, 1.0), (-0.03, 0.03), (18.0, 20.5)),
    octaves=((-40, 0, 1), (-1022, 0, -1), (-29, -27, 1)),
)


def test_tanh_is_within_one_ulp_in_float64() -> None:
    error, argument = worst(TANH, points(TANH))
    assert error <= 0.53, argument


def test_tanh_is_within_one_ulp_in_float32() -> None:
    error, argument = worst_float32(tanh, np.tanh)
    assert error <= 0.65, argument


@given(st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False))
def test_tanh_is_within_one_ulp_anywhere(x: float) -> None:
    assert worst(TANH, np.array([x]))[0] <= 1.0


def test_tanh_of_special_values() -> None:
    values = {0.0: 0.0, 1e-310: 0.0, -1e-310: 0.0, INF: 1.0, -INF: -1.0, NAN: NAN}
    check_values(tanh, values)


def test_tanh_is_odd() -> None:
    for dtype in ("float32", "float64"):
        x = every_kind(dtype)
        assert np.array_equal(tanh(xp, -x), -tanh(xp, x), equal_nan=True)


def test_tanh_never_decreases() -> None:
    check_increasing(tanh, (1e-30, 1e-4, 0.01, 0.3, 1.0, 4.0, 9.0, -0.01, -1.0))


def test_tanh_has_the_same_bits(backend: Backend) -> None:
    check_backend(backend, tanh)
