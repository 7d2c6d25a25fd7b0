"""The values of the reproducible namespace against NumPy, fractions and mpmath."""

import math
from fractions import Fraction
from itertools import accumulate
from typing import Any

import array_api_compat.numpy
import mpmath
import numpy as np
import pytest

from pluggable_mlp import reproducible, to_native
from tests.elementary.cases import ulps

NUMPY = reproducible(array_api_compat.numpy)
DTYPES = ("float32", "float64")


EXACT = {
    "expm1": mpmath.expm1,
    "log2": lambda x: mpmath.log(x, 2),
    "log10": lambda x: mpmath.log(x, 10),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", EXACT)
def test_added_functions_keep_their_bounds(name: str, dtype: str) -> None:
    generator = np.random.default_rng(5)
    magnitudes = np.exp2(generator.uniform(-100.0, 6.4, 2000))
    signs = generator.choice([-1.0, 1.0], 2000) if name == "expm1" else 1.0
    x = (magnitudes * signs).astype(dtype)
    y = to_native(getattr(NUMPY, name)(NUMPY.asarray(x)))
    bound = 0.51 if dtype == "float32" else {"expm1": 2.0}.get(name, 3.0)
    with mpmath.workprec(200):
        worst = max(
            ulps(float(found), EXACT[name](mpmath.mpf(float(argument))), dtype)
            for argument, found in zip(x, y, strict=True)
        )
    assert worst <= bound


def test_logarithms_of_powers_of_two_are_exact() -> None:
    exponents = np.arange(-1022.0, 1024.0)
    found = to_native(NUMPY.log2(NUMPY.asarray(np.exp2(exponents))))
    np.testing.assert_array_equal(found, exponents)


@pytest.mark.parametrize("dtype", DTYPES)
def test_quotients_are_within_one_and_a_half_ulp(dtype: str) -> None:
    generator = np.random.default_rng(6)
    a, b = (generator.normal(0.0, 1.0, 2000).astype(dtype) for _ in range(2))
    b[::3] *= dtype_power(dtype, 100)
    a[::3] *= dtype_power(dtype, 90)
    found = to_native(NUMPY.asarray(a) / NUMPY.asarray(b))
    with mpmath.workprec(200):
        worst = max(
            ulps(float(q), mpmath.mpf(float(x)) / mpmath.mpf(float(y)), dtype)
            for x, y, q in zip(a, b, found, strict=True)
        )
    assert 0.5 < worst <= 1.5


@pytest.mark.parametrize("dtype", DTYPES)
def test_quotients_by_numbers_are_within_one_and_a_half_ulp(dtype: str) -> None:
    """Of the quotient by the number itself, which need not be of the dtype."""
    a = np.random.default_rng(7).uniform(1.0, 2.0, 500).astype(dtype)
    worst = 0.0
    with mpmath.workprec(200):
        for number in (3.0, 0.1, 1.3, 1.7, 1.9999, 3.1, 7.3, 1e-20, 1e20):
            found = to_native(NUMPY.asarray(a) / number)
            for x, q in zip(a, found, strict=True):
                worst = max(worst, ulps(float(q), mpmath.mpf(float(x)) / number, dtype))
    assert 0.5 < worst <= 1.5


def dtype_power(dtype: str, exponent: int) -> Any:
    return np.dtype(dtype).type(2.0**exponent)


def test_huge_divisors_do_not_make_their_quotients_vanish() -> None:
    x = NUMPY.asarray(np.asarray([3e38, 1e38], np.float32))
    np.testing.assert_allclose(to_native(x / x), 1.0, rtol=2e-7)
    np.testing.assert_allclose(to_native(x / 3e38), [1.0, 1.0 / 3.0], rtol=2e-7)


def test_sums_are_those_of_fractions() -> None:
    x = np.random.default_rng(8).normal(0.0, 1.0, 999)
    exact = sum(map(Fraction, x.tolist()))
    assert float(NUMPY.sum(NUMPY.asarray(x))) == float(exact)
    running = to_native(NUMPY.cumulative_sum(NUMPY.asarray(x)))
    partial = [float(total) for total in accumulate(map(Fraction, x.tolist()))]
    np.testing.assert_allclose(running, partial, rtol=0.0, atol=10 * 2.0**-53 * np.abs(x).sum())


def test_running_sums_of_float32_are_added_in_float64() -> None:
    x = np.random.default_rng(8).normal(0.0, 1.0, 999).astype(np.float32)
    exact = [float(total) for total in accumulate(map(Fraction, x.tolist()))]
    running = to_native(NUMPY.cumulative_sum(NUMPY.asarray(x)))
    np.testing.assert_array_equal(running, np.asarray(exact, np.float32))


@pytest.mark.parametrize("name", ["var", "std"])
def test_a_correction_counts_as_so_many_numbers_less(name: str) -> None:
    x = np.random.default_rng(9).normal(0.0, 1.0, (3, 4))
    found = to_native(getattr(NUMPY, name)(NUMPY.asarray(x), axis=0, correction=1.0))
    np.testing.assert_allclose(found, getattr(np, name)(x, axis=0, ddof=1), rtol=1e-13)


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), (-1, 1)])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("name", ["sum", "mean", "var", "std", "prod", "max", "min"])
def test_reductions_over_any_axes_agree_with_numpy(name: str, axis: Any, keepdims: bool) -> None:
    x = np.random.default_rng(9).normal(0.0, 1.0, (3, 4, 5))
    found = to_native(getattr(NUMPY, name)(NUMPY.asarray(x), axis=axis, keepdims=keepdims))
    expected = getattr(np, name)(x, axis=axis, keepdims=keepdims)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-13)


