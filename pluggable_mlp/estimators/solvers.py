"""Fits by epochs of the training loop, or by L-BFGS on all examples; the rules for stopping.

The order of the examples, the learning rate and the stopping rules of epochs are scikit-learn's,
those of L-BFGS are SciPy's.
"""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from statistics import fmean
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from pluggable_mlp.arrays import Namespace, map_nested
from pluggable_mlp.arrays.shortcuts import backend_context, in_context
from pluggable_mlp.backends import Backend
from pluggable_mlp.estimators.objective import PenalizedMLP, loss_and_outputs
from pluggable_mlp.estimators.parameters import OF_THE_CALLER, FittedMLP, SteppedRate
from pluggable_mlp.estimators.validation import move, place_of
from pluggable_mlp.host.lazy import on_host
from pluggable_mlp.namespaces import run, unwrapped
from pluggable_mlp.network.mlp import loss_gradients_and_buffers
from pluggable_mlp.network.parameters import Parameters, Tree, map_arrays
from pluggable_mlp.training.examples import AnyExamples, Examples
from pluggable_mlp.training.loop import Progress, training_progress
from pluggable_mlp.training.step import initial_state
from pluggable_mlp.training.steps import Steps
from pluggable_mlp.training.streaming import Order
from pluggable_mlp.training.train import check_optimizer

Truth: TypeAlias = tuple[NDArray[Any], NDArray[Any] | None]
"""The targets, and the weights without class weights, of a score."""

RECORDS: dict[str, list[float] | int | None] = {
    "loss_curve_": [],
    "best_loss_": None,
    "validation_scores_": None,
    "validation_loss_curve_": None,
    "best_validation_score_": None,
    "_no_improvement_count": 0,
}
"""The attributes that epochs add to, with their values before the first epoch."""

_SMALLEST_ADAPTIVE_RATE = 1e-6
_ADAPTIVE_DIVISOR = 5.0
# SciPy's L-BFGS-B stops when a step lowers the loss by less than this fraction of it.
_SMALLEST_DECREASE = 2.220446049250313e-09


