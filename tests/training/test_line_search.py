"""The line search against the conditions' definition, its interpolation against NumPy's algebra."""

import math

import pytest

from pluggable_mlp.training.lbfgs import Point, strong_wolfe

# Moré and Thuente, "Line search algorithms with guaranteed sufficient decrease" (1994), section 5.
FUNCTIONS = {
    "rational": (lambda t: -t / (t * t + 2.0), lambda t: (t * t - 2.0) / (t * t + 2.0) ** 2),
    "quintic": (
        lambda t: (t + 0.004) ** 5 - 2.0 * (t + 0.004) ** 4,
        lambda t: 5.0 * (t + 0.004) ** 4 - 8.0 * (t + 0.004) ** 3,
    ),
}


class Line:
    """A function of the step, that counts its evaluations."""

    def __init__(self, loss, slope):
        self.loss, self.slope, self.evaluations = loss, slope, 0

    def __call__(self, step):
        self.evaluations += 1
        return Point(step, self.loss(step), self.slope(step), [], [])


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("scale", [0.03, 0.3, 1.0, 3.0, 10.0, 100.0])
def test_strong_wolfe_conditions(name, scale):
    f, slope = FUNCTIONS[name]
    line = Line(lambda t: f(scale * t), lambda t: scale * slope(scale * t))
    found = strong_wolfe(line, line(0.0), 1.0)
    assert found.loss <= f(0.0) + 1e-4 * found.step * scale * slope(0.0)
    assert abs(found.slope) <= 0.9 * abs(scale * slope(0.0))
    assert line.evaluations <= 25


def test_steps_out_of_the_domain_are_too_long():
    def loss(t):
        return t * t - t if t < 0.6 else math.nan if t < 0.9 else math.inf

    line = Line(loss, lambda t: 2.0 * t - 1.0 if t < 0.6 else math.nan)
    found = strong_wolfe(line, line(0.0), 1.0)
    assert 0.0 < found.step < 0.6
    assert abs(found.slope) <= 0.9


@pytest.mark.parametrize(
    ("loss", "slope", "enough"),
    [
        (-1.01e-4, 0.0, True),
        (-0.99e-4, 0.0, False),
        (-0.5, -0.899, True),
        (-0.5, -0.901, False),
        (-0.5, 0.899, True),
        (-0.5, 0.901, False),
    ],
)
def test_the_conditions_are_those_of_the_book(loss, slope, enough):
    """From loss 0 and slope -1, step 1 is taken where both hold with 1e-4 and 0.9."""

    def evaluate(step):
        return point(1.0, loss, slope) if step == 1.0 else point(step, -0.75 * step, 0.0)

    found = strong_wolfe(evaluate, point(0.0, 0.0, -1.0), 1.0)
    assert (found.step == 1.0) == enough


def test_none_where_rounding_hides_any_decrease():
    line = Line(lambda t: 1.0 + t, lambda _: -1e-30)
    assert strong_wolfe(line, Point(0.0, 1.0, -1e-30, [], []), 1.0) is None


def test_a_loss_that_falls_forever_is_followed_for_ten_doublings():
    """And no step is evaluated that is not taken into account."""
    line = Line(lambda t: -t, lambda _: -1.0)
    assert strong_wolfe(line, point(0.0, 0.0, -1.0), 1.0).step == 2.0**9
    assert line.evaluations == 10


def point(step, loss, slope=0.0):
    return Point(step, loss, slope, [], [])
