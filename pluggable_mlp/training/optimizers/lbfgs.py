"""L-BFGS: quasi-Newton steps on the loss over all examples at once; no other optimizer."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.registry import keep_count
from pluggable_mlp.training.optimizers.contract import State
from pluggable_mlp.training.optimizers.line_search import Point, strong_wolfe
from pluggable_mlp.training.trees import Tree, map_arrays

__all__ = ["LBFGS", "LossAndGradients"]

LossAndGradients = Callable[[Tree], tuple[Array, Tree]]

# A pair whose step and change of gradient are nearly orthogonal says nothing of the curvature.
_SMALLEST_COSINE = 1e-10

_Pair = tuple[Tree, Tree, float]


@dataclass(frozen=True)
class LBFGS:
    """Limited-memory BFGS with a strong Wolfe line search, for one network and full batches.

    Nocedal and Wright, "Numerical optimization" (2006): the direction is -H g by the two-loop
    recursion (algorithm 7.4) over the last `history` pairs of steps s and gradient changes y,
    from H_0 = s·y / y·y (equation 7.20); then `strong_wolfe` from step 1, at the first iteration
    from 1 / |g|.  SciPy's L-BFGS-B has the same direction and Moré and Thuente's line search.

    It has no learning rate.  A step needs the loss as a function, so the interface is its own:
    `minimize_step` in place of `update`.

    Parameters
    ----------
    history : int, default 10
        How many pairs are remembered, at least 1.

    Raises
    ------
    ValueError
        If a value is out of range.
    """

    history: int = 10

    def __post_init__(self) -> None:
        keep_count(self, "history", at_least=1)

    def init(self, parameters: Tree) -> State:
        """Return the state before the first step: nothing is known of the loss yet."""
        del parameters
        return State({"step": 0, "pairs": 0, "finished": 0}, {})

    def minimize_step(
        self,
        xp: Namespace,
        loss_and_gradients: LossAndGradients,
        parameters: Tree,
        state: State,
    ) -> tuple[Tree, State]:
        """Return the parameters and the state after one iteration.

        Parameters
        ----------
        loss_and_gradients : callable
            Of parameters: returns the loss over all examples, 0-d, and its gradients.  The same
            function at every step.
        parameters : list of dict of arrays
            W (in, out), b (out,): leading axes would be other networks, with other steps.
        state : State
            `numbers["loss"]` is the loss at the parameters, after the first step;
            `numbers["finished"]` is 1 once no step lowers the loss any more: the gradient is 0 or
            rounding hides the decrease.  Further steps then change nothing.
        """
        if state.numbers["finished"]:
            return parameters, state
        line = _Line(xp, loss_and_gradients)
        here = line.first_point(parameters, state)
        pairs = _pairs(state)
        found, direction = self._search(line, here, pairs)
        if found is None and pairs:  # steepest descent may still find a way
            pairs = []
            found, direction = self._search(line, here, pairs)
        numbers = {"step": state.numbers["step"] + 1}
        if found is None:
            numbers |= {"loss": here.loss, "pairs": 0, "finished": 1}
            return parameters, State(numbers, {"gradients": here.gradients})
        pairs = [*pairs, *line.pair(here, found, direction)][-self.history :]
        numbers |= {"loss": found.loss, "pairs": len(pairs), "finished": 0}
        trees = {"gradients": found.gradients}
        for index, (s, y, s_y) in enumerate(pairs):
            numbers[f"s_y{index}"] = s_y
            trees |= {f"s{index}": s, f"y{index}": y}
        return found.parameters, State(numbers, trees)

    def after_epoch(self, state: State, loss: float) -> State:
        """Return the state: no learning rate looks at the loss."""
        del loss
        return state

    def _search(self, line: "_Line", here: Point, pairs: list[_Pair]) -> tuple[Point | None, Tree]:
        """Return the next point, None where no step lowers the loss, and the direction."""
        direction = line.direction(here.gradients, pairs)
        slope = line.dot(here.gradients, direction)
        if not slope < 0.0:
            return None, direction
        start = here._replace(slope=slope)
        # Without pairs the direction is -g, and slope = -|g|^2.
        first = 1.0 if pairs else min(1.0, 1.0 / math.sqrt(-slope))
        found = strong_wolfe(line.along(here.parameters, direction), start, first)
        # Near a minimum, rounding lets an equal loss pass for one that has fallen.
        return (found if found and found.loss < here.loss else None), direction


def _pairs(state: State) -> list[_Pair]:
    numbers, trees = state
    return [
        (trees[f"s{index}"], trees[f"y{index}"], numbers[f"s_y{index}"])
        for index in range(int(numbers["pairs"]))
    ]


class _Line:
    """The loss, its gradients and inner products of trees, in one namespace."""

    def __init__(self, xp: Namespace, loss_and_gradients: LossAndGradients) -> None:
        self._xp, self._loss_and_gradients = xp, loss_and_gradients

    def dot(self, a: Tree, b: Tree) -> float:
        """Return the inner product of two trees: waits for the device."""
        total: Array = 0.0
        for of_a, of_b in zip(a, b, strict=True):
            for name, array in of_a.items():
                total = total + self._xp.sum(array * of_b[name])
        return float(total)

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
        # The product with 1 takes away what is so small that differences would be denormal.
        return float(loss), self.scale(gradients, 1.0)

    def first_point(self, parameters: Tree, state: State) -> Point:
        """Return the loss and gradients at the parameters, from the state if it has them."""
        if "loss" in state.numbers:
            loss, gradients = state.numbers["loss"], state.trees["gradients"]
        else:
            loss, gradients = self.evaluate(parameters)
        return Point(0.0, loss, 0.0, parameters, gradients)

    def along(self, parameters: Tree, direction: Tree) -> Callable[[float], Point]:
        """Return the function from a step to the point there."""

        def point(step: float) -> Point:
            there = self.add(parameters, direction, step)
            loss, gradients = self.evaluate(there)
            return Point(step, loss, self.dot(gradients, direction), there, gradients)

        return point

    def pair(self, old: Point, new: Point, direction: Tree) -> list[_Pair]:
        """Return [(s, y, s·y)] of a step, or [] if it says nothing of the curvature."""
        s = self.scale(direction, new.step)
        y = self.add(new.gradients, old.gradients, -1.0)
        s_y = self.dot(s, y)
        lengths = math.sqrt(self.dot(s, s) * self.dot(y, y))
        return [(s, y, s_y)] if s_y > _SMALLEST_COSINE * lengths else []

    def direction(self, gradients: Tree, pairs: list[_Pair]) -> Tree:
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
