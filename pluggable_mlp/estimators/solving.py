"""The two ways in which `fit` searches: epochs of gradient steps, and L-BFGS.

Here an estimator's attributes are kept up to date, messages are printed and callbacks are called.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.backends import Backend
from pluggable_mlp.estimators.descent import Descent, lowered, minimize, order_of
from pluggable_mlp.estimators.inputs import moved
from pluggable_mlp.estimators.objective import PenalizedMLP
from pluggable_mlp.estimators.parameters import SteppedRate, callbacks_of, make_solver
from pluggable_mlp.namespaces import run_to_float, unwrapped
from pluggable_mlp.network.mlp import Parameters
from pluggable_mlp.training.components import AnyOptimizer
from pluggable_mlp.training.examples import Examples
from pluggable_mlp.training.optimizer import Slots
from pluggable_mlp.training.precision_warning import LostNumbers
from pluggable_mlp.training.step import TrainState, initial_state
from pluggable_mlp.training.steps import Steps
from pluggable_mlp.training.train import check_optimizer
from pluggable_mlp.training.trees import map_arrays

__all__ = ["Job", "forget_records", "solve_by_epochs", "solve_by_lbfgs", "warn_of_lost_numbers"]

_RECORDS: dict[str, Any] = {
    "loss_curve_": [],
    "best_loss_": None,
    "validation_scores_": None,
    "validation_loss_curve_": None,
    "best_validation_score_": None,
    "_no_improvement_count": 0,
}
"""What epochs add to, as it is before the first."""


@dataclass(frozen=True)
class Job:
    """What is to be fitted, on what, and where.

    Attributes
    ----------
    xp
        The namespace of the computation.
    network : PenalizedMLP
    examples : Examples
        On `place`; their `sample_weight` contains the weights of their classes.
    given_weight : array (examples,) or None
        The `sample_weight` that was given to `fit`, which scores count.
    place, home : Backend
        Where training happens, and where the model's attributes live.
    """

    xp: Namespace
    network: PenalizedMLP
    examples: Examples
    given_weight: Array | None
    place: Backend
    home: Backend

    def part(self, places: Any) -> "Job":
        """Return the job of the examples at these places, of NumPy."""
        places, examples = self.place.asarray(places), self.examples
        data = (examples.inputs, examples.targets, examples.sample_weight, self.given_weight)
        inputs, targets, weight, given_weight = (
            None if each is None else self.xp.take(each, places, axis=0) for each in data
        )
        chosen = replace(examples, inputs=inputs, targets=targets, sample_weight=weight)
        return replace(self, examples=chosen, given_weight=given_weight)


def warn_of_lost_numbers(job: Job, parameters: Parameters) -> None:
    """Warn where reproducible products take many numbers of the data or weights for 0."""
    lost = LostNumbers(job.xp, job.examples)
    counts = lost.counts(_on(job.place, parameters))
    lost.warn({name: int(unwrapped(count)) for name, count in counts.items()})


def solve_by_lbfgs(estimator: Any, job: Job) -> None:
    """Fit an estimator by L-BFGS, and set what it then knows."""
    examples = job.examples

    def on_iteration(iteration: int, loss: float, parameters: Parameters) -> bool:
        estimator.n_iter_, estimator.loss_ = iteration, loss
        _say(estimator, f"Iteration {iteration}, loss = {loss:.8f}")
        advance()
        return _stopped(estimator, lambda: estimator._keep(_on(job.home, parameters)))

    solver = make_solver(estimator, SteppedRate(0.0))
    parameters = _on(job.place, estimator._parameters(job.network))
    check_optimizer(job.network, parameters, solver, len(examples), len(examples))
    with _progress(estimator) as advance:
        found = minimize(
            job.xp,
            job.network,
            solver,
            (examples.inputs, examples.targets, examples.sample_weight),
            parameters,
            tol=estimator.tol,
            max_iter=estimator.max_iter,
            max_fun=estimator.max_fun,
            on_iteration=on_iteration,
        )
    estimator._keep(_on(job.home, found.parameters))
    estimator._optimizer_state = None
    estimator.n_iter_, estimator.loss_ = found.iterations, found.loss
    if found.failure:
        warnings.warn(
            f"lbfgs failed to converge after {found.iterations} iteration(s) (status=1):\n"
            f"STOP: {found.failure}\n\nIncrease the number of iterations to improve the "
            "convergence (max_iter, max_fun).\nYou might also want to scale the data.",
            ConvergenceWarning,
            stacklevel=5,
        )


def solve_by_epochs(estimator: Any, job: Job, incremental: bool) -> None:
    """Fit an estimator by gradient steps, a single epoch where it is incremental."""
    held = None
    if estimator.early_stopping:
        job, held = _split(estimator, job)
    goes_on = incremental and _remembers(estimator)
    rate = estimator._rate.value if goes_on else float(estimator.learning_rate_init)
    estimator._rate = SteppedRate(rate)
    if not goes_on:
        estimator._optimizer_state = None
    epochs = Epochs(estimator, job, held)
    try:
        with _progress(estimator) as advance:
            estimator.n_iter_ = 0
            for _ in range(1 if incremental else estimator.max_iter):
                epochs.take()
                advance()
                if epochs.ended():
                    break
            else:
                if not incremental:
                    warnings.warn(
                        f"Stochastic Optimizer: Maximum iterations ({estimator.max_iter}) reached "
                        "and the optimization hasn't converged yet.",
                        ConvergenceWarning,
                        stacklevel=5,
                    )
    except KeyboardInterrupt:
        warnings.warn("Training interrupted by user.", stacklevel=5)
    epochs.finish()


class Epochs:
    """The epochs of a fit, and the checks after each.

    Parameters
    ----------
    estimator
    job : Job
    held : Job or None
        What is held out, for early stopping.
    """

    def __init__(self, estimator: Any, job: Job, held: Job | None) -> None:
        self._estimator, self._job, self._held = estimator, job, held
        _make_records(estimator)
        batch_size = _batch_size(estimator.batch_size, len(job.examples))
        self._best = _on(job.place, estimator._parameters(job.network))
        solver = make_solver(estimator, estimator._rate)
        steps = Steps(
            job.xp,
            job.network,
            solver,
            job.examples.kind,
            _state(estimator, job, solver, self._best),
            backend=job.place,
            batch_size=batch_size,
            seed=_seed_of_steps(estimator),
        )
        order = order_of(estimator._random_state if estimator.shuffle else None)
        self._descent = Descent(steps, estimator._rate, job.examples, order)

    def take(self) -> None:
        """Take one epoch, and note its loss, or the score that it leads to."""
        estimator = self._estimator
        estimator.loss_ = self._descent.epoch()
        estimator.n_iter_ += 1
        estimator.t_ += len(self._job.examples)
        estimator.loss_curve_.append(estimator.loss_)
        _say(estimator, f"Iteration {estimator.n_iter_}, loss = {estimator.loss_:.8f}")
        if self._held is not None:
            self._validate(self._held)
        else:
            self._count(estimator.loss_ > estimator.best_loss_ - estimator.tol)
            estimator.best_loss_ = min(estimator.best_loss_, estimator.loss_)
        if _steps(estimator, "invscaling"):
            rate = estimator.learning_rate_init / (estimator.t_ + 1) ** estimator.power_t
            self._descent.set_rate(rate)

    def ended(self) -> bool:
        """Return whether to stop; or lower the rate, where it is adaptive."""
        estimator = self._estimator
        if _stopped(estimator, self._keep_parameters):
            return True
        if estimator._no_improvement_count <= estimator.n_iter_no_change:
            return False
        what = "Training loss" if self._held is None else "Validation score"
        message = (
            f"{what} did not improve more than tol={estimator.tol:f} for "
            f"{estimator.n_iter_no_change} consecutive epochs."
        )
        if not _steps(estimator, "adaptive"):
            _say(estimator, f"{message} Stopping.")
            return True
        rate = lowered(estimator._rate.value)
        if rate is None:
            _say(estimator, f"{message} Learning rate too small. Stopping.")
            return True
        _say(estimator, f"{message} Setting learning rate to {rate:f}")
        self._descent.set_rate(rate)
        estimator._no_improvement_count = 0
        return False

    def finish(self) -> None:
        """Leave the estimator with the parameters, the best ones where it stops early."""
        self._keep_parameters()
        if self._held is not None:
            self._estimator._keep(_on(self._job.home, self._best))
        self._estimator._optimizer_state = _slots_on(self._job.home, self._descent.remembered)

    def _count(self, stalled: bool) -> None:
        """Count the epochs since the last one that improved by at least `tol`."""
        count = self._estimator._no_improvement_count
        self._estimator._no_improvement_count = count + 1 if stalled else 0

    def _keep_parameters(self) -> None:
        self._estimator._keep(_on(self._job.home, self._descent.parameters))

    def _validate(self, held: Job) -> None:
        """Note the score and the loss of what is held out, and the parameters if they are best."""
        estimator, xp, network = self._estimator, self._job.xp, self._job.network
        parameters = self._descent.parameters
        examples, own = held.examples, held.place.xp
        batch = examples.inputs, examples.targets, examples.sample_weight
        given = map_arrays(xp.asarray, parameters), *batch
        loss, z = run_to_float(xp, _loss_and_outputs, (network.general,), *given)
        z, targets, weight = map(unwrapped, (z, examples.targets, held.given_weight))
        score = float("nan")
        if bool(own.all(own.isfinite(z))):
            score = estimator._score_of(own, z, targets, weight)
        estimator.validation_scores_.append(score)
        estimator.validation_loss_curve_.append(loss)
        _say(estimator, f"Validation score: {score:f}")
        self._count(score < estimator.best_validation_score_ + estimator.tol)
        if score > estimator.best_validation_score_:
            estimator.best_validation_score_ = score
            self._best = parameters


def _loss_and_outputs(
    xp: Namespace, network: PenalizedMLP, parameters: Parameters, x: Array, *weighted: Any
) -> tuple[Array, Array]:
    """Return the loss and the outputs (examples, outputs) for targets and their sample_weight."""
    z, _ = network.forward(xp, parameters, x)
    loss, _ = network.objective(xp, z, *weighted)
    return loss, z


def forget_records(estimator: Any) -> None:
    """Delete what the epochs of earlier fits have noted."""
    for name in (*_RECORDS, "_optimizer_state"):
        vars(estimator).pop(name, None)


def _make_records(estimator: Any) -> None:
    """Set what the epochs add to: copies of what an earlier fit left, or empty ones."""
    for name, first in _RECORDS.items():
        setattr(estimator, name, copy(getattr(estimator, name, first)))
    if not estimator.early_stopping:
        if estimator.best_loss_ is None:
            estimator.best_loss_ = np.inf
        return
    if estimator.validation_scores_ is None:
        estimator.validation_scores_, estimator.validation_loss_curve_ = [], []
        estimator.best_validation_score_ = -np.inf


def _state(estimator: Any, job: Job, solver: AnyOptimizer, parameters: Parameters) -> TrainState:
    """Return the state of the first step, with what the optimizer remembers of an earlier fit."""
    state = initial_state(job.xp, job.network, parameters, solver)
    if estimator._optimizer_state is None:
        return state
    slots, t = _slots_on(job.place, estimator._optimizer_state)
    slots = {name: map_arrays(job.xp.asarray, tree) for name, tree in slots.items()}
    return state._replace(slots=slots, t=t)


def _remembers(estimator: Any) -> bool:
    """Return whether there is an optimizer's memory that the solver can go on from."""
    remembered = getattr(estimator, "_optimizer_state", None)
    if remembered is None:
        return False
    needed = make_solver(estimator, estimator._rate).initial_slots([])
    return bool(needed.keys() == remembered[0].keys())


