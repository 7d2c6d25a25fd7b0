"""1/x, 1/sqrt(x) and sqrt(x): accuracy, special values, and the same bits everywhere.

sqrt is rounded correctly, also from a library's root that is not.
"""

from typing import Any

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluggable_mlp.backends import Backend
from pluggable_mlp.elementary.powers import reciprocal, root, rsqrt, sqrt
from tests.elementary.cases import (
    INF,
    NAN,
    Case,
    Function,
    assert_bits,
    check_backend,
    check_values,
    every_kind,
    points,
    worst,
    worst_float32,
)

pytestmark = pytest.mark.quick_on("jax:cpu")

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
        return getattr(np, name)

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


def squares_and_their_neighbours():
    """Where the root is a number or a midpoint, or just beside one (n,)."""
    generator = np.random.default_rng(17)
    exact = np.concatenate(
        [
            generator.integers(2**25, 2**26, 3000).astype(float) ** 2,
            # Of an odd 27-bit number: 54 bits, beside a midpoint after rounding.
            (2.0 * generator.integers(2**25, 2**26, 3000) + 1.0) ** 2,
            np.ldexp(1.0, np.arange(-60, 61)),
        ]
    )
    return np.concatenate([exact, np.nextafter(exact, 0.0), np.nextafter(exact, INF)])


class Crooked:
    """NumPy, its square root off by a number of units in the last place."""

    def __init__(self, units):
        self.units = units

    def __getattr__(self, name):
        return getattr(np, name)

    def sqrt(self, x):
        return np.sqrt(x) * (1.0 + self.units * 2.0**-52)


@pytest.mark.parametrize("units", [0, 1, -1, 2, -2, 4000, -4000])
def test_sqrt_is_correctly_rounded_from_a_crooked_root(units):
    """The oracle is NumPy's root, which is the processor's: IEEE 754's."""
    x = np.concatenate(
        [np.random.default_rng(19).uniform(0.25, 4.0, 30_000), squares_and_their_neighbours()]
    )
    assert_bits(root(Crooked(units), x), np.sqrt(x), x)
    single = x.astype(np.float32)
    assert_bits(sqrt(Crooked(units), single), np.sqrt(single), single)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sqrt_is_correctly_rounded_of_every_kind(dtype):
    x = every_kind(dtype)
    smallest = np.finfo(dtype).smallest_normal
    with np.errstate(invalid="ignore"):
        expected = np.sqrt(np.where(np.abs(x) < smallest, np.zeros_like(x), x))
    expected[np.isnan(expected)] = NAN
    assert_bits(sqrt(np, x), expected, x)


def test_special_values_of_sqrt():
    check_values(
        sqrt, {0.0: 0.0, 1e-310: 0.0, -1e-310: 0.0, INF: INF, -INF: NAN, NAN: NAN, 4.0: 2.0}
    )


def test_sqrt_has_the_same_bits(backend):
    check_backend(backend, sqrt)
