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
from pluggable_mlp.estimators.parameters import FittedMLP, SteppedRate
from pluggable_mlp.estimators.validation import level_of_caller, move
from pluggable_mlp.host.lazy import on_host
from pluggable_mlp.namespaces import run, unwrapped
from pluggable_mlp.network.mlp import loss_gradients_and_buffers
from pluggable_mlp.network.parameters import Parameters, Tree, map_arrays
from pluggable_mlp.training.examples import AnyExamples, Examples
from pluggable_mlp.training.loop import Progress, training_progress
from pluggable_mlp.training.optimizer import Slots
from pluggable_mlp.training.step import initial_state
from pluggable_mlp.training.steps import Steps
from pluggable_mlp.training.streaming import Order
from pluggable_mlp.training.train import check_optimizer

Truth: TypeAlias = tuple[NDArray[Any], NDArray[Any] | None]
"""The targets, and the weights without class weights, of a score."""

_SMALLEST_ADAPTIVE_RATE = 1e-6
_ADAPTIVE_DIVISOR = 5.0
# SciPy's L-BFGS-B stops when a step lowers the loss by less than this fraction of it.
_SMALLEST_DECREASE = 2.220446049250313e-09


class EpochFit:
    """A fit by epochs of gradient steps, each recorded by the model.

    `truth` is for scores of examples that are held out.  An incremental fit is one epoch, with the
    optimizer's memory and rate of the fit before.
    """

    def __init__(
        self,
        model: FittedMLP,
        xp: Namespace,
        network: PenalizedMLP,
        examples: Examples,
        backend: Backend,
        truth: Truth,
        incremental: bool,
    ) -> None:
        self._model, self._backend, self._incremental = model, backend, incremental
        self._examples = examples
        self._held_out: tuple[Examples, Truth] | None = None
        self._best = move(model._parameters(network), backend)
        self.rate: SteppedRate = SteppedRate(model.learning_rate_init)
        with _computing_on(backend):
            if model.early_stopping:
                self._hold_out(xp, truth)
            self._steps = self._first_steps(xp, network)

    @property
    def result(self) -> tuple[Parameters, tuple[Slots, int]]:
        """The parameters to keep, and the optimizer's slots and count of updates."""
        with _computing_on(self._backend):
            best = self._parameters_so_far() if self._held_out is None else self._best
            return best, (unwrapped(self._steps.state.slots), self._steps.t)

    def _hold_out(self, xp: Namespace, truth: Truth) -> None:
        """Hold a part of the examples out, as scikit-learn does."""
        model, (targets, _) = self._model, truth
        two_classes = is_classifier(model) and model.n_outputs_ == 1
        parts = train_test_split(
            np.arange(len(targets)),
            random_state=model._random_state,
            test_size=model.validation_fraction,
            stratify=targets.astype(bool) if two_classes else None,
        )
        if parts[1].shape[0] < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of "
                "your dataset."
            )
        examples = self._examples

        def part_of(rows: NDArray[Any]) -> Examples:
            indices = self._backend.asarray(rows)
            arrays = map_nested(lambda array: xp.take(array, indices, axis=0), examples.arrays)
            return examples.with_arrays(arrays)

        self._examples, held_out = map(part_of, parts)
        self._held_out = held_out, map_nested(lambda array: array[parts[1]], truth)

    def _first_steps(self, xp: Namespace, network: PenalizedMLP) -> Steps:
        """Return the steps before the first, or after those of the fit before."""
        model = self._model
        batch_size = _batch_size(model.batch_size, len(self._examples))
        optimizer = model._optimizer(self.rate)
        state = initial_state(xp, network, self._best, optimizer)
        remembered = model._optimizer_state if self._incremental else None
        if remembered and remembered[0].keys() == state.slots.keys():
            self.rate.value = model._rate.value
            slots = map_nested(xp.asarray, move(remembered[0], self._backend))
            state = state._replace(slots=slots, t=remembered[1])
        # Without dropout and noise no seed is drawn, as in scikit-learn.
        draws = max(model.dropout, model.input_dropout, model.input_noise) > 0.0
        return Steps(
            xp,
            network,
            optimizer,
            self._examples.kind,
            state,
            backend=self._backend,
            batch_size=batch_size,
            seed=int(model._random_state.randint(2**31)) if draws else 0,
        )

    def train(self) -> None:
        """Train until a stopping rule applies; after an interrupt, keep whole epochs."""
        model = self._model
        order: Order = partial(_shuffled, model._random_state if model.shuffle else None)
        training = training_progress(
            self._steps,
            self._examples,
            order=order,
            epochs=1 if self._incremental else model.max_iter,
            measures=False,
            by_weight=False,  # as in scikit-learn: only the steps use weights
        )
        epochs, context = self._epochs(training), partial(_computing_on, self._backend)
        calls_back = model.callbacks is not None
        if calls_back:  # outside of the context, which is entered again for each epoch
            epochs = in_context(context, epochs)
        is_last, to_restore = False, None
        try:
            with nullcontext() if calls_back else context():
                for epoch in epochs:
                    is_last, to_restore, parameters = epoch
                    if calls_back:
                        is_last |= model._is_stopped(parameters)
                    if is_last:
                        break
            if not (is_last or self._incremental):
                warnings.warn(
                    f"Stochastic Optimizer: Maximum iterations ({model.max_iter}) reached and "
                    "the optimization hasn't converged yet.",
                    ConvergenceWarning,
                    stacklevel=level_of_caller(),
                )
        except KeyboardInterrupt:
            if to_restore is None:  # nothing was learnt
                raise
            attributes, self._best, self._steps.state, self.rate.value = to_restore
            model.__dict__.update(attributes)
            warnings.warn("Training interrupted by user.", stacklevel=level_of_caller())

    def _epochs(
        self, training: Iterator[Progress]
    ) -> Iterator[tuple[bool, tuple[Any, ...], Parameters | None]]:
        """Yield, after each epoch, whether to stop, what an interrupt restores, and parameters."""
        for end in training:
            if not end.ended:
                continue
            losses: Any = end.losses.mean()  # a list for several members
            loss = end.followed = fmean(np.ravel(losses))
            is_last = self._end_epoch(loss)
            attributes = dict(vars(self._model))
            to_restore = attributes, self._best, self._steps.state, self.rate.value
            parameters = None if self._model.callbacks is None else self._parameters_so_far()
            yield is_last, to_restore, parameters

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
        predicted = network.objective.predict(self._backend.xp, unwrapped(z))
        if not np.isfinite(on_host(unwrapped(z))).all():
            return math.nan, float(loss)
        score = self._model._metric(targets, on_host(predicted), sample_weight=sample_weight)
        return float(score), float(loss)

    def _end_epoch(self, loss: float) -> bool:
        """Let the model record an epoch, and return whether to stop."""
        model = self._model
        validation = None if self._held_out is None else self._validate(*self._held_out)
        if model._record(loss, len(self._examples), validation):
            self._best = self._parameters_so_far()
        if model._has_rate("invscaling"):
            self._set_rate(model.learning_rate_init / (model.t_ + 1) ** model.power_t)
        return model._no_improvement_count > model.n_iter_no_change and self._is_over()

    def _is_over(self) -> bool:
        """Return whether training, which has stopped improving, ends; or lower an adaptive rate."""
        model, rate = self._model, self.rate.value / _ADAPTIVE_DIVISOR
        what = "Training loss" if self._held_out is None else "Validation score"
        message = (
            f"{what} did not improve more than tol={model.tol:f} for "
            f"{model.n_iter_no_change} consecutive epochs."
        )
        if not model._has_rate("adaptive"):
            model._print(f"{message} Stopping.")
            return True
        if self.rate.value <= _SMALLEST_ADAPTIVE_RATE:
            model._print(f"{message} Learning rate too small. Stopping.")
            return True
        model._print(f"{message} Setting learning rate to {rate:f}")
        self._set_rate(rate)
        model._no_improvement_count = 0
        return False

    def _set_rate(self, value: float) -> None:
        """Change the learning rate of the following steps.

        Unlike ours, scikit-learn's velocity includes the rate as a factor, so the velocity is
        divided by the factor that multiplies the rate.
        """
        state = self._steps.state
        if "velocity" in state.slots and value != self.rate.value:
            ratio = self.rate.value / value
            velocity = map_arrays(lambda v: v * ratio, state.slots["velocity"])
            self._steps.state = state._replace(slots={**state.slots, "velocity": velocity})
        self.rate.value = value


