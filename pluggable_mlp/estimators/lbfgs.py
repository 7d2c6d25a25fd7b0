"""Fits by L-BFGS, on all examples at once, with SciPy's conditions of when to stop."""

import math
import warnings
from collections.abc import Iterator
from typing import NamedTuple

from sklearn.exceptions import ConvergenceWarning

from pluggable_mlp.arrays import Namespace
from pluggable_mlp.backends import Backend
from pluggable_mlp.estimators.fitted import OF_THE_CALLER, FittedMLP
from pluggable_mlp.estimators.objective import PenalizedMLP
from pluggable_mlp.estimators.validation import moved_tree
from pluggable_mlp.namespaces import run, unwrapped
from pluggable_mlp.network.passes import Parameters
from pluggable_mlp.training.examples import Examples
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


class LBFGSMixin(FittedMLP):
    """Fits by iterations of L-BFGS on all examples, with SciPy's conditions of when to stop."""

    def _fit_by_lbfgs(
        self, xp: Namespace, network: PenalizedMLP, examples: Examples, place: Backend
    ) -> None:
        """Fit, and set the attributes."""
        minimizer, count = self._minimizer(), len(examples)
        start = moved_tree(self._parameters(network), place)
        check_optimizer(network, start, minimizer, count, count)
        with self._progress_bar() as advance:
            for end in self._iterations(xp, network, examples, start, minimizer):
                self.loss_, self.n_iter_ = end.loss, end.number
                self._print(f"Iteration {end.number}, loss = {end.loss:.8f}")
                advance()
                if self._is_stopped(end.parameters):
                    break
        self._keep_at_home(end.parameters)
        self._optimizer_state = None
        if end.failure:
            warnings.warn(
                f"lbfgs failed to converge after {end.number} iteration(s) (status=1):\n"
                f"STOP: {end.failure}\n\nIncrease the number of iterations to improve the "
                "convergence (max_iter, max_fun).\nYou might also want to scale the data.",
                ConvergenceWarning,
                stacklevel=OF_THE_CALLER,
            )

    def _iterations(
        self,
        xp: Namespace,
        network: PenalizedMLP,
        examples: Examples,
        start: Parameters,
        minimizer: LBFGS,
    ) -> Iterator[Iteration]:
        """Yield after each iteration.

        The last is the one where no derivative is larger than `tol`, the loss falls by less than
        2e-9 of itself, or there were `max_iter` iterations or `max_fun` looks at the loss.
        """
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

        trained, buffers, memory, _ = initial_state(xp, network, start, minimizer)
        before, count = math.inf, 0
        while True:
            steepest = not memory.pairs
            _, trained, memory = minimizer.minimize_step(xp, loss_and_gradients, trained, memory)
            loss = memory.loss
            assert loss is not None
            count += not memory.finished
            # SciPy's order: what comes to a limit has not converged.
            failure = self._limit(count, looks)
            flat = memory.finished or _largest(xp, memory.gradients) <= self.tol
            small = _is_small(before, loss)
            yield Iteration(unwrapped(trained), loss, count, failure)
            if failure or flat or (small and steepest):
                return
            if small:  # at a corner, as relu has: what was learnt of the curvature misleads
                memory = memory._replace(pairs=())
            before = loss

    def _limit(self, count: int, looks: int) -> str | None:
        if count >= self.max_iter:
            return "TOTAL NO. OF ITERATIONS REACHED LIMIT"
        return "TOTAL NO. OF F,G EVALUATIONS EXCEEDS LIMIT" if looks > self.max_fun else None


def _is_small(before: float, loss: float) -> bool:
    """Return whether the loss has hardly fallen; after the first iteration it is not known."""
    least = _SMALLEST_DECREASE * max(abs(before), abs(loss), 1.0)
    return math.isfinite(before) and before - loss <= least


def _largest(xp: Namespace, gradients: Tree) -> float:
    """Return the largest magnitude of all derivatives: waits once for the device."""
    each = [xp.max(xp.abs(g)) for of in gradients for g in of.values()]
    return float(xp.max(xp.stack(each)))
