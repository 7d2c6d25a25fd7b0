"""A line search for the strong Wolfe conditions, on Python floats; no directions belong here.

Nocedal and Wright, "Numerical optimization" (2006), algorithms 3.5 and 3.6.  Everything is
computed in operations that IEEE 754 fixes, from losses and slopes read once each.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

from pluggable_mlp.training.trees import Tree

__all__ = ["Point", "strong_wolfe"]

# Nocedal and Wright's values for quasi-Newton methods.
_DECREASE, _CURVATURE = 1e-4, 0.9
_LARGEST_DOUBLINGS, _LARGEST_ZOOMS = 10, 20
# How near to an end of its interval an interpolated step may lie, as part of the interval:
# scipy.optimize.line_search's values.
_MARGIN_CUBIC, _MARGIN_QUADRATIC = 0.2, 0.1


class Point(NamedTuple):
    """A step along the line, the loss and its derivative there, and what led to them."""

    step: float
    loss: float
    slope: float
    parameters: Tree
    gradients: Tree


def strong_wolfe(evaluate: Callable[[float], Point], start: Point, first: float) -> Point | None:
    """Return a point where the loss has fallen enough and its slope is flat enough.

    With the loss phi(t), phi(t) <= phi(0) + 1e-4 t phi'(0) and |phi'(t)| <= 0.9 |phi'(0)|.
    Steps are doubled until they bracket such a point (algorithm 3.5), then the bracket shrinks
    (3.6).  Losses that are not finite count as too high.

    Parameters
    ----------
    evaluate : callable
        Returns the point of a step.
    start : Point
        Step 0, with a negative slope.
    first : float
        The step to try first.

    Returns
    -------
    Point or None
        If only the first condition could be met, the lowest such point; None if none was met:
        rounding hides any decrease.
    """
    previous, trial = start, evaluate(first)
    for doublings in range(_LARGEST_DOUBLINGS):
        if not _decreases(trial, start) or (doublings and trial.loss >= previous.loss):
            return _zoom(evaluate, start, previous, trial)
        if abs(trial.slope) <= -_CURVATURE * start.slope:
            return trial
        if trial.slope >= 0.0:
            return _zoom(evaluate, start, trial, previous)
        previous, trial = trial, evaluate(2.0 * trial.step)
    return previous


def _decreases(point: Point, start: Point) -> bool:
    """Return whether the loss has fallen enough; False where it is not a number."""
    return point.loss <= start.loss + _DECREASE * point.step * start.slope


def _zoom(
    evaluate: Callable[[float], Point], start: Point, low: Point, high: Point
) -> Point | None:
    """Shrink the interval between `low`, the best point so far, and `high`: algorithm 3.6."""
    replaced = None
    for _ in range(_LARGEST_ZOOMS):
        trial = evaluate(_interpolate(low, high, replaced))
        if not _decreases(trial, start) or trial.loss >= low.loss:
            replaced, high = high, trial
            continue
        if abs(trial.slope) <= -_CURVATURE * start.slope:
            return trial
        if trial.slope * (high.step - low.step) >= 0.0:
            replaced, high = high, low
        else:
            replaced = low
        low = trial
    return low if low.step > 0.0 else None


def _interpolate(low: Point, high: Point, third: Point | None) -> float:
    """Return the minimizer of the cubic through three points, else of a parabola, else halve.

    A parabola's minimizer near an end of the interval is moved to the margin: halving would
    leave it near an end again.
    """
    a, b = min(low.step, high.step), max(low.step, high.step)
    cubic = math.nan if third is None else _cubic_minimizer(low, high, third)
    margin = _MARGIN_CUBIC * (b - a)
    if a + margin <= cubic <= b - margin:
        return cubic
    quadratic = _quadratic_minimizer(low, high)
    margin = _MARGIN_QUADRATIC * (b - a)
    if a < quadratic < b:
        return min(max(quadratic, a + margin), b - margin)
    return a + 0.5 * (b - a)


def _quadratic_minimizer(low: Point, high: Point) -> float:
    """Return where the parabola with low's loss and slope and high's loss has its minimum."""
    width = high.step - low.step
    curvature = 2.0 * (high.loss - low.loss - low.slope * width)
    return low.step - low.slope * width * width / curvature if curvature else math.nan


def _cubic_minimizer(low: Point, high: Point, third: Point) -> float:
    """Return the minimum of the cubic with low's loss and slope and the losses of the others.

    With t = step - low.step it is low.loss + low.slope t + B t^2 + A t^3 (Nocedal and Wright,
    section 3.5).
    """
    p, q = high.step - low.step, third.step - low.step
    # What the cubic's own part A t + B must be at p and at q.
    at_p = _divided(high.loss - low.loss - low.slope * p, p * p)
    at_q = _divided(third.loss - low.loss - low.slope * q, q * q)
    A = _divided(at_p - at_q, p - q)
    B = at_p - A * p
    radicand = B * B - 3.0 * A * low.slope
    if not (radicand >= 0.0 and math.isfinite(radicand)):
        return math.nan
    return low.step + _divided(math.sqrt(radicand) - B, 3.0 * A)


def _divided(x: float, y: float) -> float:
    return x / y if y else math.nan