def fit_by_lbfgs(
    model: FittedMLP, xp: Namespace, network: PenalizedMLP, examples: Examples, backend: Backend
) -> Parameters:
    """Return the parameters fitted by L-BFGS on all examples; the model records each iteration.

    Stop when no derivative is larger than `tol`, when the loss falls by less than 2e-9 of
    itself, or after `max_iter` iterations or `max_fun` evaluations of the loss.
    """
    minimizer, count = model._minimizer(), len(examples)
    start = move(model._parameters(network), backend)
    check_optimizer(network, start, minimizer, count, count)
    batch = examples.inputs, examples.targets, examples.sample_weight
    evaluations = 0

    def loss_and_gradients(trained: Tree) -> tuple[float, Tree]:
        nonlocal evaluations
        evaluations += 1
        call = loss_gradients_and_buffers, (network.general, 0), trained, buffers, *batch
        loss, gradients, _ = run(xp, *call, numbers=((0, 0, network.numbers_at(0)),))
        return float(loss), gradients

    with _computing_on(backend):
        trained, buffers, memory, _ = initial_state(xp, network, start, minimizer)
    before, is_last = math.inf, False
    while not is_last:
        steepest = not memory.pairs
        with _computing_on(backend):
            _, trained, memory = minimizer.minimize_step(xp, loss_and_gradients, trained, memory)
            is_last = _largest(xp, memory.gradients) <= model.tol
            parameters = unwrapped(trained)
        loss = memory.loss
        assert loss is not None
        model._record_loss(loss, iterations=int(not memory.finished))
        least = _SMALLEST_DECREASE * max(abs(before), abs(loss), 1.0)
        small = math.isfinite(before) and before - loss <= least
        is_last |= memory.finished or (small and steepest)
        is_last |= _is_at_limit(model, evaluations)
        is_last |= model._is_stopped(parameters)
        if small:  # at a corner, such as relu's, the estimated curvature misleads
            memory = memory._replace(pairs=())
        before = loss
    return parameters


