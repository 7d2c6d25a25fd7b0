"""Powers, logarithms and cosines of the host against mpmath."""

import hashlib
import math

import mpmath
import numpy as np

from pluggable_mlp.host.elementary import cos_pi, integer_power, log2, real_power


def test_cos_pi_within_two_units_in_the_last_place():
    rng = np.random.default_rng(5)
    edges = [0.0, 0.25, 0.5, 0.75, 1.0, 1e-9, 0.25 + 2.0**-50, 0.5 - 2.0**-40, 1.0 - 2.0**-50]
    with mpmath.workdps(40):
        for x in [*edges, *rng.uniform(size=4000).tolist()]:
            exact = mpmath.cos(mpmath.pi * mpmath.mpf(x))
            unit = math.ulp(float(exact))
            # At 1/2 the cosine is 0, and 40 digits of pi leave 1e-41 of it.
            assert abs(cos_pi(x) - exact) <= 2 * unit + mpmath.mpf(10) ** -38


def test_the_bits_of_cos_pi_are_those_of_fdlibms_coefficients():
    """SHA-256 of 65,537 values, computed with the words that stand in its sources.

    Two units in the last place leave room for other coefficients; schedules' bits do not.
    """
    values = [cos_pi(k / 2**16) for k in range(2**16 + 1)]
    digest = hashlib.sha256(np.asarray(values, dtype="<f8").tobytes()).hexdigest()
    assert digest == "ff3405c960dc389e97a6c2608a5e9e329c41b0ae86fd31bdeaf6bc8f7bf4b382"


def test_log2_within_two_units_in_the_last_place():
    rng = np.random.default_rng(7)
    edges = [1.0 + 2.0**-52, 1.0 + 2.0**-30, 2.0**0.5, 2.0 - 2.0**-52, 4.0 + 2.0**-50, 15.999]
    with mpmath.workdps(40):
        for x in [*edges, *rng.uniform(1.0, 16.0, size=4000).tolist()]:
            exact = mpmath.log(mpmath.mpf(x), 2)
            assert abs(log2(x) - exact) <= 2 * math.ulp(float(exact))
    assert [log2(2.0**n) for n in range(6)] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def test_integer_power_within_its_bound():
    with mpmath.workdps(60):
        for base in (0.999, 1.0001, 0.6, 1.0, 3.0):
            for exponent in (0, 1, 2, 3, 7, 64, 100, 641):
                exact = mpmath.mpf(base) ** exponent
                error = abs(integer_power(base, exponent) - exact)
                assert error <= max(exponent - 1, 0) * mpmath.mpf(2) ** -52 * exact


def test_real_power_is_rounded_correctly():
    rng = np.random.default_rng(6)
    with mpmath.workdps(60):
        for base in [1.0, 2.0, 10.0, 1e6, *rng.uniform(1.0, 1e5, size=200).tolist()]:
            for exponent in (-0.5, -0.7, 0.0, -1.0, -0.25):
                assert real_power(base, exponent) == float(
                    mpmath.power(mpmath.mpf(base), mpmath.mpf(exponent))
                )
