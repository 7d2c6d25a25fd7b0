"""Matrix products: the same bits in any order, cut and library."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pluggable_mlp.namespaces.reproducible.operand import FixedPoint
from tests.namespaces.reproducible.bits import same_bits
from tests.namespaces.reproducible.kernels import affine, matmul

pytestmark = pytest.mark.quick_on("jax:cpu")

DTYPES = ("float32", "float64")


def matrix(random, m, k, dtype, spread=3):
    """Entries over many magnitudes, a fifth of them 0."""
    x = random.standard_normal((m, k)) * 10.0 ** random.uniform(-spread, spread, (m, k))
    return (x * (random.random((m, k)) > 0.2)).astype(dtype)


def pixels(random, m, k):
    return random.integers(0, 256, (m, k), dtype=np.uint8)


cases = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**32 - 1),
        "m": st.integers(1, 8),
        "k": st.integers(2, 80) | st.sampled_from([1000, 1024, 1025, 2100]),
        "n": st.integers(1, 8),
        "dtype": st.sampled_from(DTYPES),
        "kind": st.sampled_from(["float", "left pixels", "right pixels"]),
    }
)


def operands(case):
    """Return random, a and b; `use` makes the factor of what is pixels."""
    random = np.random.default_rng(case["seed"])
    shape_a, shape_b = (case["m"], case["k"]), (case["k"], case["n"])
    left, right = case["kind"] == "left pixels", case["kind"] == "right pixels"
    a = pixels(random, *shape_a) if left else matrix(random, *shape_a, case["dtype"])
    b = pixels(random, *shape_b) if right else matrix(random, *shape_b, case["dtype"])
    return random, a, b


def product(case, a, b):
    def use(x):
        return FixedPoint(np, x, 1 / 256, np.dtype(case["dtype"])) if x.dtype == np.uint8 else x

    return matmul(np, use(a), use(b))


@given(cases)
@settings(max_examples=60)
def test_permuting_the_inner_dimension_changes_no_bit(case):
    random, a, b = operands(case)
    order = random.permutation(case["k"])
    assert same_bits(product(case, a[:, order], b[order]), product(case, a, b))


@given(cases, st.integers(1, 40) | st.just(1500), st.booleans())
@settings(max_examples=60)
def test_padding_with_zeros_changes_no_bit(case, extra, before):
    _, a, b = operands(case)
    ends = (extra, 0) if before else (0, extra)
    padded = product(case, np.pad(a, ((0, 0), ends)), np.pad(b, (ends, (0, 0))))
    assert same_bits(padded, product(case, a, b))


@given(cases, st.integers(-40, 40), st.integers(-40, 40))
@settings(max_examples=60)
def test_scaling_by_a_power_of_two_scales_exactly(case, left, right):
    _, a, b = operands(case)
    dtype = np.dtype(case["dtype"])
    scale = dtype.type(2.0) ** left, dtype.type(2.0) ** right
    scaled = product(
        case,
        a if a.dtype == np.uint8 else a * scale[0],
        b if b.dtype == np.uint8 else b * scale[1],
    )
    expected = product(case, a, b)
    expected = expected * (scale[0] if a.dtype != np.uint8 else 1)
    assert same_bits(scaled, expected * (scale[1] if b.dtype != np.uint8 else 1))


@pytest.mark.parametrize(("left", "right"), [(-592, -428), (-428, -592)])
def test_results_next_to_the_smallest_normal_number_scale_exactly(left, right):
    """Products of slices would be denormal there.

    The bias is 0: without one nothing below 2^-969 is kept.
    """
    random = np.random.default_rng(7)
    a, b, bias = random.normal(size=(30, 50)), random.normal(size=(50, 30)), np.zeros(30)
    expected = affine(np, a, b, bias)
    expected[np.abs(expected) < 2.0 ** (-1022 - left - right)] = 0.0
    scaled = affine(np, a * 2.0**left, b * 2.0**right, bias)
    assert same_bits(scaled, expected * 2.0**left * 2.0**right)


def test_terms_beyond_all_floats_may_cancel():
    """2^1040 - 2^1040 + 2^1000 is finite, whatever a library's own products make of it."""
    a = np.asarray([[2.0**520, 2.0**520, 2.0**500]])
    assert matmul(np, a, np.asarray([[2.0**520], [-(2.0**520)], [2.0**500]])) == [[2.0**1000]]


@given(cases, st.integers(1, 8), st.integers(1, 8))
@settings(max_examples=60)
def test_cutting_the_output_into_tiles_changes_no_bit(case, rows, columns):
    _, a, b = operands(case)
    whole = product(case, a, b)
    for i in range(0, case["m"], rows):
        for j in range(0, case["n"], columns):
            tile = product(case, a[i : i + rows], b[:, j : j + columns])
            assert same_bits(tile, np.ascontiguousarray(whole[i : i + rows, j : j + columns]))