def _is_at_limit(model: FittedMLP, evaluations: int) -> bool:
    """Return whether the fit must end before it has converged, and warn in SciPy's words."""
    if model.n_iter_ >= model.max_iter:
        limit = "TOTAL NO. OF ITERATIONS REACHED LIMIT"
    elif evaluations > model.max_fun:
        limit = "TOTAL NO. OF F,G EVALUATIONS EXCEEDS LIMIT"
    else:
        return False
    warnings.warn(
        f"lbfgs failed to converge after {model.n_iter_} iteration(s) (status=1):\n"
        f"STOP: {limit}\n\nIncrease the number of iterations to improve the "
        "convergence (max_iter, max_fun).\nYou might also want to scale the data.",
        ConvergenceWarning,
        stacklevel=level_of_caller(),
    )
    return True


@contextmanager
def _computing_on(backend: Backend) -> Iterator[None]:
    """Enter the context of a backend, without warnings of infinities and NaN, refused later."""
    with backend_context(backend), np.errstate(all="ignore"):
        yield


def _batch_size(batch_size: int | str, count: int) -> int:
    if isinstance(batch_size, str):  # "auto"
        return min(200, count)
    if batch_size > count:
        warnings.warn(
            "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped",
            stacklevel=level_of_caller(),
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
    indices = np.arange(count)
    # The order within a single batch changes nothing but rounding.
    as_they_are = random_state is None or batch_size >= count
    while True:
        if random_state is not None:
            order = np.arange(count)
            random_state.shuffle(order)
            indices = indices[order]
        yield examples if as_they_are else replace(examples, order=indices)


def _largest(xp: Namespace, gradients: Tree) -> float:
    """Return the largest magnitude of all derivatives: waits once for the device."""
    maxima = [xp.max(xp.abs(g)) for layer in gradients for g in layer.values()]
    return float(xp.max(xp.stack(maxima)))
