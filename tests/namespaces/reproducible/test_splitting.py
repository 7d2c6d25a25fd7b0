"""The splitting: integers on grids, exact at the very edge of what float64 holds."""

import math
from fractions import Fraction

import numpy as np
import pytest

from pluggable_mlp.namespaces.reproducible.products import BLOCK, WIDTHS
from pluggable_mlp.namespaces.reproducible.splitting import (
    add_exact,
    exact_ends,
    grids_of,
    power_of_two_at_least,
    split,
)


def test_power_of_two_is_the_smallest_not_below():
    random = np.random.default_rng(0)
    powers = 2.0 ** np.arange(-900, 900, 7)
    x = np.concatenate(
        [powers, np.nextafter(powers, np.inf), np.nextafter(powers, 0), random.random(100), [0.0]]
    )
    mantissa, exponent = np.frexp(x)
    expected = np.ldexp(1.0, np.where(mantissa == 0.5, exponent - 1, exponent))
    expected[x == 0.0] = 0.0
    assert np.array_equal(power_of_two_at_least(np, x), expected)
    assert np.isnan(power_of_two_at_least(np, np.array([np.inf, np.nan]))).all()


@pytest.mark.parametrize("widths", [(29,), (14, 14), (21, 21, 21), (8, 35)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_slices_are_integers_of_their_width_and_lose_half_a_grid_at_most(widths, dtype):
    random = np.random.default_rng(1)
    x = (random.standard_normal((5, 200)) * 10.0 ** random.integers(-9, 9, (5, 200))).astype(dtype)
    x[0, 1] = -(2.0**40)  # a largest magnitude that is a power of two
    x[1, :] = 0.0
    largest = np.max(np.abs(x), axis=-1, keepdims=True).astype("float64")
    slices = split(np, x.astype("float64"), largest, widths)
    grids = grids_of(np, largest, widths)
    for part, grid, width in zip(slices, grids, widths, strict=True):
        integers = np.divide(part, grid, out=np.zeros_like(part), where=grid != 0)
        assert np.array_equal(integers, np.round(integers))
        assert np.max(np.abs(integers)) <= 2.0**width
    lost = [
        abs(Fraction(float(v)) - sum(Fraction(float(p)) for p in parts))
        for v, *parts in zip(x.ravel(), *(p.ravel() for p in slices), strict=True)
    ]
    half = np.broadcast_to(grids[-1] / 2, x.shape).ravel()
    assert all(e <= Fraction(float(h)) for e, h in zip(lost, half, strict=True))


@pytest.mark.parametrize(("key", "widths"), WIDTHS.items())
@pytest.mark.parametrize("flips", [False, True])
def test_a_block_of_the_largest_slices_is_exact(key, widths, flips):
    # Every entry at the largest magnitude: partial sums reach 2^53 where widths use all bits.
    random = np.random.default_rng(2)
    for s in widths[0]:
        for t in widths[1]:
            for edge in (0, 1):  # 2^s, and the odd 2^s - 1
                a = np.full((3, BLOCK), 2.0**s - edge)
                b = np.full((BLOCK, 3), 2.0**t - edge)
                if flips:
                    a *= random.choice([-1.0, 1.0], a.shape)
                    b *= random.choice([-1.0, 1.0], b.shape)
                exact = a.astype(int).astype(object) @ b.astype(int).astype(object)
                assert np.array_equal((a @ b).astype(object), exact), key
                assert np.array_equal((a[:, ::-1] @ b[::-1]).astype(object), exact), key


@pytest.mark.parametrize("widths", [w for w in WIDTHS.values() if w != ((8,), (8,))])
def test_the_widths_use_all_of_float64(widths):
    assert max(widths[0]) + max(widths[1]) + math.log2(BLOCK) == 53


def test_exact_addition_has_no_order():
    random = np.random.default_rng(3)
    unit = 2.0 ** random.integers(-30, 30, (4, 1))
    parts = random.integers(-(2**53), 2**53, (300, 4, 6)) * unit
    parts[:3] = 2.0**53 * unit  # the extreme, included
    expected = [
        float(sum(Fraction(float(v)) for v in parts[:, i, j])) for i in range(4) for j in range(6)
    ]
    for order in (slice(None), slice(None, None, -1), random.permutation(300)):
        total = add_exact([part.copy() for part in parts[order]], unit)
        assert np.array_equal(total.ravel(), expected)
    assert not np.array_equal(np.sum(parts, axis=0).ravel(), expected)
    for part in parts:  # 2^26 ends of the same size are 2^53 times their grid, which all share
        high, low = exact_ends([part], unit)
        assert not np.any(high % (2.0**27 * unit))
        assert np.all(np.abs(low) <= 2.0**26 * unit)
