"""Sums and means: the same bits on every backend, NaN and infinity where they belong."""

import math

import numpy as np
import pytest

from pluggable_mlp.namespaces.reproducible import sums
from tests.namespaces.reproducible import kernels
from tests.namespaces.reproducible.bits import same_bits

pytestmark = pytest.mark.quick_on("jax:cpu")

DTYPES = ("float32", "float64")


def numbers(shape, dtype, spread):
    random = np.random.default_rng(math.prod(shape))
    with np.errstate(all="ignore"):
        return (
            random.standard_normal(shape) * 10.0 ** random.uniform(-spread, spread, shape)
        ).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_backend_gives_the_same_bits(backend, dtype):
    x = numbers((7, 45), dtype, 37)
    smallest = np.finfo(dtype).smallest_normal
    x = np.where(np.abs(x) < smallest, 0, x).astype(dtype)
    here = backend.asarray(x)
    for axis in (-1, -2):
        for function in (kernels.sum, kernels.mean):
            result = np.asarray(backend.to_numpy(function(backend.xp, here, axis)))
            assert same_bits(result, np.asarray(function(np, x, axis))), (axis, function)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("shape", [(3, 4), (1, 1), (2, 3, 4), (0, 3), (3, 0)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_shapes_and_dtypes_are_those_of_the_standard(shape, axis, keepdims, dtype):
    x = np.ones(shape, dtype)
    result = kernels.sum(np, x, axis, keepdims)
    expected = np.sum(x, axis=axis, keepdims=keepdims)
    assert same_bits(np.asarray(result), np.asarray(expected))
    if x.size:
        assert np.all(np.asarray(kernels.mean(np, x, axis, keepdims)) == 1)
        assert kernels.mean(np, x, axis, keepdims).shape == expected.shape


@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_and_infinity_go_to_the_same_places_as_native(backend, dtype):
    inf, nan = np.inf, np.nan
    x = np.array(
        [[1, 2, 3, 4], [1, inf, 2, 3], [-inf, 0, 1, 2], [inf, 1, -inf, 2], [1, nan, inf, 2]], dtype
    )
    with np.errstate(invalid="ignore"):
        expected = np.sum(x, axis=-1)
        result = np.asarray(backend.to_numpy(kernels.sum(backend.xp, backend.asarray(x), -1)))
    assert np.array_equal(result, expected, equal_nan=True)


def test_float64_sums_have_no_order():
    random = np.random.default_rng(0)
    x = numbers((3, 3000), "float64", 5)
    expected = kernels.sum(np, x, -1)
    for _ in range(20):
        order = random.permutation(3000)
        assert same_bits(kernels.sum(np, np.ascontiguousarray(x[:, order]), -1), expected)
    assert not same_bits(np.sum(x[:, ::-1], axis=-1), np.sum(x, axis=-1))


def test_extreme_rows_elsewhere_change_no_bit():
    x = numbers((5, 40), "float64", 5)
    extreme = np.concatenate([x, np.full((1, 40), 1e305), np.full((1, 40), 1e-300)])
    result = kernels.sum(np, extreme, -1)
    assert same_bits(result[:5], kernels.sum(np, x, -1))
    assert result[5] == pytest.approx(4e306, rel=1e-15)
    assert result[6] == pytest.approx(4e-299, rel=1e-15)


def test_blocks_of_long_sums_have_no_order(monkeypatch):
    # 51 bits in blocks of 4: the sums of blocks reach 2^53 grids, adding them would round.
    monkeypatch.setattr(sums, "_BLOCK", 4)
    monkeypatch.setattr(sums, "_WIDTH", 51)
    random = np.random.default_rng(1)
    for length in (8, 200):
        x = 1 - 0.1 * random.random((length, 500))
        expected = kernels.sum(np, x, 0)  # which NumPy adds one after the other
        assert same_bits(kernels.sum(np, x[::-1].copy(), 0), expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_neither_denormal_numbers_nor_negative_zeros_come_out(backend, dtype):
    smallest = float(np.finfo(dtype).smallest_normal)
    x = np.array([[1.5 * smallest, -smallest], [-0.0, -0.0], [smallest, smallest]], dtype)
    here = backend.asarray(x)
    total = np.asarray(backend.to_numpy(kernels.sum(backend.xp, here, -1)))
    assert same_bits(total, np.array([0.0, 0.0, 2 * smallest], dtype))
    mean = np.asarray(backend.to_numpy(kernels.mean(backend.xp, here, -1)))
    # 2^-50 above the smallest normal number is as far down as a mean goes.
    assert same_bits(mean, np.array([0.0, 0.0, 0.0], dtype))


def tree(x):
    """The sum of a list of floats by the fixed tree, as the docstring of `sums` has it."""
    odd = 0.0
    while len(x) > 1:
        if len(x) % 2:
            odd = x[-1] + odd
        half = len(x) // 2
        x = [first + second for first, second in zip(x[:half], x[half : 2 * half], strict=True)]
    return x[0] + odd


@pytest.mark.parametrize("n", [*range(1, 8), 11, 13, 31, 100, 257])
def test_float32_sums_are_those_of_the_tree(backend, n):
    """Terms that cancel, so that nearly every other order gives another result.

    By the tree 2^60, 1, -2^60, 1 make 2, one after the other 1.
    """
    random = np.random.default_rng(n)
    large = random.standard_normal((40, n // 3)) * 2.0 ** random.integers(40, 70, (40, n // 3))
    small = random.standard_normal((40, n - 2 * (n // 3)))
    x = np.concatenate([large, -large, small], axis=-1).astype("float32")
    x = np.take_along_axis(x, np.argsort(random.random((40, n)), axis=-1), axis=-1)
    if n == 4:
        x[0] = [2.0**60, 1.0, -(2.0**60), 1.0]
    expected = np.array([tree(row) for row in x.astype("float64").tolist()], "float32")
    expected = np.where(np.abs(expected) < 2.0**-126, 0.0, expected).astype("float32")
    for here, axis in ((x, -1), (np.ascontiguousarray(x.T), 0)):
        result = backend.to_numpy(kernels.sum(backend.xp, backend.asarray(here), axis))
        assert same_bits(np.asarray(result), expected)
    if n > 5:
        assert not same_bits(np.sum(x.astype("float64"), axis=-1).astype("float32"), expected)


def test_the_widths_use_all_of_float64():
    """A bit more would not be exact, a bit less would lose accuracy, and change bits."""
    assert sums._WIDTH + math.log2(sums._BLOCK) == 53
