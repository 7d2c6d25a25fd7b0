"""Fits by L-BFGS, on all examples at once, with SciPy's conditions of when to stop."""

import math
import warnings
from collections.abc import Iterator
from typing import NamedTuple

from sklearn.exceptions import ConvergenceWarning

from pluggable_mlp.arrays import Namespace
from pluggable_mlp.estimators.fitting import OF_THE_CALLER, Fit
from pluggable_mlp.namespaces import run, unwrapped
from pluggable_mlp.network.passes import Parameters
from pluggable_mlp.training.lbfgs import LBFGS, loss_and_gradients_of
from pluggable_mlp.training.step import initial_state
from pluggable_mlp.training.train import check_optimizer
from pluggable_mlp.training.trees import Tree

# SciPy's L-BFGS-B stops where a step lowers the loss by less than this part of it.
_SMALLEST_DECREASE = 2.220446049250313e-09


class Iteration(NamedTuple):
    """Where an iteration of L-BFGS ended, and at the last one why it has not converged, if so."""

    parameters: Parameters
    loss: float
    number: int
    failure: str | None


class FitByLBFGS(Fit):
    """Iterations of L-BFGS on all examples, with SciPy's conditions of when to stop."""

    def run(self) -> None:
        """See `Fit.run`."""
        model, count = self._model, len(self._problem.examples)
        minimizer = model._minimizer()
        check_optimizer(self._problem.network, self._start, minimizer, count, count)
        with self._progress_bar() as advance:
            for end in self._iterations(minimizer):
                parameters, model.loss_, model.n_iter_, failure = end
                self._reached = parameters
                self._print(f"Iteration {model.n_iter_}, loss = {model.loss_:.8f}")
                advance()
                if self._is_stopped():
                    break
        self._keep(parameters)
        model._optimizer_state = None
        if failure:
            warnings.warn(
                f"lbfgs failed to converge after {model.n_iter_} iteration(s) (status=1):\n"
                f"STOP: {failure}\n\nIncrease the number of iterations to improve the "
                "convergence (max_iter, max_fun).\nYou might also want to scale the data.",
                ConvergenceWarning,
                stacklevel=OF_THE_CALLER,
            )

    @property
    def _parameters(self) -> Parameters:
        """See `Fit`."""
        return self._reached

    def _iterations(self, minimizer: LBFGS) -> Iterator[Iteration]:
        """Yield after each iteration.

        The last is the one where no derivative is larger than `tol`, the loss falls by less than
        2e-9 of itself, or there were `max_iter` iterations or `max_fun` looks at the loss.
        """
        xp, network, examples = self._xp, self._problem.network, self._problem.examples
        batch = examples.inputs, examples.targets, examples.sample_weight
        looks = 0

        def loss_and_gradients(trained: Tree) -> tuple[float, Tree]:
            nonlocal looks
            looks += 1
            given, numbers = (trained, buffers, *batch), (network.numbers_at(0),)
            loss, gradients = run(
                xp, loss_and_gradients_of, (network.general,), *given, numbers=numbers
            )
            return float(loss), gradients

        trained, buffers, memory, _ = initial_state(xp, network, self._start, minimizer)
        before, count = math.inf, 0
        while True:
            steepest = not memory.pairs
            _, trained, memory = minimizer.minimize_step(xp, loss_and_gradients, trained, memory)
            loss = memory.loss
            assert loss is not None
            count += not memory.finished
            # SciPy's order: what comes to a limit has not converged.
            failure = self._limit(count, looks)
            flat = memory.finished or _largest(xp, memory.gradients) <= self._model.tol
            small = _is_small(before, loss)
            yield Iteration(unwrapped(trained), loss, count, failure)
            if failure or flat or (small and steepest):
                return
            if small:  # at a corner, as relu has: what was learnt of the curvature misleads
                memory = memory._replace(pairs=())
            before = loss

    def _limit(self, count: int, looks: int) -> str | None:
        if count >= self._model.max_iter:
            return "TOTAL NO. OF ITERATIONS REACHED LIMIT"
        return "TOTAL NO. OF F,G EVALUATIONS EXCEEDS LIMIT" if looks > self._model.max_fun else None


def _is_small(before: float, loss: float) -> bool:
    """Return whether the loss has hardly fallen; after the first iteration it is not known."""
    least = _SMALLEST_DECREASE * max(abs(before), abs(loss), 1.0)
    return math.isfinite(before) and before - loss <= least


def _largest(xp: Namespace, gradients: Tree) -> float:
    """Return the largest magnitude of all derivatives: waits once for the device."""
    each = [xp.max(xp.abs(g)) for of in gradients for g in of.values()]
    return float(xp.max(xp.stack(each)))
