"""Some of an epoch's steps at once: one after the other, in one call of the backend, or blindly.

A step of its own is in `batch_steps.py`; which chunks an epoch has is decided in the loop.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from pluggable_mlp.arrays import Namespace
from pluggable_mlp.namespaces import is_queued
from pluggable_mlp.network.mlp import MLP
from pluggable_mlp.training.batch_steps import gathered_step, make_batch_step, own_copy
from pluggable_mlp.training.batches import Examples
from pluggable_mlp.training.blind_steps import BlindSteps
from pluggable_mlp.training.components import AnyOptimizer
from pluggable_mlp.training.kept import made_once
from pluggable_mlp.training.lbfgs import LBFGS
from pluggable_mlp.training.optimizer_contract import Optimizer
from pluggable_mlp.training.records import LossRecord
from pluggable_mlp.training.step import TrainState

__all__ = ["Chunk", "Pace", "first_pace", "make_chunk"]

Chunk = Callable[
    [Any, TrainState, Examples, Sequence[int], LossRecord, Callable[[int], None]], TrainState
]
"""(optimizer, state, examples, starts, record, on_step) -> state"""

STEPS_PER_CHUNK = 64
"""At most, where steps do not look: after so many it is read whether they were right."""

STEPS_PER_CALL = 4096
"""At most, in a loop, which is compiled once for all counts of steps.

With 1 here XLA compiles no loop, and Muon's native bits on JAX are others; those with 8, 64 and
4096 agree.
"""

SECONDS_PER_CALL = 0.05
"""Of a call of many steps, about: after it the display hears of them."""


class Pace:
    """How many steps a chunk has at most.

    Parameters
    ----------
    steps : int
        At first.
    most : int
        Later, where steps are quick.
    """

    def __init__(self, steps: int, most: int) -> None:
        self.steps, self._most = steps, most

    def note(self, count: int, seconds: float) -> None:
        """Let the next chunk take about `SECONDS_PER_CALL`, where one took so long.

        A quick chunk of fewer steps than were allowed says little: most of it may be the call.
        """
        if count == self.steps or seconds > SECONDS_PER_CALL:
            fitting = int(count * SECONDS_PER_CALL / seconds)
            self.steps = max(1, min(fitting, 8 * count, self._most))


def first_pace(xp: Namespace, backend: Any, optimizer: AnyOptimizer) -> Pace:
    """Return how many steps a chunk has at first: one where each is taken by itself.

    One, too, where many are taken in a call: the first includes compilation.
    """
    if not isinstance(optimizer, LBFGS):
        if _loops(xp, backend):
            return Pace(1, STEPS_PER_CALL)
        if is_queued(xp):
            return Pace(STEPS_PER_CHUNK, STEPS_PER_CHUNK)
    return Pace(1, 1)


def _loops(xp: Namespace, backend: Any) -> bool:
    """Return whether the backend takes many steps in one call."""
    return xp is backend.xp and hasattr(backend, "compile_loop")


def make_chunk(
    xp: Namespace,
    mlp: MLP,
    optimizer: AnyOptimizer,
    examples: Examples,
    *,
    pace: Pace,
    backend: Any,
    batch_size: int,
    seed: int,
) -> Chunk:
    """Return the function (optimizer, state, examples, starts, record, on_step) -> state.

    It takes the steps that `make_batch_step` gives, at most `pace.steps`, one after the other,
    notes their losses in the record, and calls `on_step` with the count of examples after each, or
    after some at once; the other arguments are those of `make_batch_step`.
    """
    settings: dict[str, Any] = {"backend": backend, "batch_size": batch_size, "seed": seed}
    take_step = make_batch_step(xp, mlp, optimizer, examples, **settings)

    def take_all(
        optimizer: AnyOptimizer,
        state: TrainState,
        examples: Examples,
        starts: Sequence[int],
        record: LossRecord,
        on_step: Callable[[int], None],
    ) -> TrainState:
        for start in starts:
            loss, weight, state = take_step(optimizer, state, examples, start)
            count = min(batch_size, len(examples) - start)
            record.add(loss, count, weight)
            on_step(count)
        return state

    if isinstance(optimizer, LBFGS):
        return take_all
    if _loops(xp, backend):
        return _looped(xp, mlp, optimizer, examples, take_all, pace, **settings)
    if is_queued(xp):
        return _blind(BlindSteps(xp, mlp, optimizer, examples, **settings), take_all)
    return take_all


def _blind(take_blindly: BlindSteps, take_all: Chunk) -> Chunk:
    """Return the function that takes a chunk without looking, and again where that was wrong."""

    def take_again_if_wrong(
        optimizer: Any,
        state: TrainState,
        examples: Examples,
        starts: Sequence[int],
        record: LossRecord,
        on_step: Callable[[int], None],
    ) -> TrainState:
        taken, after, right = take_blindly(optimizer, state, examples, starts, on_step)
        if not right:
            return take_all(optimizer, state, examples, starts, record, lambda _: None)
        for loss, count, weight in taken:
            record.add(loss, count, weight)
        return after

    return take_again_if_wrong


def _looped(
    xp: Namespace,
    mlp: MLP,
    optimizer: Optimizer,
    examples: Examples,
    take_all: Chunk,
    pace: Pace,
    *,
    backend: Any,
    batch_size: int,
    seed: int,
) -> Chunk:
    """Return the function that takes the whole batches of a chunk in one call of the backend."""
    take = gathered_step(xp, mlp, optimizer, examples.kind, seed, batch_size)

    def one_step(arrays: Any, index: Any, row: Any, shared: Any) -> tuple[Any, Any]:
        start, t, data = shared
        # A float would be of the arrays' dtype beside them: so are the coefficients.
        coefficients = {name: xp.astype(row[name], examples.dtype) for name in row}
        loss, weight, arrays = take(
            arrays, t + index, coefficients, data, start + index * batch_size
        )
        return arrays, (loss, weight)

    make = partial(backend.compile_loop, one_step, STEPS_PER_CALL)
    made_of = ("loop", xp, examples.kind, seed, batch_size, type(backend), backend.device)
    loop = made_once((mlp, optimizer), made_of, make)

    def take_chunk(
        optimizer: Optimizer,
        state: TrainState,
        examples: Examples,
        starts: Sequence[int],
        record: LossRecord,
        on_step: Callable[[int], None],
    ) -> TrainState:
        count = len(starts) - (starts[-1] + batch_size > len(examples))  # the last may be smaller
        if count:
            begin = time.perf_counter()
            rows = optimizer.coefficients_of(range(state.t, state.t + count))
            given = state if starts[0] else own_copy(xp, state)
            shared = starts[0], state.t, examples.arrays
            after, (losses, weights) = loop(given[:-1], rows, shared, count)
            record.add_stack(losses, [batch_size] * count, weights)
            state = TrainState._make([*after, state.t + count])
            pace.note(count, time.perf_counter() - begin)
            on_step(batch_size * count)
        return take_all(optimizer, state, examples, starts[count:], record, on_step)

    return take_chunk
