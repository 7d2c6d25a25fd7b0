"""Fits by epochs of the training loop, and when they end.

The order of the examples, the changes of the learning rate and the rules of when to stop are
scikit-learn's.
"""

import math
import warnings
from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from functools import partial
from operator import attrgetter
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from pluggable_mlp.backends import Backend
from pluggable_mlp.estimators.fitting import OF_THE_CALLER, Fit, Problem
from pluggable_mlp.estimators.objective import loss_and_outputs
from pluggable_mlp.estimators.parameters import SteppedRate
from pluggable_mlp.estimators.validation import moved_tree
from pluggable_mlp.namespaces import run, unwrapped
from pluggable_mlp.network.passes import Parameters
from pluggable_mlp.training.examples import AnyExamples, Examples
from pluggable_mlp.training.loop import Progress, take_epochs
from pluggable_mlp.training.optimizer import Optimizer
from pluggable_mlp.training.step import TrainState, initial_state
from pluggable_mlp.training.steps import Steps
from pluggable_mlp.training.streaming import Order
from pluggable_mlp.training.trees import map_arrays

if TYPE_CHECKING:
    from pluggable_mlp.estimators.base import BaseMLP

RECORDS: dict[str, list[float] | int | None] = {
    "loss_curve_": [],
    "best_loss_": None,
    "validation_scores_": None,
    "validation_loss_curve_": None,
    "best_validation_score_": None,
    "_no_improvement_count": 0,
}
"""The attributes that epochs add to, as they are before the first."""

_CURVES = [name for name in RECORDS if name.endswith("_curve_") or name.endswith("_scores_")]
_NUMBERS = ["loss_", "n_iter_", "t_", *(name for name in RECORDS if name not in _CURVES)]
_numbers_of = attrgetter(*_NUMBERS)

_SMALLEST_ADAPTIVE_RATE = 1e-6
_ADAPTIVE_DIVISOR = 5.0


class _Reached(NamedTuple):
    """Where a fit was after whole epochs: its numbers, the lengths of curves, and what goes on."""

    numbers: tuple[float | None, ...]
    lengths: list[int]
    state: TrainState
    best: Parameters
    rate: float


