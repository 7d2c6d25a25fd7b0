"""1/x and 1/sqrt(x): accuracy, special values, and the same bits everywhere."""

from typing import Any

import array_api_compat.numpy as xp
import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluggable_mlp.backends import Backend
from pluggable_mlp.namespaces.reproducible.reciprocal import reciprocal, rsqrt
from tests.namespaces.reproducible.elementary import (
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


class Careless(np.ndarray):
    """An array whose float32 quotients are off by one unit, as XLA's on a GPU may be."""

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        plain = [i.view(np.ndarray) if isinstance(i, Careless) else i for i in inputs]
        outs = tuple(out.view(np.ndarray) for out in kwargs.pop("out", ()))
        result = getattr(ufunc, method)(*plain, **kwargs, **({"out": outs} if outs else {}))
        if ufunc is np.true_divide and result.dtype == np.float32:
            result = np.nextafter(result, np.float32(INF))
        return result.view(Careless)


class CarelessNamespace:
    """NumPy, whose selections give such arrays."""

    def __getattr__(self, name: str) -> Any:
        return getattr(xp, name)

    def where(self, *arguments: Any) -> Careless:
        return np.where(*arguments).view(Careless)


def test_no_float32_quotient_is_trusted() -> None:
    x = np.random.default_rng(23).uniform(0.5, 2.0, 1000).astype(np.float32)
    assert (np.asarray(1.0 / x.view(Careless)) != 1.0 / x).all()
    assert (np.asarray(reciprocal(CarelessNamespace(), x)) == 1.0 / x).all()


def test_special_values() -> None:
    zeros = {0.0: INF, 1e-310: INF, -1e-310: INF}
    check_values(reciprocal, {**zeros, INF: 0.0, -INF: 0.0, NAN: NAN, -4.0: -0.25})
    check_values(rsqrt, {**zeros, INF: 0.0, -INF: NAN, NAN: NAN, -1.0: NAN, 4.0: 0.5})


@pytest.mark.parametrize("function", [reciprocal, rsqrt])
def test_they_have_the_same_bits(backend: Backend, function: Function) -> None:
    check_backend(backend, function)