@pytest.mark.parametrize(("m", "k", "n"), [(1, 5120, 1), (3, 2500, 7)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_long_products_with_few_results_have_the_bits_of_a_part_of_many(dtype, m, k, n):
    """Their blocks are one product of stacks, those of many results are added one by one."""
    random = np.random.default_rng(11)
    a, b = matrix(random, 33, k, dtype), matrix(random, k, 33, dtype)
    expected = np.ascontiguousarray(matmul(np, a, b)[:m, :n])
    assert same_bits(matmul(np, a[:m], b[:, :n]), expected)
    stack = matmul(np, np.stack([a[m : 2 * m], a[:m]]), b[:, :n])
    assert same_bits(np.ascontiguousarray(stack[1]), expected)


@given(cases)
@settings(max_examples=30)
def test_extreme_rows_elsewhere_change_no_bit(case):
    # A row of NaN or near overflow sends the whole array the careful way: same bits for the rest.
    _, a, b = operands({**case, "kind": "float"})
    tops = np.finfo(a.dtype)
    rows = np.full((4, a.shape[1]), tops.max, a.dtype)
    rows[0], rows[1], rows[2] = np.nan, tops.smallest_normal, np.inf
    with np.errstate(all="ignore"):
        whole = matmul(np, np.concatenate([a, rows]), b)
    assert same_bits(whole[: len(a)], matmul(np, a, b))


CASES = [
    ((5, 33), (33, 4), True),
    ((3, 2500), (2500, 2), False),
    ((2, 1, 5, 6), (3, 6, 4), False),
    ((3, 0), (0, 4), False),
    ((0, 4), (4, 3), False),
    *(  # JAX compiles each operation anew for each shape
        pytest.param(*shapes, True, marks=pytest.mark.slow)
        for shapes in [((1, 7), (7, 1)), ((7, 1), (1, 9)), ((300, 40), (40, 700))]
    ),
]


@pytest.mark.parametrize(("shape_a", "shape_b", "extreme"), CASES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_backend_gives_the_same_bits(backend, shape_a, shape_b, dtype, extreme):
    random = np.random.default_rng(5)
    spread = {"float32": 44, "float64": 320}[dtype] if extreme else 2
    with np.errstate(all="ignore"):
        a, b, bias = (
            (random.standard_normal(s) * 10.0 ** random.uniform(-spread, spread, s)).astype(dtype)
            for s in (shape_a, shape_b, shape_b[-1:])
        )
    here = [backend.asarray(v) for v in (a, b, bias)]
    with np.errstate(all="ignore"):
        results = [matmul(backend.xp, *here[:2]), affine(backend.xp, *here)]
        expected = [matmul(np, a, b), affine(np, a, b, bias)]
    assert expected[0].shape == (np.ones(shape_a) @ np.ones(shape_b)).shape
    for result, value in zip(results, expected, strict=True):
        assert same_bits(np.asarray(backend.to_numpy(result)), np.asarray(value))


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_backend_gives_the_same_bits_on_pixels(backend, dtype):
    random = np.random.default_rng(6)
    integers, W = pixels(random, 70, 784), matrix(random, 784, 300, dtype)
    dz = matrix(random, 70, 30, dtype)

    def results(space, integers, W, dz):
        x = FixedPoint(space, integers, 1 / 256, W.dtype)
        return [matmul(space, x, W), matmul(space, x.mT, dz), matmul(space, x, x.mT), x.values]

    here = results(backend.xp, *(backend.asarray(v) for v in (integers, W, dz)))
    for result, expected in zip(here, results(np, integers, W, dz), strict=True):
        assert same_bits(np.asarray(backend.to_numpy(result)), np.ascontiguousarray(expected))


@pytest.mark.parametrize("dtype", DTYPES)
def test_leading_axes_are_independent(dtype):
    random = np.random.default_rng(7)
    a = np.stack([matrix(random, 4, 9, dtype) for _ in range(3)])
    b = np.stack([matrix(random, 9, 5, dtype) for _ in range(3)])
    bias = matrix(random, 3, 5, dtype)
    together = affine(np, a, b, bias)
    for i in range(3):
        assert same_bits(together[i], affine(np, a[i], b[i], bias[i]))


def test_an_outer_product_is_rounded_correctly():
    random = np.random.default_rng(10)
    a, b = random.standard_normal((400, 1)), random.standard_normal((1, 400))
    assert same_bits(matmul(np, a, b), a * b)


# Few results, which are one stack of blocks, and many.
@pytest.mark.parametrize(("size", "length"), [(20, 5000), (40, 5000), (40, 2048)])
def test_long_products_have_no_order_where_blocks_reach_the_limit(size, length):
    # Sums of blocks near 2^53 grids: adding them in float64 would round.
    random = np.random.default_rng(11)
    a, b = 1 - 0.1 * random.random((size, length)), 1 - 0.1 * random.random((length, size))
    b[:, 10:] *= 2.0**-30  # each column has a grid of its own
    a[10:] *= 2.0**30
    expected = matmul(np, a, b)
    for _ in range(5):
        order = random.permutation(length)
        assert same_bits(matmul(np, a[:, order], b[order]), expected)
