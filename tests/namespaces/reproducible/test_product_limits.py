"""Matrix products at the limits of their dtype: NaN, infinity, overflow and denormal numbers."""

from fractions import Fraction

import numpy as np
import pytest

from pluggable_mlp.elementary.common import SMALLEST_PRODUCT
from tests.namespaces.reproducible.bits import same_bits
from tests.namespaces.reproducible.kernels import affine, matmul

pytestmark = pytest.mark.quick_on("jax:cpu")

DTYPES = ("float32", "float64")


def special_matrix(random, m, k, dtype):
    x = random.choice([-1.5, 1.0, 0.0, 2.0], (m, k), p=[0.3, 0.3, 0.2, 0.2]).astype(dtype)
    x[3, -1], x[m // 2, 0], x[-1, k // 2] = np.inf, -np.inf, np.nan
    return x


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_with_nan_or_infinity_makes_nan_of_its_row(backend, dtype):
    random, k = np.random.default_rng(30), 30
    a, b = special_matrix(random, 40, k, dtype), special_matrix(random, 50, k, dtype).T
    result = matmul(backend.xp, backend.asarray(a), backend.asarray(b))
    finite_a, finite_b = (np.where(np.isfinite(x), x, 0) for x in (a, b))
    expected = finite_a @ finite_b  # small integers: exact anyhow
    expected[[3, 20, -1]] = expected[:, [3, 25, -1]] = np.nan
    assert same_bits(np.asarray(backend.to_numpy(result)), expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_outer_product_has_the_infinities_of_its_terms(backend, dtype):
    a, b = np.array([[2.0], [np.inf], [0.0]], dtype), np.array([[-1.0, np.inf]], dtype)
    with np.errstate(invalid="ignore"):
        result = matmul(backend.xp, backend.asarray(a), backend.asarray(b))
    expected = np.array([[-2.0, np.inf], [-np.inf, np.inf], [0.0, np.nan]], dtype)
    assert same_bits(np.asarray(backend.to_numpy(result)), expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_overflow_gives_infinity(dtype):
    top = np.finfo(dtype).max
    a = np.array([[top, top], [top, -top], [1, 1]], dtype)
    b = np.array([[1.0, 2.0, 0.5], [1.0, 2.0, 0.5]], dtype)
    with np.errstate(over="ignore"):
        result = matmul(np, a, b)
    # top/2 + top/2 is top again: native may overflow on its way, this does not.
    assert np.array_equal(result, np.array([[np.inf, np.inf, top], [0, 0, 0], [2, 4, 1]], dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_integers_scaled_to_the_edges_of_the_range(dtype):
    random = np.random.default_rng(9)
    info = np.finfo(dtype)
    a, b = random.integers(-3, 4, (6, 20)), random.integers(-3, 4, (20, 7))
    low, high = int(np.log2(info.smallest_normal)), int(info.maxexp) - 8

    def expected(integer, exponent, smallest):
        exact = Fraction(int(integer)) * Fraction(2) ** int(exponent)
        return float(exact) if abs(exact) >= smallest else 0.0

    for i in range(low, high, 31):
        for j in (low - i - 3, low - i + 3, low - i + 40, -440, 0, high - 20 - i, high - 11 - i):
            if low <= j <= high and i + j <= high - 11:
                scaled_a = np.ldexp(a.astype(float), i).astype(dtype)
                scaled_b = np.ldexp(b.astype(float), j).astype(dtype)
                exact = np.vectorize(expected)(a @ b, i + j, SMALLEST_PRODUCT[dtype])
                assert same_bits(matmul(np, scaled_a, scaled_b), exact.astype(dtype)), (i, j)
                exact = np.vectorize(expected)(a @ b, i + j, float(info.smallest_normal))
                found = affine(np, scaled_a, scaled_b, np.zeros(7, dtype))
                assert same_bits(found, exact.astype(dtype)), (i, j)


@pytest.mark.parametrize("dtype", DTYPES)
def test_neither_denormal_numbers_nor_negative_zeros_come_out(backend, dtype):
    smallest = float(np.finfo(dtype).smallest_normal)
    a = np.array([[smallest], [-smallest], [-0.0], [smallest / 8]], dtype)
    b = np.array([[0.5, 1.0, 0.0, 2.0**60]], dtype)
    xs = backend.asarray(a), backend.asarray(b)
    result = np.asarray(backend.to_numpy(matmul(backend.xp, *xs)))
    expected = np.zeros((4, 4), dtype)
    expected[0, 3], expected[1, 3] = smallest * 2.0**60, -smallest * 2.0**60
    assert same_bits(result, expected)
    expected[0, 1], expected[1, 1] = smallest, -smallest  # products alone are 0 below 2^-102
    bias = backend.asarray(np.zeros(4, dtype))
    assert same_bits(np.asarray(backend.to_numpy(affine(backend.xp, *xs, bias))), expected)


# What is left of product and bias is denormal.
@pytest.mark.parametrize(
    ("dtype", "x", "W", "bias"),
    [
        ("float32", [1, 0, 2.0**-29], [0, 2.0**-54, 2.0**-83], 2.0**-130 - 2.0**-112),
        ("float64", [1, 0, 0], [0, 1, 0], 2.0**-1030),
        ("float32", [2.0**-40, 0, 2.0**-68], [0, 2.0**-40, 2.0**-68], 0),
        ("float32", [0, 0, 1], [0, 0, 1.5 * 2.0**-126], -1.25 * 2.0**-126),
        ("float64", [0, 0, 1], [0, 0, 1.5 * 2.0**-1022], -1.25 * 2.0**-1022),
    ],
)
def test_a_bias_leaves_no_denormal_number_behind(backend, dtype, x, W, bias):
    here = (
        backend.asarray(np.array(v, dtype).reshape(shape))
        for v, shape in ((x, (1, 3)), (W, (3, 1)), (bias, (1,)))
    )
    result = np.asarray(backend.to_numpy(affine(backend.xp, *here)))
    assert same_bits(result, np.zeros((1, 1), dtype))


def test_what_rounding_alone_would_lift_to_the_smallest_normal_number_is_zero(backend):
    """(1 - 2^-53) 2^-1022 is between a denormal number and the smallest normal one.

    The bias is 0: without one nothing below 2^-969 is kept.
    """
    a = backend.asarray(np.array([[(1 - 2.0**-53) * 2.0**-500, 0.0]]))
    b = backend.asarray(np.array([[2.0**-522], [0.0]]))
    bias = backend.asarray(np.zeros(1))
    result = np.asarray(backend.to_numpy(affine(backend.xp, a, b, bias)))
    assert same_bits(result, np.zeros((1, 1)))
    # Of a bias nothing is kept below 2^-1021.
    bias, smallest = backend.asarray(np.array([1.5 * 2.0**-1022])), np.array([[2.0**-1021]])
    assert same_bits(np.asarray(backend.to_numpy(affine(backend.xp, a, b, bias))), smallest)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("side", ["left", "right"])
def test_denormal_numbers_count_as_zero_beside_the_smallest_ones(backend, dtype, side):
    """Rows whose largest is so small that the slices would reach down to denormal numbers."""
    largest, tiny, other = {
        "float32": (2.0**-100, 1.5 * 2.0**-127, 2.0**40),
        "float64": (2.0**-990, 1.5 * 2.0**-1023, 2.0**400),
    }[dtype]
    row, column = np.array([[largest, tiny]], dtype), np.array([[0.0], [other]], dtype)
    a, b = (row, column) if side == "left" else (column.T, row.T)
    result = matmul(backend.xp, backend.asarray(a), backend.asarray(b))
    assert same_bits(np.asarray(backend.to_numpy(result)), np.zeros((1, 1), dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_nan_of_a_bias_is_always_the_same(backend, dtype):
    """A NaN of its own, and one of infinities of both signs."""
    one, inf = np.array([[1.0]], dtype), np.array([[np.inf]], dtype)
    for x, bias in ((one, -np.nan), (inf, -np.nan), (inf, -np.inf)):
        here = [backend.asarray(a) for a in (x, one, np.array([bias], dtype))]
        with np.errstate(invalid="ignore"):
            result = affine(backend.xp, *here)
        assert same_bits(np.asarray(backend.to_numpy(result)), np.array([[np.nan]], dtype))
