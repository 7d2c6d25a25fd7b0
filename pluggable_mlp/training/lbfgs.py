"""L-BFGS: quasi-Newton steps on the loss over all examples at once, and its line search.

L-BFGS is not an `Optimizer` but a minimizer, which evaluates the loss at any parameters.  Losses,
slopes and inner products are read as Python floats and used in operations whose results IEEE 754
determines.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.fields import Component, PositiveCount
from pluggable_mlp.namespaces import run
from pluggable_mlp.network.parameters import Tree, map_arrays

LossAndGradients = Callable[[Tree], tuple[Array | float, Tree]]

# A pair whose step and change of gradient are nearly orthogonal says nothing of the curvature.
_SMALLEST_COSINE = 1e-10
# Of the line search; Nocedal and Wright's values for quasi-Newton methods.
_DECREASE, _CURVATURE = 1e-4, 0.9
_LARGEST_DOUBLINGS, _LARGEST_ZOOMS = 10, 20
# How near to an end of its interval an interpolated step may lie, as a part of the interval:
# scipy.optimize.line_search's values.
_MARGIN_CUBIC, _MARGIN_QUADRATIC = 0.2, 0.1

_Pair = tuple[Tree, Tree, float]


class Memory(NamedTuple):
    """The state of the minimization.

    Attributes
    ----------
    loss : float or None
        The loss at the parameters; None before the first step.
    gradients : list of dict of arrays
        The gradients there.
    pairs : tuple of (s, y, float)
        The last steps s, the changes y of the gradient along them, and s·y.
    finished : bool
        Whether no step can lower the loss: the gradient is 0, or rounding hides the decrease.
        Further steps do not change the parameters.
    """

    loss: float | None = None
    gradients: Tree = []  # noqa: RUF012 - never changed
    pairs: tuple[_Pair, ...] = ()
    finished: bool = False


class Point(NamedTuple):
    """A step along the line, with the loss, its derivative, the parameters and gradients there."""

    step: float
    loss: float
    slope: float
    parameters: Tree
    gradients: Tree


@dataclass(frozen=True)
class LBFGS(Component):
    """Limited-memory BFGS with a strong Wolfe line search, for one network and full batches.

    Nocedal and Wright, "Numerical optimization" (2006): the direction is -H g by the two-loop
    recursion (algorithm 7.4) over the last `history` pairs of steps s and gradient changes y,
    from H_0 = s·y / y·y (equation 7.20); then `strong_wolfe` from step 1, at the first iteration
    from 1 / |g|.  SciPy's L-BFGS-B has the same direction and Moré and Thuente's line search.

    It does not have a learning rate.

    Parameters
    ----------
    history : int, default 10
        The number of pairs that are stored, at least 1.

    Raises
    ------
    ValueError
        If a value is out of range.

    See Also
    --------
    scipy.optimize.minimize : Method "L-BFGS-B", with another line search.
    torch.optim.LBFGS : Called with a closure.

    Examples
    --------
    >>> from pluggable_mlp import LBFGS, MLP, get_backend, train
    >>> x, targets, backend = [[0.0], [1.0], [2.0]], [0.0, 1.0, 4.0], get_backend("numpy")
    >>> mlp = MLP([1, 4, 1], loss="squared_error")
    >>> result = train(mlp, x, targets, backend=backend, optimizer=LBFGS(), batch_size=3)
    >>> result.history[-1] < result.history[0]
    True
    """

    history: PositiveCount = 10

    def minimize_step(
        self,
        xp: Namespace,
        loss_and_gradients: LossAndGradients,
        parameters: Tree,
        memory: Memory,
    ) -> tuple[float, Tree, Memory]:
        """Return the loss, and the parameters and the memory after one iteration.

        Parameters
        ----------
        loss_and_gradients : callable
            Maps parameters to the loss over all examples, 0-d or a float, and its gradients.
            The same function at every step.
        parameters : list of dict of arrays
            W (in, out), b (out,): leading axes would be other networks, with other steps.
        memory : Memory
            From the previous step; `Memory()` at the first.
        """
        line = _Line(xp, loss_and_gradients)
        loss, gradients = memory.loss, memory.gradients
        if loss is None:
            loss, gradients = line.evaluate(parameters)
        start = Point(0.0, loss, 0.0, parameters, gradients)
        if memory.finished:
            return start.loss, parameters, memory
        pairs = memory.pairs
        point, direction = self._search(line, start, pairs)
        if point is None and pairs:  # steepest descent may still find a way
            pairs = ()
            point, direction = self._search(line, start, pairs)
        if point is None:
            return start.loss, parameters, Memory(start.loss, start.gradients, (), finished=True)
        pairs = (*pairs, *line.pair(start, point, direction))[-self.history :]
        return start.loss, point.parameters, Memory(point.loss, point.gradients, pairs)

    def _search(
        self, line: "_Line", origin: Point, pairs: tuple[_Pair, ...]
    ) -> tuple[Point | None, Tree]:
        """Return the next point, or None if no step lowers the loss, and the direction."""
        direction = line.direction(origin.gradients, pairs)
        slope = line.dot(origin.gradients, direction)
        if not slope < 0.0:
            return None, direction
        start = origin._replace(slope=slope)
        # Without pairs the direction is -g, and slope = -|g|^2.
        first = 1.0 if pairs else min(1.0, 1.0 / math.sqrt(-slope))
        point = strong_wolfe(line.along(origin.parameters, direction), start, first)
        # Near a minimum, rounding lets an equal loss pass for one that has fallen.
        return (point if point and point.loss < origin.loss else None), direction


def _dot(xp: Namespace, a: Tree, b: Tree) -> Array:
    """Return the inner product of two trees, 0-d."""
    total: Array = 0.0
    for layer_a, layer_b in zip(a, b, strict=True):
        for name, array in layer_a.items():
            total = total + xp.sum(array * layer_b[name])
    return total


class _Line:
    """The loss, its gradients and inner products of trees, in one namespace."""

    def __init__(self, xp: Namespace, loss_and_gradients: LossAndGradients) -> None:
        self._xp, self._loss_and_gradients = xp, loss_and_gradients

    def dot(self, a: Tree, b: Tree) -> float:
        """Return the inner product of two trees: waits for the device."""
        return float(run(self._xp, _dot, (), a, b))

    def add(self, a: Tree, b: Tree, factor: float) -> Tree:
        """Return a + factor * b."""

        def combine(x: Array, y: Array) -> Array:
            y = y * factor
            y += x
            return y

        return map_arrays(combine, a, b)

    def scale(self, a: Tree, factor: float) -> Tree:
        """Return factor * a."""
        return map_arrays(lambda x: x * factor, a)

    def evaluate(self, parameters: Tree) -> tuple[float, Tree]:
        """Return the loss and its gradients: waits for the device."""
        loss, gradients = self._loss_and_gradients(parameters)
        # The product with 1 removes numbers so small that differences would be denormal.
        return float(loss), self.scale(gradients, 1.0)

    def along(self, parameters: Tree, direction: Tree) -> Callable[[float], Point]:
        """Return the function that maps a step to the point there."""

        def point(step: float) -> Point:
            moved = self.add(parameters, direction, step)
            loss, gradients = self.evaluate(moved)
            return Point(step, loss, self.dot(gradients, direction), moved, gradients)

        return point

    def pair(self, before: Point, after: Point, direction: Tree) -> list[_Pair]:
        """Return [(s, y, s·y)] of a step, or [] if s·y is not positive enough."""
        s = self.scale(direction, after.step)
        y = self.add(after.gradients, before.gradients, -1.0)
        s_y, y_y = self.dot(s, y), self.dot(y, y)
        lengths = math.sqrt(self.dot(s, s) * y_y)
        # The square of a small change may be too small for its dtype; `direction` divides by it.
        return [(s, y, s_y)] if y_y > 0.0 and s_y > _SMALLEST_COSINE * lengths else []

    def direction(self, gradients: Tree, pairs: tuple[_Pair, ...]) -> Tree:
        """Return -H g by the two-loop recursion, H the approximate inverse Hessian."""
        q = gradients
        alphas = []
        for s, y, s_y in reversed(pairs):
            alphas.append(self.dot(s, q) / s_y)
            q = self.add(q, y, -alphas[-1])
        if pairs:
            _, y, s_y = pairs[-1]
            q = self.scale(q, s_y / self.dot(y, y))
        for (s, y, s_y), alpha in zip(pairs, reversed(alphas), strict=True):
            q = self.add(q, s, alpha - self.dot(y, q) / s_y)
        return self.scale(q, -1.0)


def strong_wolfe(evaluate: Callable[[float], Point], start: Point, first: float) -> Point | None:
    """Return a point that satisfies the strong Wolfe conditions.

    With the loss phi(t), these are phi(t) <= phi(0) + 1e-4 t phi'(0) and |phi'(t)| <= 0.9
    |phi'(0)|.  Steps are doubled until they bracket such a point (Nocedal and Wright, algorithm
    3.5), then the bracket shrinks (3.6).  Infinite losses and NaN count as too high.

    Parameters
    ----------
    evaluate : callable
        Returns the point of a step.
    start : Point
        Step 0, with a negative slope.
    first : float
        The first trial step.

    Returns
    -------
    Point or None
        If only the first condition could be met, the lowest such point; None if none was met:
        rounding hides any decrease.
    """
    previous, step = start, first
    for doublings in range(_LARGEST_DOUBLINGS):
        trial = evaluate(step)
        if not _decreases(trial, start) or (doublings and trial.loss >= previous.loss):
            return _zoom(evaluate, start, previous, trial)
        if abs(trial.slope) <= -_CURVATURE * start.slope:
            return trial
        if trial.slope >= 0.0:
            return _zoom(evaluate, start, trial, previous)
        previous, step = trial, 2.0 * step
    return previous


def _decreases(point: Point, start: Point) -> bool:
    """Return whether the loss has decreased enough; False for NaN."""
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
    """Return the minimizer of the cubic through three points, or of a parabola, or the midpoint.

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
    """Return the minimizer of the parabola with the loss and slope at low and the loss at high."""
    width = high.step - low.step
    curvature = 2.0 * (high.loss - low.loss - low.slope * width)
    return low.step - low.slope * width * width / curvature if curvature else math.nan


def _cubic_minimizer(low: Point, high: Point, third: Point) -> float:
    """Return the minimizer of the cubic with the loss and slope at low and the other losses.

    With t = step - low.step it is low.loss + low.slope t + B t^2 + A t^3 (Nocedal and Wright,
    section 3.5).
    """
    p, q = high.step - low.step, third.step - low.step
    # The values that the cubic's part A t + B must have at p and at q.
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