class SolversMixin(FittedMLP):
    """Fits by epochs of gradient steps, or by iterations of L-BFGS."""

    _steps: Steps
    _examples: Examples
    _held_out: tuple[Examples, Truth] | None
    _best: Parameters
    _at_work = ("_steps", "_examples", "_held_out", "_best")
    """The attributes of a fit that goes on."""

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes for copies and pickles, which a callback may make."""
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name not in self._at_work}

    def _fit_by_epochs(
        self,
        xp: Namespace,
        network: PenalizedMLP,
        examples: Examples,
        place: Backend,
        truth: Truth,
        incremental: bool,
    ) -> None:
        """Fit by epochs, a single one if the fit is incremental; set the attributes."""
        self._best = move(self._parameters(network), place)
        self._examples, self._held_out = examples, None
        for name, first in RECORDS.items():  # unless an earlier fit left them
            self.__dict__.setdefault(name, first)
        with _at_work(place):
            if self.early_stopping:
                self._hold_out(xp, place, truth)
            self._begin_steps(xp, network, place, incremental)
        self._take_epochs(incremental)
        with _at_work(place):
            best = self._parameters_so_far() if self._held_out is None else self._best
            slots = unwrapped(self._steps.state.slots)
        self._keep_at_home(best)
        self._optimizer_state = move(slots, place_of(self.coefs_[0])), self._steps.t
        for name in self._at_work:
            delattr(self, name)

    def _hold_out(self, xp: Namespace, place: Backend, truth: Truth) -> None:
        """Hold a part of the examples out, as scikit-learn does."""
        targets, _ = truth
        two_classes = is_classifier(self) and self.n_outputs_ == 1
        parts = train_test_split(
            np.arange(len(targets)),
            random_state=self._random_state,
            test_size=self.validation_fraction,
            stratify=targets.astype(bool) if two_classes else None,
        )
        if parts[1].shape[0] < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of "
                "your dataset."
            )
        examples = self._examples

        def part_of(rows: NDArray[Any]) -> Examples:
            places = place.asarray(rows)
            arrays = map_nested(lambda array: xp.take(array, places, axis=0), examples.arrays)
            return examples.with_arrays(arrays)

        self._examples, held_out = map(part_of, parts)
        self._held_out = held_out, map_nested(lambda array: array[parts[1]], truth)

    def _begin_steps(
        self, xp: Namespace, network: PenalizedMLP, place: Backend, incremental: bool
    ) -> None:
        """Set up the steps, with the previous fit's memory and rate if the fit is incremental."""
        batch_size = _batch_size(self.batch_size, len(self._examples))
        before, self._rate = getattr(self, "_rate", None), SteppedRate(self.learning_rate_init)
        optimizer = self._optimizer(self._rate)
        state = initial_state(xp, network, self._best, optimizer)
        remembered = self._optimizer_state if incremental else None
        if before and remembered and remembered[0].keys() == state.slots.keys():
            self._rate.value = before.value
            slots = map_nested(xp.asarray, move(remembered[0], place))
            state = state._replace(slots=slots, t=remembered[1])
        # Without dropout and noise no seed is drawn, as in scikit-learn.
        draws = max(self.dropout, self.input_dropout, self.input_noise) > 0.0
        self._steps = Steps(
            xp,
            network,
            optimizer,
            self._examples.kind,
            state,
            backend=place,
            batch_size=batch_size,
            seed=int(self._random_state.randint(2**31)) if draws else 0,
        )

    def _take_epochs(self, incremental: bool) -> None:
        """Train until a stopping rule applies; after an interrupt, keep whole epochs."""
        self.n_iter_ = 0
        whole: tuple[Any, ...] | None = None
        order: Order = partial(_shuffled, self._random_state if self.shuffle else None)
        training = training_progress(
            self._steps,
            self._examples,
            order=order,
            epochs=1 if incremental else self.max_iter,
            measures=False,
            by_weight=False,  # as in scikit-learn: only the steps use weights
        )
        epochs, context = self._recorded(training), partial(_at_work, self._steps.backend)
        calls_back = self.callbacks is not None
        if calls_back:  # outside of the context, which is entered again for each epoch
            epochs = in_context(context, epochs)
        is_last = False
        try:
            with nullcontext() if calls_back else context():
                for epoch in epochs:
                    is_last, whole, parameters = epoch
                    if calls_back:
                        is_last |= self._is_stopped(parameters)
                    if is_last:
                        break
            if not (is_last or incremental):
                warnings.warn(
                    f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and "
                    "the optimization hasn't converged yet.",
                    ConvergenceWarning,
                    stacklevel=OF_THE_CALLER + 1,
                )
        except KeyboardInterrupt:
            if whole is None:  # nothing was learnt
                raise
            attributes, self._steps.state, self._rate.value = whole
            self.__dict__.update(attributes)
            warnings.warn("Training interrupted by user.", stacklevel=OF_THE_CALLER + 1)

    def _recorded(
        self, training: Iterator[Progress]
    ) -> Iterator[tuple[bool, tuple[Any, ...], Parameters | None]]:
        """Yield, after each epoch, whether to stop, what an interrupt restores, and parameters."""
        for end in training:
            if not end.ended:
                continue
            losses: Any = end.losses.mean()  # a list for several members
            loss = end.followed = fmean(np.ravel(losses))
            is_last = self._record(loss)
            whole = dict(vars(self)), self._steps.state, self._rate.value
            yield is_last, whole, None if self.callbacks is None else self._parameters_so_far()

    def _parameters_so_far(self) -> Parameters:
        """Return the current parameters, on the backend that trains."""
        return unwrapped(self._steps.state.inference_parameters)

    def _validate(self, held_out: Examples, truth: Truth) -> tuple[float, float]:
        """Return the score and the loss of the held-out part."""
        targets, sample_weight = truth
        xp, network = self._steps.xp, self._steps.mlp
        batch = held_out.inputs, held_out.targets, held_out.sample_weight
        arrays = map_arrays(xp.asarray, self._parameters_so_far()), *batch
        loss, z = run(xp, loss_and_outputs, (network.general,), *arrays)
        predicted = network.objective.predict(self._steps.backend.xp, unwrapped(z))
        if not np.isfinite(on_host(unwrapped(z))).all():
            return math.nan, float(loss)
        score = self._metric(targets, on_host(predicted), sample_weight=sample_weight)
        return float(score), float(loss)

    def _record(self, loss: float) -> bool:
        """Record the losses and the score of an epoch, and return whether to stop."""
        # Curves are new lists, because an interrupt restores the attributes of the epoch before.
        validation = None if self._held_out is None else self._validate(*self._held_out)
        self.loss_ = loss
        self.n_iter_ += 1
        self.t_ += len(self._examples)
        self.loss_curve_ = [*self.loss_curve_, loss]
        self._print(f"Iteration {self.n_iter_}, loss = {loss:.8f}")
        if validation is None:
            best = math.inf if self.best_loss_ is None else self.best_loss_
            stalled, self.best_loss_ = loss > best - self.tol, min(best, loss)
        else:
            score, held_out_loss = validation
            self._print(f"Validation score: {score:f}")
            self.validation_scores_ = [*(self.validation_scores_ or ()), score]
            self.validation_loss_curve_ = [*(self.validation_loss_curve_ or ()), held_out_loss]
            before = self.best_validation_score_
            best = -math.inf if before is None else before
            stalled, self.best_validation_score_ = score < best + self.tol, max(best, score)
            if score > best:
                self._best = self._parameters_so_far()
        self._no_improvement_count = self._no_improvement_count + 1 if stalled else 0
        if self._has_rate("invscaling"):
            self._set_rate(self.learning_rate_init / (self.t_ + 1) ** self.power_t)
        return self._no_improvement_count > self.n_iter_no_change and self._is_over()

    def _is_over(self) -> bool:
        """Return whether training, which has stopped improving, ends; or lower an adaptive rate."""
        what = "Training loss" if self._held_out is None else "Validation score"
        message = (
            f"{what} did not improve more than tol={self.tol:f} for "
            f"{self.n_iter_no_change} consecutive epochs."
        )
        if not self._has_rate("adaptive"):
            self._print(f"{message} Stopping.")
            return True
        if self._rate.value <= _SMALLEST_ADAPTIVE_RATE:
            self._print(f"{message} Learning rate too small. Stopping.")
            return True
        rate = self._rate.value / _ADAPTIVE_DIVISOR
        self._print(f"{message} Setting learning rate to {rate:f}")
        self._set_rate(rate)
        self._no_improvement_count = 0
        return False

    def _set_rate(self, value: float) -> None:
        """Change the learning rate of the following steps.

        Unlike ours, scikit-learn's velocity includes the rate as a factor, so the velocity is
        divided by the factor that multiplies the rate.
        """
        state = self._steps.state
        if "velocity" in state.slots and value != self._rate.value:
            ratio = self._rate.value / value
            velocity = map_arrays(lambda v: v * ratio, state.slots["velocity"])
            self._steps.state = state._replace(slots={**state.slots, "velocity": velocity})
        self._rate.value = value

    def _fit_by_lbfgs(
        self, xp: Namespace, network: PenalizedMLP, examples: Examples, place: Backend
    ) -> None:
        """Fit, and set the attributes.

        Stop when no derivative is larger than `tol`, when the loss falls by less than 2e-9 of
        itself, or after `max_iter` iterations or `max_fun` evaluations of the loss.
        """
        minimizer, count = self._minimizer(), len(examples)
        start = move(self._parameters(network), place)
        check_optimizer(network, start, minimizer, count, count)
        batch = examples.inputs, examples.targets, examples.sample_weight
        looks = 0

        def loss_and_gradients(trained: Tree) -> tuple[float, Tree]:
            nonlocal looks
            looks += 1
            call = loss_gradients_and_buffers, (network.general, 0), trained, buffers, *batch
            loss, gradients, _ = run(xp, *call, numbers=((0, 0, network.numbers_at(0)),))
            return float(loss), gradients

        with _at_work(place):
            trained, buffers, memory, _ = initial_state(xp, network, start, minimizer)
        before, self.n_iter_, is_last = math.inf, 0, False
        while not is_last:
            steepest = not memory.pairs
            with _at_work(place):
                _, trained, memory = minimizer.minimize_step(
                    xp, loss_and_gradients, trained, memory
                )
                is_last = _largest(xp, memory.gradients) <= self.tol
                parameters = unwrapped(trained)
            assert memory.loss is not None
            self.loss_, self.n_iter_ = memory.loss, self.n_iter_ + (not memory.finished)
            self._print(f"Iteration {self.n_iter_}, loss = {self.loss_:.8f}")
            least = _SMALLEST_DECREASE * max(abs(before), abs(self.loss_), 1.0)
            small = math.isfinite(before) and before - self.loss_ <= least
            is_last |= memory.finished or (small and steepest) or bool(self._limit(looks))
            is_last |= self._is_stopped(parameters)
            if small:  # at a corner, such as relu's, the estimated curvature misleads
                memory = memory._replace(pairs=())
            before = self.loss_
        self._keep_at_home(parameters)
        self._optimizer_state = None
        if limit := self._limit(looks):
            warnings.warn(
                f"lbfgs failed to converge after {self.n_iter_} iteration(s) (status=1):\n"
                f"STOP: {limit}\n\nIncrease the number of iterations to improve the "
                "convergence (max_iter, max_fun).\nYou might also want to scale the data.",
                ConvergenceWarning,
                stacklevel=OF_THE_CALLER,
            )

    def _limit(self, looks: int) -> str | None:
        """Return the limit that was reached, in SciPy's words, if the fit has not converged."""
        if self.n_iter_ >= self.max_iter:
            return "TOTAL NO. OF ITERATIONS REACHED LIMIT"
        return "TOTAL NO. OF F,G EVALUATIONS EXCEEDS LIMIT" if looks > self.max_fun else None