def _split(estimator: Any, job: Job) -> tuple[Job, Job]:
    """Hold a part of the examples out, as scikit-learn does: return the rest, and the part."""
    examples = job.examples
    train, held = train_test_split(
        np.arange(len(examples)),
        random_state=estimator._random_state,
        test_size=estimator.validation_fraction,
        stratify=estimator._strata(job.place, unwrapped(examples.targets)),
    )
    if held.shape[0] < 2:
        raise ValueError(
            "The validation set is too small. Increase 'validation_fraction' or the size of your "
            "dataset."
        )
    return job.part(train), job.part(held)


def _batch_size(asked: Any, count: int) -> int:
    if asked == "auto":
        return min(200, count)
    if asked > count:
        warnings.warn(
            "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped",
            stacklevel=6,
        )
    return int(min(asked, count))


def _seed_of_steps(estimator: Any) -> int:
    """Return the seed of dropout and noise; draw none where there is neither, as scikit-learn."""
    draws = max(estimator.dropout, estimator.input_dropout, estimator.input_noise) > 0.0
    return int(estimator._random_state.randint(2**31)) if draws else 0


def _steps(estimator: Any, learning_rate: str) -> bool:
    """Return whether the rate changes in this way: as in scikit-learn, that of sgd alone."""
    return bool(estimator.solver == "sgd" and estimator.learning_rate == learning_rate)


def _on(backend: Backend, parameters: Parameters) -> Parameters:
    return map_arrays(lambda array: moved(array, backend), parameters)


def _slots_on(backend: Backend, remembered: tuple[Slots, int]) -> tuple[Slots, int]:
    """Return what a `Descent` remembered with its arrays on the backend."""
    slots, t = remembered
    return {name: _on(backend, tree) for name, tree in slots.items()}, t


def _say(estimator: Any, message: str) -> None:
    if estimator.verbose:
        print(message)


def _stopped(estimator: Any, keep: Callable[[], None]) -> bool:
    """Call the callbacks with an estimator that knows its parameters; return if one says stop."""
    callbacks = callbacks_of(estimator)
    if not callbacks:
        return False
    keep()
    stops = [callback(estimator) is True for callback in callbacks]  # all are called
    return any(stops)


@contextmanager
def _progress(estimator: Any) -> Iterator[Callable[[], None]]:
    """Show a bar of the iterations on a terminal, if asked to; yield what advances it."""
    if not estimator.progress_bar:
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if not (console.is_terminal or console.is_jupyter):
        yield lambda: None
        return
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(type(estimator).__name__, total=estimator.max_iter)
        yield lambda: progress.advance(task)