# Of (xp, x, y), two matrices without zeros.
SAME_AS_NUMPY: dict[str, Any] = {
    "diff": lambda xp, x, y: xp.diff(x, axis=0),
    "diff twice": lambda xp, x, y: xp.diff(x, n=2),
    "diff between others": lambda xp, x, y: xp.diff(x, axis=0, prepend=y, append=y),
    "cumulative_prod": lambda xp, x, y: xp.cumulative_prod(x, axis=1),
    "cumulative_sum": lambda xp, x, y: xp.cumulative_sum(x, axis=0, include_initial=True),
    "copysign": lambda xp, x, y: xp.copysign(x, y),
    "sign": lambda xp, x, y: xp.sign(x) + xp.astype(xp.signbit(y), x.dtype),
    "clip": lambda xp, x, y: xp.clip(x, -0.5, 0.25),
    "logaddexp": lambda xp, x, y: xp.logaddexp(x, y),
    "logaddexp of infinity": lambda xp, x, y: xp.logaddexp(xp.full_like(x, math.inf), -x / 0.0),
    "logaddexp of nothing": lambda xp, x, y: xp.logaddexp(*[xp.full_like(x, -math.inf)] * 2),
    "square and pow": lambda xp, x, y: xp.square(x) - x**3 + xp.abs(y) ** 0.5 - x**-2,
    "ceil, floor, round, trunc": lambda xp, x, y: xp.stack(
        [xp.ceil(8 * x), xp.floor(8 * x), xp.round(8 * x), xp.trunc(8 * x)]
    ),
    "norms": lambda xp, x, y: xp.stack(
        [xp.linalg.vector_norm(x, axis=0, ord=order) for order in (0, 1, 2, math.inf, -math.inf)]
    ),
    "diagonal": lambda xp, x, y: xp.linalg.diagonal(x, offset=1),
    "arange": lambda xp, x, y: xp.arange(0.5, 3.0, 0.3, dtype=x.dtype),
    "linspace": lambda xp, x, y: xp.linspace(0.0, 1.0, 50, dtype=x.dtype),
    "linspace without its end": lambda xp, x, y: xp.linspace(
        -1.0, 2.0, 7, endpoint=False, dtype=x.dtype
    ),
}


@pytest.mark.parametrize("name", SAME_AS_NUMPY)
def test_values_agree_with_numpy(name: str) -> None:
    generator = np.random.default_rng(13)
    x, y = generator.normal(size=(2, 6, 6))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = SAME_AS_NUMPY[name](NUMPY, NUMPY.asarray(x), NUMPY.asarray(y))
        expected = SAME_AS_NUMPY[name](array_api_compat.numpy, x, y)
    np.testing.assert_allclose(to_native(found), expected, rtol=1e-13)


def test_the_last_of_linspace_is_its_end() -> None:
    """49 times the 49th part of 1 is less than 1."""
    assert float(NUMPY.linspace(0.0, 1.0, 50, dtype=NUMPY.float64)[-1]) == 1.0


def test_products_along_any_axes_agree_with_numpy() -> None:
    generator = np.random.default_rng(10)
    a, b = generator.normal(size=(2, 3, 4)), generator.normal(size=(4, 5))
    v = generator.normal(size=4)
    A, B, V = map(NUMPY.asarray, (a, b, v))
    pairs = [
        (A @ B, a @ b),
        (A @ V, a @ v),
        (V @ B, v @ b),
        (V @ V, v @ v),
        (NUMPY.tensordot(A, B, axes=1), np.tensordot(a, b, axes=1)),
        (NUMPY.tensordot(A, B, axes=((2,), (0,))), np.tensordot(a, b, axes=((2,), (0,)))),
        (NUMPY.vecdot(A, V), np.vecdot(a, v)),
        (NUMPY.vecdot(A, A, axis=-2), np.vecdot(a, a, axis=-2)),
        (NUMPY.linalg.outer(V, V), np.outer(v, v)),
        (NUMPY.linalg.trace(A[:, :, :3]), np.trace(a[:, :, :3], axis1=1, axis2=2)),
        (NUMPY.linalg.trace(A, offset=-1), np.trace(a, offset=-1, axis1=1, axis2=2)),
        (NUMPY.linalg.vector_norm(A, axis=(0, 2)), np.sqrt((a * a).sum((0, 2)))),
        (NUMPY.linalg.vector_norm(A, axis=1, ord=1), np.abs(a).sum(1)),
        (NUMPY.linalg.vector_norm(A * 1e200), np.linalg.norm(a.ravel()) * 1e200),
    ]
    for found, expected in pairs:
        assert found.shape == expected.shape
        np.testing.assert_allclose(to_native(found), expected, rtol=1e-13)


