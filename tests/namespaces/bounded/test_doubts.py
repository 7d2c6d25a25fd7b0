"""Comparisons, signs, steps and choices where a number may be on either side."""

import math
import operator

import numpy as np
import pytest

from pluggable_mlp.namespaces.bounded.array import Bounded, Comparison
from pluggable_mlp.namespaces.bounded.namespace import BoundedNamespace


def test_a_comparison_in_doubt_takes_both_sides() -> None:
    xp = BoundedNamespace("float32")
    error = np.asarray([0.1, 0.1, 0.0, np.inf, np.nan])
    x = Bounded(np.asarray([1.0, 0.15, 0.0, 1.0, 1.0]), error, xp)
    y = xp.where(x > 0.0, np.full(5, 7.0), 0.0)
    # 1.0 +- 0.2 is positive and an exact 0 is not; 0.15 +- 0.2 may be either, as 1.0 where
    # nothing is known of it.
    assert y.value.tolist() == [7.0, 7.0, 0.0, 7.0, 7.0]
    assert y.error.tolist() == [0.0, 7.0, 0.0, 7.0, 7.0]
    assert xp.isfinite(x).doubtful.tolist() == [False, False, False, True, True]
    # A library may add 0 times what is not chosen.
    positive = xp.where_positive(xp.asarray(np.ones(5)), xp.asarray(np.ones(5)), x)
    assert np.isfinite(positive.error).tolist() == [True, True, True, False, False]


def test_a_sign_in_doubt_may_be_any() -> None:
    xp = BoundedNamespace("float32")
    error = np.asarray([0.1, 0.1, 0.0, np.inf, np.nan])
    y = xp.sign(Bounded(np.asarray([-1.0, 0.15, 0.0, 1.0, 1.0]), error, xp))
    assert y.value.tolist() == [-1.0, 1.0, 0.0, 1.0, 1.0]
    # Of infinity it is 1, but of infinity less infinity it is NaN.
    assert y.error.tolist() == [0.0, 2.0, 0.0, math.inf, math.inf]


@pytest.mark.parametrize(
    ("name", "step"), [("floor", 2.0), ("ceil", 2.0), ("trunc", 2.0), ("round", 2.5)]
)
def test_steps(name: str, step: float) -> None:
    """A step within 2 e of m counts, next to it in float64, too; an exact number has none."""
    xp = BoundedNamespace("float64")
    for value, error, doubt in (
        (step + 0.1, 0.04, 0.0),
        (step + 0.1, 0.06, 1.0),
        (step - 0.1, 0.04, 0.0),
        (step - 0.1, 0.06, 1.0),
        (step, 1e-30, 1.0),
        (step, 0.0, 0.0),
        (step + 0.1, 1.0, 4.0),
    ):
        got = getattr(xp, name)(Bounded(np.asarray(value), np.asarray(error), xp))
        assert got.value == getattr(np, name)(value)
        assert got.error == doubt


@pytest.mark.parametrize("a", ["yes", "no", "maybe"])
@pytest.mark.parametrize("b", ["yes", "no", "maybe"])
def test_doubts_follow_logic(a: str, b: str) -> None:
    """What is decided is what comes out whichever way the doubts are decided."""
    possible = {"yes": [True], "no": [False], "maybe": [True, False]}

    def outcome(of: str) -> Comparison:
        return Comparison(np.asarray(of == "yes"), np.asarray(of == "maybe"))

    for function in (operator.and_, operator.or_):
        got = function(outcome(a), outcome(b))
        results = {function(x, y) for x in possible[a] for y in possible[b]}
        assert bool(got.doubtful) == (len(results) == 2)
        if len(results) == 1:
            assert {bool(got.holds)} == results
    assert bool((~outcome(a)).doubtful) == (a == "maybe")
    assert bool((~outcome(a)).holds) == (a != "yes")


def test_equality_is_of_elements() -> None:
    xp = BoundedNamespace("float32")
    x = Bounded(np.asarray([1.0, 1.0, 2.0]), np.asarray([0.0, 0.1, 0.1]), xp)
    for equal, holds in ((x == 1.0, True), (x != 1.0, False), (xp.equal(x, 1.0), True)):
        assert equal.holds.tolist() == [holds, holds, not holds]
        assert equal.doubtful.tolist() == [False, True, False]
    both = xp.where(xp.logical_and(x == 1.0, xp.isfinite(x)), 5.0, 7.0)
    assert both.value.tolist() == [5.0, 5.0, 7.0]
    assert both.error.tolist() == [0.0, 2.0, 0.0]


def test_the_larger_may_be_the_other_in_a_computation() -> None:
    """b < a exactly, but both may be computed 2 e away from m: b then is the larger, by 0.9."""
    xp = BoundedNamespace("float32")
    a, b = (
        Bounded(np.asarray(value), np.asarray(error), xp)
        for value, error in ((2.0, 0.0), (0.9, 1.0))
    )
    assert xp.maximum(a, b).error == 1.0
    assert xp.minimum(-a, -b).error == 1.0
    assert xp.maximum(a, b - 2.0).error == 0.0
