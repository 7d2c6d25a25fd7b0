"""Fits by L-BFGS on all examples at once, with SciPy's stopping conditions."""

import math
import warnings

from sklearn.exceptions import ConvergenceWarning

from pluggable_mlp.arrays import Namespace
from pluggable_mlp.backends import Backend
from pluggable_mlp.estimators.objective import PenalizedMLP
from pluggable_mlp.estimators.parameters import OF_THE_CALLER, FittedMLP
from pluggable_mlp.estimators.validation import moved_tree
from pluggable_mlp.namespaces import run, unwrapped
from pluggable_mlp.network.mlp import loss_gradients_and_buffers
from pluggable_mlp.network.trees import Tree
from pluggable_mlp.training.examples import Examples
from pluggable_mlp.training.step import initial_state
from pluggable_mlp.training.train import check_optimizer

# SciPy's L-BFGS-B stops when a step lowers the loss by less than this fraction of it.
_SMALLEST_DECREASE = 2.220446049250313e-09


class LBFGSMixin(FittedMLP):
    """Fits by iterations of L-BFGS on all examples, with SciPy's stopping conditions."""

    def _fit_by_lbfgs(
        self, xp: Namespace, network: PenalizedMLP, examples: Examples, place: Backend
    ) -> None:
        """Fit, and set the attributes.

        Stop when no derivative is larger than `tol`, when the loss falls by less than 2e-9 of
        itself, or after `max_iter` iterations or `max_fun` evaluations of the loss.
        """
        minimizer, count = self._minimizer(), len(examples)
        start = moved_tree(self._parameters(network), place)
        check_optimizer(network, start, minimizer, count, count)
        batch = examples.inputs, examples.targets, examples.sample_weight
        looks = 0

        def loss_and_gradients(trained: Tree) -> tuple[float, Tree]:
            nonlocal looks
            looks += 1
            call = loss_gradients_and_buffers, (network.general, 0), trained, buffers, *batch
            loss, gradients, _ = run(xp, *call, numbers=((0, 0, network.numbers_at(0)),))
            return float(loss), gradients

        trained, buffers, memory, _ = initial_state(xp, network, start, minimizer)
        before, self.n_iter_, is_last = math.inf, 0, False
        while not is_last:
            steepest = not memory.pairs
            _, trained, memory = minimizer.minimize_step(xp, loss_and_gradients, trained, memory)
            assert memory.loss is not None
            self.loss_, self.n_iter_ = memory.loss, self.n_iter_ + (not memory.finished)
            self._print(f"Iteration {self.n_iter_}, loss = {self.loss_:.8f}")
            small = _is_small(before, self.loss_)
            is_last = memory.finished or (small and steepest) or bool(self._limit(looks))
            is_last |= _largest(xp, memory.gradients) <= self.tol
            is_last |= self._is_stopped(unwrapped(trained))
            if small:  # at a corner, such as relu's, the estimated curvature misleads
                memory = memory._replace(pairs=())
            before = self.loss_
        self._keep_at_home(unwrapped(trained))
        self._optimizer_state = None
        self._warn_of_limits(looks)

    def _limit(self, looks: int) -> str | None:
        """Return the limit that was reached, in SciPy's words, if the fit has not converged."""
        if self.n_iter_ >= self.max_iter:
            return "TOTAL NO. OF ITERATIONS REACHED LIMIT"
        return "TOTAL NO. OF F,G EVALUATIONS EXCEEDS LIMIT" if looks > self.max_fun else None

    def _warn_of_limits(self, looks: int) -> None:
        if limit := self._limit(looks):
            warnings.warn(
                f"lbfgs failed to converge after {self.n_iter_} iteration(s) (status=1):\n"
                f"STOP: {limit}\n\nIncrease the number of iterations to improve the "
                "convergence (max_iter, max_fun).\nYou might also want to scale the data.",
                ConvergenceWarning,
                stacklevel=OF_THE_CALLER + 1,
            )


def _is_small(before: float, loss: float) -> bool:
    """Return whether the loss has hardly fallen, which is unknown after the first iteration."""
    least = _SMALLEST_DECREASE * max(abs(before), abs(loss), 1.0)
    return math.isfinite(before) and before - loss <= least


def _largest(xp: Namespace, gradients: Tree) -> float:
    """Return the largest magnitude of all derivatives: waits once for the device."""
    each = [xp.max(xp.abs(g)) for of in gradients for g in of.values()]
    return float(xp.max(xp.stack(each)))
