"""What a bound says of numbers that may leave the range of the dtype, at either end."""

from typing import Any

import numpy as np
import pytest

from pluggable_mlp import special
from pluggable_mlp.namespaces.bounded.array import Bounded
from pluggable_mlp.namespaces.bounded.namespace import BoundedNamespace

LARGEST, SMALLEST = float(np.finfo("float32").max), 2.0**-126


@pytest.mark.parametrize(
    ("compute", "inside", "outside"),
    [
        (lambda xp, x: x + x, LARGEST / 2.1, LARGEST / 1.9),
        (lambda xp, x: x * x, 1.8e19, 1.9e19),
        (lambda xp, x: 2.0 * x, LARGEST / 2.1, LARGEST / 1.9),
        (lambda xp, x: x / 2.0**-20, 2.0**107, 2.0**108),
        (lambda xp, x: 1.0 / x, SMALLEST, SMALLEST / 2.0),
        (lambda xp, x: xp.exp(x), 88.7, 88.8),
        (lambda xp, x: x**4, 4.2e9, 4.4e9),
        (lambda xp, x: x**-4, 1.0, 1e-32),
        # In some order what is above the range comes first, though all together is 0 or x.
        (lambda xp, x: xp.sum(xp.stack([x, x, -x, -x])), LARGEST / 4.1, LARGEST / 1.9),
        (lambda xp, x: xp.mean(xp.stack([x, x])), LARGEST / 2.1, LARGEST / 1.9),
        (
            lambda xp, x: xp.matmul(xp.stack([x, x])[None, :], np.asarray([[1.0], [-1.0]])),
            LARGEST / 2.1,
            LARGEST / 1.9,
        ),
        (
            lambda xp, x: special.affine(xp, xp.stack([x])[None, :], np.ones((1, 1)), -x[None]),
            LARGEST / 2.1,
            LARGEST / 1.9,
        ),
    ],
)
def test_nothing_is_known_where_the_range_may_be_left(
    compute: Any, inside: float, outside: float
) -> None:
    """float64 has room for m; float32 has not, whether a library adds x first or last."""
    xp = BoundedNamespace("float32")
    with np.errstate(all="ignore"):
        near, beyond = (
            compute(xp, xp.asarray(np.asarray(x, dtype="float32"))) for x in (inside, outside)
        )
    assert np.isfinite(near.spread).all()
    assert np.isinf(beyond.spread).all()
    assert np.isfinite(beyond.value).all()


def test_an_error_may_leave_the_range() -> None:
    xp = BoundedNamespace("float32")
    for error, known in ((LARGEST / 8.0, True), (LARGEST / 2.0, False)):
        x = Bounded(np.asarray(LARGEST / 8.0), np.asarray(error), xp)
        assert bool(np.isfinite((x + 0.0).error)) == known
    assert np.isinf(xp.precision.rounding(np.asarray(LARGEST), 1))


def test_a_quotient_by_what_has_no_normal_reciprocal_may_be_lost() -> None:
    """XLA multiplies by the reciprocal of a divisor that is broadcast: 3e38 / 3e38 is 0 there."""
    xp = BoundedNamespace("float32")
    x = xp.asarray(np.asarray([2.0**125, 2.0**127], dtype="float32"))
    error = (x / x).error
    assert error[0] < 1e-6
    assert 1.0 <= error[1] < 1.1