@contextmanager
def _at_work(place: Backend) -> Iterator[None]:
    """Enter the context of a backend, without warnings of infinities and NaN, refused later."""
    with backend_context(place), np.errstate(all="ignore"):
        yield


def _batch_size(batch_size: int | str, count: int) -> int:
    if isinstance(batch_size, str):  # "auto"
        return min(200, count)
    if batch_size > count:
        warnings.warn(
            "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped",
            stacklevel=OF_THE_CALLER + 2,
        )
    return int(min(batch_size, count))


def _shuffled(
    random_state: np.random.RandomState | None,
    examples: AnyExamples,
    first: tuple[int, int],
    epochs: int | None,
    batch_size: int,
) -> Iterator[Examples]:
    """See `Order`: as in scikit-learn, each epoch shuffles the order of the one before."""
    assert isinstance(examples, Examples)
    count = len(examples)
    places = np.arange(count)
    # The order within a single batch changes nothing but rounding.
    whole = random_state is None or batch_size >= count
    while True:
        if random_state is not None:
            order = np.arange(count)
            random_state.shuffle(order)
            places = places[order]
        yield examples if whole else replace(examples, order=places)


def _largest(xp: Namespace, gradients: Tree) -> float:
    """Return the largest magnitude of all derivatives: waits once for the device."""
    maxima = [xp.max(xp.abs(g)) for layer in gradients for g in layer.values()]
    return float(xp.max(xp.stack(maxima)))
