"""Errors of products and sums against exact arithmetic: native's are not smaller.

The oracle is Python's fractions; products of float32 are exact in float64, and `math.fsum` adds
them exactly.
"""

import math
from fractions import Fraction

import numpy as np
import pytest

from pluggable_mlp.namespaces.reproducible.operand import FixedPoint
from tests.namespaces.reproducible import kernels
from tests.namespaces.reproducible.kernels import affine, matmul

LENGTHS = [1, 2, 3, 4, 7, 16, 100, 256]
SLOW = [pytest.param(k, marks=pytest.mark.slow) for k in (784, 4096)]
UNIT_ROUNDOFF = {"float32": 2.0**-24, "float64": 2.0**-53}


def kinds(random, m, k, n):
    """Pairs of matrices (m, k), (k, n) in float64: random, badly scaled, cancelling."""
    normal = random.standard_normal
    yield "normal", normal((m, k)), normal((k, n))
    yield "uniform", random.random((m, k)), random.random((k, n))
    yield "relu", np.maximum(normal((m, k)), 0), normal((k, n))
    rows, columns = 10.0 ** random.integers(-8, 8, (m, 1)), 10.0 ** random.integers(-8, 8, (1, n))
    yield "badly scaled", normal((m, k)) * rows, normal((k, n)) * columns
    a, b, half = normal((m, k)), normal((k, n)), k // 2
    a[:, half : 2 * half] = a[:, :half]
    b[half : 2 * half] = -b[:half] * (1 + 1e-6 * normal((half, n)))
    yield "cancelling", a, b


def exact_product(a, b):
    """Return the product as nested lists of fractions."""
    if a.dtype == np.float32:
        columns = b.T.astype("float64")
        return [[Fraction(math.fsum(row * c)) for c in columns] for row in a.astype("float64")]
    rows = [[Fraction(float(v)) for v in row] for row in a]
    columns = [[Fraction(float(v)) for v in column] for column in b.T]
    return [
        [sum((x * y for x, y in zip(row, c, strict=True)), Fraction()) for c in columns]
        for row in rows
    ]


def errors(c, exact):
    return [
        [abs(Fraction(float(v)) - e) for v, e in zip(*rows, strict=True)]
        for rows in zip(c, exact, strict=True)
    ]


def largest(values):
    return max(max(row) for row in values)


def largest_relative(found, exact):
    pairs = [pair for rows in zip(found, exact, strict=True) for pair in zip(*rows, strict=True)]
    return max(error / abs(value) for error, value in pairs if value)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("k", [*LENGTHS, *SLOW])
def test_errors_of_products_are_not_larger_than_native(dtype, k):
    random = np.random.default_rng(k)
    # Few elements where exact arithmetic is slow: a long product shows the same many times over.
    size = max(3, min(12, int((400 if dtype == "float64" else 4000) / k)))
    for kind, *pair in kinds(random, size, k, size):
        a, b = (x.astype(dtype) for x in pair)
        exact = exact_product(a, b)
        ours, native = errors(matmul(np, a, b), exact), errors(a @ b, exact)
        assert largest(ours) <= largest(native), kind
        relative = [largest_relative(found, exact) for found in (ours, native)]
        assert relative[0] <= relative[1], kind


# Of an element far below its row's largest, the slices hold nothing: the second term of the
# bound. Half of the last grid lies at 2^-below of the power of two above the largest.
# The slices of a right float64 operand hold three bits more than those of a left one.
@pytest.mark.parametrize(
    ("dtype", "pixels", "side", "below", "eps"),
    [
        ("float32", False, "left", 30, 2.0**-29),
        ("float32", False, "right", 30, 2.0**-29),
        ("float64", False, "left", 66, 2.0**-65),
        ("float64", False, "right", 69, 2.0**-68),
        *(("float32", True, side, 36, 2.0**-36) for side in ("left", "right")),
        *(("float64", True, side, 72, 2.0**-72) for side in ("left", "right")),
    ],
)
@pytest.mark.parametrize("k", [64, 2048])
def test_the_error_bound_holds_and_is_attained(dtype, pixels, side, below, eps, k):
    small = np.full((1, k), 2.0**-below, dtype)
    small[0, 0] = 1.0
    other = np.ones((k, 1), dtype)
    other[0, 0] = 0.0  # else the sum rounds away what was lost
    if pixels:  # q is 1 in either case
        other = FixedPoint(np, (other != 0).astype(np.uint8), 1.0, small.dtype)

    def product():
        if side == "left":
            return float(matmul(np, small, other)[0, 0])
        return float(matmul(np, other.mT, small.T)[0, 0])

    result = product()
    exact = (k - 1) * 2.0**-below
    bound = UNIT_ROUNDOFF[dtype] * (1 + 2.0**-18) * exact + eps * k
    assert abs(result - exact) <= bound
    assert abs(result - exact) >= 0.4 * bound
    # A little more, and it is not lost.
    small[0, 1:] *= 1.5
    assert product() > 0.0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_bias_is_added_before_the_one_rounding(dtype):
    random = np.random.default_rng(1)
    x, W = random.random((8, 30)).astype(dtype), random.random((30, 8)).astype(dtype)
    b = -np.asarray(matmul(np, x[:1], W))[0] * (1 + random.random(8)).astype(dtype)
    exact = exact_product(x, W)
    result = affine(np, x, W, b)
    rounded_twice = matmul(np, x, W) + b
    differs = False
    for i in range(8):
        for j in range(8):
            value = exact[i][j] + Fraction(float(b[j]))
            if dtype == "float32":
                assert result[i, j] == np.float32(float(value))  # double rounding: not here
                differs |= bool(result[i, j] != rounded_twice[i, j])
            else:
                bound = UNIT_ROUNDOFF[dtype] * 1.001 * (abs(value) + exact[i][j])
                assert abs(Fraction(float(result[i, j])) - value) <= bound
    assert differs == (dtype == "float32")


def test_the_error_bound_of_sums_is_attained():
    x = np.full(64, 2.0**-68)  # half of the last grid below the largest, 1
    x[0], x[1] = 1.0, -1.0
    error = abs(float(kernels.sum(np, x, 0)) - 62 * 2.0**-68)
    assert 0.4 * 64 * 2.0**-67 <= error <= 64 * 2.0**-67
