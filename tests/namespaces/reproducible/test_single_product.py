"""Large float32 products by a single float64 product have the bits of exact sums."""

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from pluggable_mlp import get_backend
from tests.namespaces.reproducible.bits import same_bits
from tests.namespaces.reproducible.kernels import affine, matmul

SHAPE = 256, 512, 256


def integers(kind):
    """Return matrices of integers that float32 has, and whose sums of products int64 has."""
    random = np.random.default_rng(1)
    m, k, n = SHAPE
    a, b = (random.integers(2**22, 2**24, shape) for shape in ((m, k), (k, n)))
    if kind == "sums of zeros":  # as of a layer after relu, of which some units are rarely active
        a[50:] *= random.random((m - 50, k)) < 0.01
        b *= random.random(b.shape) < 0.5
        move_to_ties(a[:50], b)
        a[50:, -2:] = 0
    elif kind == "categories":  # of two terms, of which the sum is often between two float32
        a = np.zeros_like(a)
        a[np.arange(m), random.integers(0, k, m)] = 1
        a[np.arange(m), random.integers(0, k, m)] = 1
    elif kind == "sums of few":
        a[:, 3:] = 0
    elif kind == "ties":
        move_to_ties(a[:100], b)
    return a, b


def move_to_ties(a, b, nudges=(-1, 0, 1)):
    """Let a sum in each row be in the middle of two float32, or this much beside it.

    Those are integers of up to 57 bits: a sum in float64 is rounded on its way.
    """
    a[:, -2:], b[-2], b[-1] = 0, 1, 2**12
    sums = a @ b
    for i, row in enumerate(sums):
        exponent = int(np.log2(max(abs(row[i]), 1))) - 23  # of the last place in float32
        place = 2 ** max(exponent, 1)
        missing = place // 2 - row[i] % place + nudges[i % len(nudges)]
        a[i, -2], a[i, -1] = missing % 2**12, missing // 2**12


KINDS = ["ties", "sums of zeros", "categories", "sums of few"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_sums_of_integers_are_rounded_to_float64_and_then_to_float32(library, kind):
    pytest.importorskip(library)
    backend = get_backend(library)
    a, b = integers(kind)
    sums = (a @ b).astype("float64")  # of int64: exact until then
    bias = np.arange(SHAPE[2]) * 1e9
    x, W, c = (backend.asarray(each.astype("float32")) for each in (a, b, bias))
    product, with_bias = matmul(backend.xp, x, W), affine(backend.xp, x, W, c)
    assert same_bits(backend.to_numpy(product), sums.astype("float32"))
    expected = (sums + bias.astype("float32")).astype("float32")
    assert same_bits(backend.to_numpy(with_bias), expected)


@settings(max_examples=8, phases=[Phase.generate], deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    bits=st.integers(10, 24),
    nudge=st.integers(0, 2**12),
    signed=st.booleans(),
)
def test_sums_next_to_midpoints(seed, bits, nudge, signed):
    """On each kernel of OpenBLAS by ci/kernels.sh."""
    random, (m, k, n) = np.random.default_rng(seed), SHAPE
    low = -(2**bits) if signed else 2 ** (bits - 1)
    a, b = (random.integers(low, 2**bits, shape) for shape in ((m, k), (k, n)))
    move_to_ties(a, b, (-nudge, -1, 0, 1, nudge))
    product = matmul(np, a.astype("float32"), b.astype("float32"))
    assert same_bits(product, (a @ b).astype("float64").astype("float32"))


@pytest.mark.parametrize("extreme", [None, "small", "large", "infinite"])
@pytest.mark.parametrize(
    "k", [512, *(pytest.param(k, marks=pytest.mark.slow) for k in (1024, 1025))]
)
def test_a_large_product_has_the_bits_of_its_parts(k, extreme):
    random = np.random.default_rng(k)
    a, b = (
        random.standard_normal(shape) * 10.0 ** random.uniform(-3, 3, shape)
        for shape in ((256, k), (k, 256))
    )
    a[:, ::3], b[5:50] = 0.0, 0.0
    if extreme == "small":  # sums next to the smallest that are kept
        a, b = a * 2.0**-57, b * 2.0**-57
    elif extreme is not None:
        a[7, 1] = {"large": 1e30, "infinite": np.inf}[extreme]
    a, b = a.astype("float32"), b.astype("float32")
    whole = matmul(np, a, b)
    for start in range(0, 256, 32):
        part = slice(start, start + 32)
        assert same_bits(whole[part], matmul(np, a[part], b))
        assert same_bits(whole[:, part], np.ascontiguousarray(matmul(np, a, b[:, part])))
