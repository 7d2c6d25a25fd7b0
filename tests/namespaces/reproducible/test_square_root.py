"""The square root: rounded correctly, also from a library's root that is not."""

import array_api_compat.numpy as xp
import numpy as np
import pytest

from pluggable_mlp.namespaces.reproducible.square_root import root, sqrt
from tests.namespaces.reproducible.elementary import (
    INF,
    NAN,
    assert_bits,
    check_backend,
    check_values,
    every_kind,
)


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
        return getattr(xp, name)

    def sqrt(self, x):
        return np.sqrt(x) * (1.0 + self.units * 2.0**-52)


@pytest.mark.parametrize("units", [0, 1, -1, 2, -2, 4000, -4000])
def test_correctly_rounded_from_a_crooked_root(units):
    """The oracle is NumPy's root, which is the processor's: IEEE 754's."""
    x = np.concatenate(
        [np.random.default_rng(19).uniform(0.25, 4.0, 30_000), squares_and_their_neighbours()]
    )
    assert_bits(root(Crooked(units), x), np.sqrt(x), x)
    single = x.astype(np.float32)
    assert_bits(sqrt(Crooked(units), single), np.sqrt(single), single)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_correctly_rounded_of_every_kind(dtype):
    x = every_kind(dtype)
    smallest = np.finfo(dtype).smallest_normal
    with np.errstate(invalid="ignore"):
        expected = np.sqrt(np.where(np.abs(x) < smallest, np.zeros_like(x), x))
    expected[np.isnan(expected)] = NAN
    assert_bits(sqrt(xp, x), expected, x)


def test_special_values():
    check_values(
        sqrt, {0.0: 0.0, 1e-310: 0.0, -1e-310: 0.0, INF: INF, -INF: NAN, NAN: NAN, 4.0: 2.0}
    )


def test_same_bits(backend):
    check_backend(backend, sqrt)
