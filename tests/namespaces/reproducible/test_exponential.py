"""e^x: accuracy, special values, order, and the same bits everywhere."""

import array_api_compat.numpy as xp
import mpmath as mp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pluggable_mlp.backends import Backend
from pluggable_mlp.namespaces.reproducible.exponential import exp, exp_parts
from tests.namespaces.reproducible.elementary import (
    INF,
    NAN,
    PRECISION,
    Case,
    check_backend,
    check_increasing,
    check_values,
    points,
    worst,
    worst_float32,
)

EXP = Case(
    exp,
    mp.exp,
    intervals=((-708.39, 709.78), (-1.0, 1.0), (-0.02, 0.02), (700.0, 709.78)),
    octaves=((-60, 0, 1), (-60, 0, -1)),
)


def test_exp_is_within_one_ulp_in_float64() -> None:
    error, argument = worst(EXP, points(EXP))
    assert error <= 0.51, argument


def test_exp_is_within_one_ulp_in_float32() -> None:
    error, argument = worst_float32(exp, np.exp)
    assert error <= 0.52, argument


@given(st.floats(-720.0, 709.78))
def test_exp_is_within_one_ulp_anywhere(x: float) -> None:
    assert worst(EXP, np.array([x]))[0] <= 1.0


def test_exp_of_special_values() -> None:
    check_values(exp, {0.0: 1.0, INF: INF, -INF: 0.0, NAN: NAN, 1e-40: 1.0, 710.0: INF})


def test_exp_ends_at_the_largest_and_the_smallest_normal_number() -> None:
    for dtype in ("float32", "float64"):
        info = np.finfo(dtype)
        last = np.array(mp_log(info.max)).astype(dtype)
        while mp.exp(float(last)) > float(info.max):
            last = np.nextafter(last, info.min)
        first = np.array(mp_log(info.smallest_normal)).astype(dtype)
        while mp.exp(float(first)) < float(info.smallest_normal):
            first = np.nextafter(first, info.max)
        x = np.array([last, np.nextafter(last, info.max), first, np.nextafter(first, info.min)])
        y = exp(xp, x)
        assert np.isfinite(y[0])
        assert y[1] == INF
        assert y[2] >= info.smallest_normal
        assert y[3] == 0.0


def mp_log(x: float) -> float:
    """Return the logarithm by mpmath."""
    with mp.workprec(PRECISION):
        return float(mp.log(mp.mpf(float(x))))


def test_exp_never_decreases() -> None:
    check_increasing(exp, (1e-4, 0.3, 1.0, 5.0, 80.0, -1e-4, -0.3, -1.0, -5.0, -80.0))


def test_exp_has_the_same_bits(backend: Backend) -> None:
    check_backend(backend, exp)


def test_the_parts_of_exp_are_accurate_to_many_more_bits() -> None:
    x = np.random.default_rng(3).uniform(-40.0, 40.0, 500)
    parts = exp_parts(xp, x)
    with mp.workprec(PRECISION):
        for value, k, *terms in zip(x.tolist(), *(part.tolist() for part in parts), strict=True):
            total = mp.fsum(mp.mpf(term) for term in terms) * mp.mpf(2) ** k
            assert abs(total / mp.exp(mp.mpf(value)) - 1) < mp.mpf(2) ** -60