class FitByEpochs(Fit):
    """Epochs of gradient steps, a single one where the fit is incremental."""

    def __init__(self, model: "BaseMLP", problem: Problem, *, incremental: bool) -> None:
        self._held: Problem | None = None
        if model.early_stopping:
            problem, self._held = _split(model, problem)
        super().__init__(model, problem)
        self._is_incremental, self._best = incremental, self._start
        self._begin_records()
        curves = [getattr(model, name) for name in _CURVES]
        self._curves = [curve for curve in curves if curve is not None]
        batch_size = _batch_size(model.batch_size, len(problem.examples))
        self._rate = SteppedRate(float(model.learning_rate_init))
        optimizer = model._optimizer(self._rate)
        self._steps = Steps(
            self._xp,
            problem.network,
            optimizer,
            problem.examples.kind,
            self._first_state(optimizer),
            backend=problem.place,
            batch_size=batch_size,
            seed=_seed_of_steps(model),
        )
        model._rate = self._rate

    def _begin_records(self) -> None:
        """Set what epochs add to: copies of what an earlier fit left, or empty ones."""
        model = self._model
        for name, first in RECORDS.items():
            setattr(model, name, copy(getattr(model, name, first)))
        if not model.early_stopping:
            if model.best_loss_ is None:
                model.best_loss_ = math.inf
        elif model.validation_scores_ is None:
            model.validation_scores_, model.validation_loss_curve_ = [], []
            model.best_validation_score_ = -math.inf

    def _first_state(self, optimizer: Optimizer) -> TrainState:
        """Return the state of the first step.

        An incremental fit goes on with the optimizer's memory of the one before, and with its rate,
        if the solver is of the same kind.
        """
        problem, model = self._problem, self._model
        state = initial_state(self._xp, problem.network, self._start, optimizer)
        remembered = model._optimizer_state if self._is_incremental else None
        if remembered is None or remembered[0].keys() != state.slots.keys():
            return state
        self._rate.value = model._rate.value
        slots, t = remembered
        slots = {
            name: map_arrays(self._xp.asarray, moved_tree(tree, problem.place))
            for name, tree in slots.items()
        }
        return state._replace(slots=slots, t=t)

    def run(self) -> None:
        """See `Fit.run`; where it is interrupted, the whole epochs before count."""
        model = self._model
        model.n_iter_ = 0
        whole: _Reached | None = None
        try:
            with self._progress_bar() as advance:
                for end in self._epochs():
                    losses = end.losses.mean()  # of several members a list
                    loss = losses if isinstance(losses, float) else fmean(cast(Any, losses))
                    validation = None if self._held is None else self._validate(self._held)
                    end.followed = loss
                    self._record(loss, validation)
                    whole = self._reached()
                    advance()
                    if self._is_over():
                        break
                    if self._rate.value != whole.rate:
                        whole = self._reached()
                else:
                    self._warn_of_the_limit()
        except KeyboardInterrupt:
            if whole is None:  # nothing was learnt
                raise
            self._go_back(whole)
            warnings.warn("Training interrupted by user.", stacklevel=OF_THE_CALLER)
        self._keep(self._parameters if self._held is None else self._best)
        slots, home = unwrapped(self._steps.state.slots), self._problem.home
        slots = {name: moved_tree(tree, home) for name, tree in slots.items()}
        model._optimizer_state = slots, self._steps.t

    def _reached(self) -> _Reached:
        """Return what an interrupt goes back to."""
        numbers, lengths = _numbers_of(self._model), [*map(len, self._curves)]
        return _Reached(numbers, lengths, self._steps.state, self._best, self._rate.value)

    def _go_back(self, reached: _Reached) -> None:
        """Forget what came after."""
        numbers, lengths, self._steps.state, self._best, self._rate.value = reached
        for name, number in zip(_NUMBERS, numbers, strict=True):
            setattr(self._model, name, number)
        for curve, length in zip(self._curves, lengths, strict=True):
            del curve[length:]

    def _epochs(self) -> Iterator[Progress]:
        """Yield at the end of each epoch."""
        model = self._model
        order: Order = partial(_shuffled, model._random_state if model.shuffle else None)
        training = take_epochs(
            self._steps,
            self._problem.examples,
            order=order,
            epochs=1 if self._is_incremental else model.max_iter,
            by_weight=False,  # as in scikit-learn: it is the steps that count weights
        )
        return (progress for progress in training if progress.ended)

    def _warn_of_the_limit(self) -> None:
        if not self._is_incremental:
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({self._model.max_iter}) reached "
                "and the optimization hasn't converged yet.",
                ConvergenceWarning,
                stacklevel=OF_THE_CALLER + 1,
            )

    @property
    def _parameters(self) -> Parameters:
        """The parameters so far."""
        return unwrapped(self._steps.state.inference_parameters)

    def _validate(self, held: Problem) -> tuple[float, float]:
        """Return the score and the loss of what is held out."""
        xp, network, examples, own = held.xp, held.network, held.examples, held.place.xp
        batch = examples.inputs, examples.targets, examples.sample_weight
        given = map_arrays(xp.asarray, self._parameters), *batch
        found, z = run(xp, loss_and_outputs, (network.general,), *given)
        loss = float(found)
        z, targets, weight = map(unwrapped, (z, examples.targets, held.given_weight))
        if not bool(own.all(own.isfinite(z))):
            return math.nan, loss
        predicted = own.astype(network.objective.predict(own, z), targets.dtype, copy=False)
        score = self._model._score_of(own, predicted, targets, weight, z.dtype)
        return score, loss

    def _record(self, loss: float, validation: tuple[float, float] | None) -> None:
        """Record the loss of an epoch, and the score and the loss of what is held out."""
        model = self._model
        model.loss_ = loss
        model.n_iter_ += 1
        model.t_ += len(self._problem.examples)
        model.loss_curve_.append(loss)
        self._print(f"Iteration {model.n_iter_}, loss = {loss:.8f}")
        if validation is None:
            assert model.best_loss_ is not None
            self._count(loss > model.best_loss_ - model.tol)
            model.best_loss_ = min(model.best_loss_, loss)
        else:
            score, held_loss = validation
            assert model.validation_scores_ is not None
            assert model.validation_loss_curve_ is not None
            assert model.best_validation_score_ is not None
            model.validation_scores_.append(score)
            model.validation_loss_curve_.append(held_loss)
            self._print(f"Validation score: {score:f}")
            self._count(score < model.best_validation_score_ + model.tol)
            if score > model.best_validation_score_:
                model.best_validation_score_, self._best = score, self._parameters
        if model._has_rate("invscaling"):
            self._set_rate(model.learning_rate_init / (model.t_ + 1) ** model.power_t)

    def _count(self, stalled: bool) -> None:
        """Count the epochs since the last one that improved by at least `tol`."""
        model = self._model
        model._no_improvement_count = model._no_improvement_count + 1 if stalled else 0

    def _is_over(self) -> bool:
        """Return whether to stop; or lower the rate, where it is adaptive."""
        model = self._model
        if self._is_stopped():
            return True
        if model._no_improvement_count <= model.n_iter_no_change:
            return False
        what = "Training loss" if self._held is None else "Validation score"
        message = (
            f"{what} did not improve more than tol={model.tol:f} for "
            f"{model.n_iter_no_change} consecutive epochs."
        )
        if not model._has_rate("adaptive"):
            self._print(f"{message} Stopping.")
            return True
        if self._rate.value <= _SMALLEST_ADAPTIVE_RATE:
            self._print(f"{message} Learning rate too small. Stopping.")
            return True
        rate = self._rate.value / _ADAPTIVE_DIVISOR
        self._print(f"{message} Setting learning rate to {rate:f}")
        self._set_rate(rate)
        model._no_improvement_count = 0
        return False

    def _set_rate(self, value: float) -> None:
        """Give the steps to come another learning rate.

        In scikit-learn the rate is a factor of what momentum remembers, in ours it is not: so the
        velocity is divided by as much as the rate is multiplied.
        """
        state = self._steps.state
        if "velocity" in state.slots and value != self._rate.value:
            ratio = self._rate.value / value
            velocity = map_arrays(lambda v: v * ratio, state.slots["velocity"])
            self._steps.state = state._replace(slots={**state.slots, "velocity": velocity})
        self._rate.value = value


