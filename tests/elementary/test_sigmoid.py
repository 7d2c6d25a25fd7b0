"""The quotient of two numbers in two parts each, against exact fractions."""

from fractions import Fraction

import numpy as np

from pluggable_mlp.elementary.sigmoid import quotient, to_25_places


def test_the_quotient_is_rounded_almost_once() -> None:
    generator = np.random.default_rng(17)
    high = generator.uniform(0.5, 1.0, 1000)
    low = high * generator.uniform(-0.01, 0.01, 1000)
    divisor = to_25_places(generator.uniform(1.0, 3.0, 1000))
    divisor_low = divisor * generator.uniform(-0.01, 0.01, 1000)
    results = quotient(high.copy(), low, divisor, divisor_low)
    terms = (part.tolist() for part in (high, low, divisor, divisor_low, results))
    for a, b, c, d, result in zip(*terms, strict=True):
        exact = (Fraction(a) + Fraction(b)) / (Fraction(c) + Fraction(d))
        assert abs(Fraction(result) / exact - 1) <= Fraction(1, 2**53) + Fraction(1, 2**58)


def test_25_places() -> None:
    x = np.array([0.0, 1.0, 2.0**-26, 2.0**-25, 3.0 - 2.0**-27, 1.0 + 2.0**-24])
    expected = np.array([0.0, 1.0, 0.0, 2.0**-25, 3.0, 1.0 + 2.0**-24])
    assert np.array_equal(to_25_places(x), expected)