def _fraction(x: Any) -> list[Fraction]:
    return [Fraction(value) for value in x.tolist()]


# Powers of two that a dtype has, and products and squares of which it has not.
REACHES = {"float32": 90, "float64": 900}
SMALLEST_PRODUCT = {"float32": 2.0**-102, "float64": 2.0**-969}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [0, 1])
def test_products_of_many_numbers_do_not_vanish_on_the_way(dtype: str, axis: int) -> None:
    """Each row's product is near 1, and those of its parts are far out of range."""
    generator = np.random.default_rng(21)
    n = 37
    exponents = generator.integers(-REACHES[dtype], REACHES[dtype] + 1, (n // 2, 6))
    both = np.concatenate([exponents, -exponents, np.zeros((1, 6), int)])
    x = np.ldexp(generator.uniform(1.0, 2.0, both.shape), generator.permuted(both, axis=0))
    x = x.astype(dtype).T if axis else x.astype(dtype)
    found = to_native(NUMPY.prod(NUMPY.asarray(x), axis=axis))
    exact = [math.prod(_fraction(column)) for column in (x if axis else x.T)]
    u = np.finfo(dtype).eps / 2
    for value, expected in zip(found.tolist(), exact, strict=True):
        assert abs(Fraction(value) / expected - 1) <= n * u
    with np.errstate(over="ignore"):
        running = to_native(NUMPY.cumulative_prod(NUMPY.asarray(x), axis=axis))
        for row, numbers in zip(running if axis else running.T, x if axis else x.T, strict=True):
            product = Fraction(1)
            for value, number in zip(row.tolist(), _fraction(numbers), strict=True):
                product *= number
                if np.finfo(dtype).max < product:
                    assert value == math.inf
                elif product < Fraction(SMALLEST_PRODUCT[dtype]):
                    assert value == 0.0 or abs(Fraction(value) / product - 1) <= n * u
                else:
                    assert abs(Fraction(value) / product - 1) <= n * u


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["var", "std", "norm"])
def test_squares_do_not_vanish_or_overflow_on_the_way(name: str, dtype: str) -> None:
    """Of numbers scaled by a power of two, the bits are those of the numbers, scaled."""
    generator = np.random.default_rng(22)
    x = (generator.uniform(0.5, 2.0, (30, 7)) * generator.choice([-1, 1], (30, 7))).astype(dtype)

    def spread(x: np.ndarray) -> np.ndarray:
        array = NUMPY.asarray(x)
        if name == "norm":
            return to_native(NUMPY.linalg.vector_norm(array, axis=0))
        return to_native(getattr(NUMPY, name)(array, axis=0, correction=1))

    found = spread(x)
    exact = {
        "var": lambda: np.var(x.astype(np.longdouble), axis=0, ddof=1),
        "std": lambda: np.std(x.astype(np.longdouble), axis=0, ddof=1),
        "norm": lambda: np.linalg.norm(x.astype(np.float64), axis=0),
    }[name]()
    np.testing.assert_allclose(found, exact.astype(np.float64), rtol=8 * np.finfo(dtype).eps)
    reach = {"float32": (-124, 124), "float64": (-1020, 1019)}[dtype]
    for exponent in (*reach, *(value // 2 for value in reach)):
        power = 2 * exponent if name == "var" else exponent
        if not np.log2(np.finfo(dtype).smallest_normal) + 4 < power < np.finfo(dtype).maxexp - 4:
            continue
        with np.errstate(over="raise", invalid="raise"):
            np.testing.assert_array_equal(
                spread(np.ldexp(x, exponent)), np.ldexp(found, power), err_msg=str(exponent)
            )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [-2, -3, -5, -11])
def test_negative_powers_are_those_whose_opposites_vanish_or_overflow(n: int, dtype: str) -> None:
    reach = np.log2(np.finfo(dtype).max) / -n - 1.0
    x = np.exp2(np.linspace(-reach, reach, 101)).astype(dtype) * np.where(np.arange(101) % 2, -1, 1)
    x = x.astype(dtype)
    with np.errstate(over="raise"):
        found = to_native(NUMPY.asarray(x) ** n)
    smallest = Fraction(float(np.finfo(dtype).smallest_normal))
    for value, number in zip(found.tolist(), _fraction(x), strict=True):
        exact = number**n
        if abs(exact) < smallest:
            assert value == 0.0
        else:
            assert abs(Fraction(value) / exact - 1) <= (abs(n) + 1) * np.finfo(dtype).eps / 2
    assert float(NUMPY.asarray(np.asarray([1e-12], np.float32))[0] ** -3) == pytest.approx(1e36)