def _split(model: "BaseMLP", problem: Problem) -> tuple[Problem, Problem]:
    """Hold a part of the examples out, as scikit-learn does: return the rest, and the part."""
    examples = problem.examples
    train, held = train_test_split(
        np.arange(len(examples)),
        random_state=model._random_state,
        test_size=model.validation_fraction,
        stratify=model._strata(problem.place, unwrapped(examples.targets)),
    )
    if held.shape[0] < 2:
        raise ValueError(
            "The validation set is too small. Increase 'validation_fraction' or the size of your "
            "dataset."
        )
    return problem.part(train), problem.part(held)


def _batch_size(asked: int | str, count: int) -> int:
    if isinstance(asked, str):  # "auto"
        return min(200, count)
    if asked > count:
        warnings.warn(
            "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped",
            stacklevel=OF_THE_CALLER + 1,
        )
    return int(min(asked, count))


def _seed_of_steps(model: "BaseMLP") -> int:
    """Return the seed of dropout and noise; draw none where there is neither, as scikit-learn."""
    draws = max(model.dropout, model.input_dropout, model.input_noise) > 0.0
    return int(model._random_state.randint(2**31)) if draws else 0


def _shuffled(
    random_state: np.random.RandomState | None,
    examples: AnyExamples,
    first: tuple[int, int],
    epochs: int | None,
    *,
    backend: Backend,
    batch_size: int,
) -> Iterator[Examples]:
    """See `Order`: the order of scikit-learn's epochs, each shuffles that of the one before."""
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
        yield examples if whole else replace(examples, order=backend.asarray(places))
