"""What `fit` does once the data are in place: epochs of gradient steps, or L-BFGS.

The steps are those of `training/`; here are scikit-learn's order of the examples and its rules of
when to stop.  Shapes: inputs (examples, features), targets (examples,) or (examples, outputs).
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.backends import Backend
from pluggable_mlp.estimators.objective import PenalizedMLP
from pluggable_mlp.estimators.parameters import SteppedRate
from pluggable_mlp.namespaces import run_to_float, unwrapped
from pluggable_mlp.network.mlp import Parameters
from pluggable_mlp.training.examples import AnyExamples, Examples
from pluggable_mlp.training.lbfgs import LBFGS
from pluggable_mlp.training.loop import take_epochs
from pluggable_mlp.training.optimizer import Slots
from pluggable_mlp.training.step import initial_state
from pluggable_mlp.training.step_functions import loss_and_gradients_of
from pluggable_mlp.training.steps import Steps
from pluggable_mlp.training.streaming import Order
from pluggable_mlp.training.trees import Tree, map_arrays

__all__ = ["Descent", "Minimum", "lowered", "minimize", "order_of"]

# SciPy's L-BFGS-B stops where a step lowers the loss by less than this part of it.
_SMALLEST_DECREASE = 2.220446049250313e-09
_SMALLEST_ADAPTIVE_RATE = 1e-6
_ADAPTIVE_DIVISOR = 5.0


class Descent:
    """Epochs of gradient steps, each over all examples in batches.

    Parameters
    ----------
    steps : Steps
    rate : SteppedRate
        The optimizer's learning rate, where it has no schedule of its own.
    examples : Examples
    order : Order
        Of the examples in each epoch.
    """

    def __init__(self, steps: Steps, rate: SteppedRate, examples: Examples, order: Order) -> None:
        self._steps, self._rate = steps, rate
        # As in scikit-learn, examples count alike here, whatever their weights.
        self._progress = take_epochs(steps, examples, order=order, by_weight=False)

    @property
    def parameters(self) -> Parameters:
        """The parameters so far, as arrays of the library."""
        return unwrapped(self._steps.state.inference_parameters)

    @property
    def remembered(self) -> tuple[Slots, int]:
        """The slots of the optimizer, as arrays of the library, and the count of its updates."""
        return unwrapped(self._steps.state.slots), self._steps.t

    def epoch(self) -> float:
        """Take the next epoch's steps, and return the mean of their losses.

        If that is interrupted, the state is the one before the epoch.
        """
        before = self._steps.state
        try:
            end = next(progress for progress in self._progress if progress.ended)
            loss = end.losses.mean()
            assert isinstance(loss, float)  # of a single network
            end.followed = loss
        except BaseException:  # such as Ctrl-C within a step that writes over the state
            self._steps.state = before
            raise
        return loss

    def set_rate(self, value: float) -> None:
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


def lowered(rate: float) -> float | None:
    """Return the next rate of learning_rate="adaptive"; None where it is too small to go on."""
    return None if rate <= _SMALLEST_ADAPTIVE_RATE else rate / _ADAPTIVE_DIVISOR


@dataclass(frozen=True)
class Minimum:
    """Where L-BFGS ended: parameters and loss, iterations, and why it did not converge, if so."""

    parameters: Parameters
    loss: float
    iterations: int
    failure: str | None


def minimize(
    xp: Namespace,
    network: PenalizedMLP,
    optimizer: LBFGS,
    batch: tuple[Any, Array, Array | None],
    parameters: Parameters,
    *,
    tol: float,
    max_iter: int,
    max_fun: int,
    on_iteration: Callable[[int, float, Parameters], bool],
) -> Minimum:
    """Minimize the loss over all examples by L-BFGS, with the conditions of SciPy's to stop.

    It ends where no derivative is larger than `tol`, where the loss falls by less than 2e-9 of
    itself, after `max_iter` iterations or `max_fun` looks at the loss, or where `on_iteration`,
    called with the number of the iteration, the loss and the parameters, returns True.
    """
    looks = 0

    def loss_and_gradients(trained: Tree) -> tuple[float, Tree]:
        nonlocal looks
        looks += 1
        given = trained, start.buffers, *batch
        loss, gradients = run_to_float(
            xp, loss_and_gradients_of, (network.general,), *given, numbers=(network.numbers,)
        )
        return loss, gradients

    start = initial_state(xp, network, parameters, optimizer)
    trained, memory, before, iteration = start.parameters, start.slots, math.inf, 0
    while True:
        steepest = not memory.pairs
        _, trained, memory = optimizer.minimize_step(xp, loss_and_gradients, trained, memory)
        loss: Any = memory.loss
        iteration += not memory.finished
        # SciPy's order: what comes to a limit has not converged.
        failure = _limit(iteration, max_iter, looks, max_fun)
        flat = memory.finished or _largest(xp, memory.gradients) <= tol
        small = _small(before, loss)
        ended = failure or flat or (small and steepest)
        if on_iteration(iteration, loss, unwrapped(trained)) or ended:
            return Minimum(unwrapped(trained), loss, iteration, failure)
        if small:  # at a corner, as relu has: what was learnt of the curvature misleads
            memory = memory._replace(pairs=())
        before = loss


def _limit(iteration: int, max_iter: int, looks: int, max_fun: int) -> str | None:
    if iteration >= max_iter:
        return "TOTAL NO. OF ITERATIONS REACHED LIMIT"
    return "TOTAL NO. OF F,G EVALUATIONS EXCEEDS LIMIT" if looks > max_fun else None


def _small(before: float, loss: float) -> bool:
    """Return whether the loss has hardly fallen; after the first iteration it is not known."""
    least = _SMALLEST_DECREASE * max(abs(before), abs(loss), 1.0)
    return math.isfinite(before) and before - loss <= least


def _largest(xp: Namespace, gradients: Tree) -> float:
    """Return the largest magnitude of all derivatives: waits once for the device."""
    each = [xp.max(xp.abs(g)) for of in gradients for g in of.values()]
    return float(xp.max(xp.stack(each)))


def order_of(random_state: np.random.RandomState | None) -> Order:
    """Return the order of scikit-learn's epochs, from the same random numbers; None: as given."""
    return partial(_shuffled, random_state)


def _shuffled(
    random_state: np.random.RandomState | None,
    examples: AnyExamples,
    first: tuple[int, int],
    epochs: int | None,
    *,
    backend: Backend,
    batch_size: int,
) -> Iterator[Examples]:
    """See `Order`: each epoch shuffles the order of the one before."""
    del first, epochs
    assert isinstance(examples, Examples)
    places = np.arange(len(examples))
    while True:
        if random_state is not None:
            order = np.arange(len(examples))
            random_state.shuffle(order)
            places = places[order]
        # The order within a single batch changes nothing but rounding.
        whole = random_state is None or batch_size >= len(examples)
        yield examples if whole else replace(examples, order=backend.asarray(places))
