"""Bounds of variances, by the ways in which libraries compute them, and of cumulative sums."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from pluggable_mlp.namespaces.bounded import BoundedNamespace


def welford(x: Any) -> Any:
    mean, total = x[0], x[0] * 0
    for count, element in enumerate(x[1:], 2):
        distance = element - mean
        mean = mean + distance * x.dtype.type(1.0 / count)
        total = total + distance * (element - mean)
    return total / x.dtype.type(len(x))


@pytest.mark.parametrize("mean", [0.0, 1.0, 1e3, -1e5])
@pytest.mark.parametrize("count", [2, 3, 50, 1000])
def test_variances(count: int, mean: float) -> None:
    """Two passes and Welford's updates are within the bound, and E x² - (E x)² is not."""
    rng = np.random.default_rng(count)
    x = (rng.normal(size=(30, count)) + mean).astype("float32")
    wide = x.astype(np.longdouble)  # whose own rounding is 2^40 times as small
    exact = np.mean((wide - np.mean(wide, -1, keepdims=True)) ** 2, -1)
    error = BoundedNamespace("float32").var(x, axis=-1).error
    for computed in (np.var(x, axis=-1), np.asarray([welford(row) for row in x])):
        assert computed.dtype == "float32"
        assert (np.abs(computed - exact) <= error).all()
    naive = np.mean(x * x, -1) - np.mean(x, -1) ** 2
    if abs(mean) > 1e4:
        assert (np.abs(naive - exact) > error).any()


@pytest.mark.parametrize("order", [1, -1])
def test_cumulative_sums_grow_with_their_terms(order: int) -> None:
    """Sums by fractions, of numbers of all sizes; the first element is not rounded."""
    rng = np.random.default_rng(5)
    x = rng.choice([-1.0, 1.0], size=40) * 2.0 ** rng.integers(-20, 20, size=40)
    x = x.astype("float32")
    x[1::3] *= np.float32(1.1)
    xp = BoundedNamespace("float32")
    sums = xp.cumulative_sum(x, include_initial=True)
    assert sums.shape == (41,)
    assert sums.value[:2].tolist() == [0.0, float(x[0])]
    assert sums.error[1] < 1e-37
    for count in range(1, 41):
        computed = np.float32(0.0)
        for term in x[:count][::order]:
            computed = np.float32(computed + term)
        exact = sum(map(Fraction, x[:count].tolist()))
        assert abs(Fraction(float(computed)) - exact) <= Fraction(float(sums.error[count]))
    terms = np.cumsum(np.abs(x.astype(float)))
    assert sums.error[40] == pytest.approx(39 * 2.0**-24 * terms[39], rel=1e-3)
    assert xp.sums == 40
