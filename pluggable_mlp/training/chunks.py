"""Some of an epoch's steps at once: one after the other, in one call of the backend, or blindly.

A step of its own is in `batch_steps.py`; which chunks an epoch has is decided in the loop.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from pluggable_mlp.arrays import Array, DType, Namespace, dtype_name
from pluggable_mlp.namespaces import is_queued
from pluggable_mlp.network.mlp import MLP
from pluggable_mlp.training.batch_steps import gathered_step, make_batch_step
from pluggable_mlp.training.batches import Examples
from pluggable_mlp.training.blind_steps import BlindSteps
from pluggable_mlp.training.components import AnyOptimizer
from pluggable_mlp.training.lbfgs import LBFGS
from pluggable_mlp.training.optimizer_contract import Optimizer
from pluggable_mlp.training.records import LossRecord
from pluggable_mlp.training.step import TrainState, map_state

__all__ = ["Chunk", "make_chunk", "steps_at_once"]

Chunk = Callable[
    [Any, TrainState, Examples, Sequence[int], LossRecord, Callable[[int], None]], TrainState
]
"""(optimizer, state, examples, starts, record, on_step) -> state"""

STEPS_PER_CHUNK = 64
"""At most: after so many the display hears of them, and it is read whether reproducible steps that
did not look were right."""


def steps_at_once(xp: Namespace, backend: Any, optimizer: AnyOptimizer) -> int:
    """Return how many steps a chunk has at most: one where each is taken by itself."""
    if isinstance(optimizer, LBFGS):
        return 1
    return STEPS_PER_CHUNK if is_queued(xp) or _loops(xp, backend) else 1


def _loops(xp: Namespace, backend: Any) -> bool:
    """Return whether the backend takes many steps in one call."""
    return xp is backend.xp and hasattr(backend, "compile_loop")


def make_chunk(
    xp: Namespace,
    mlp: MLP,
    optimizer: AnyOptimizer,
    examples: Examples,
    *,
    backend: Any,
    batch_size: int,
    seed: int,
) -> Chunk:
    """Return the function (optimizer, state, examples, starts, record, on_step) -> state.

    It takes the steps that `make_batch_step` gives, at most `STEPS_PER_CHUNK`, one after the other,
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
        return _looped(xp, mlp, optimizer, examples, take_all, **settings)
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
    *,
    backend: Any,
    batch_size: int,
    seed: int,
) -> Chunk:
    """Return the function that takes the whole batches of a chunk in one call of the backend."""
    kind = examples.kind
    take = gathered_step(xp, mlp, optimizer, kind, seed, batch_size)

    def one_step(arrays: Any, row: Any, data: Any) -> tuple[Any, Any]:
        start, t, coefficients = row
        loss, weight, arrays = take(arrays, t, coefficients, data, start)
        return arrays, (loss, weight)

    loop = backend.compile_loop(one_step)

    def take_chunk(
        optimizer: Optimizer,
        state: TrainState,
        examples: Examples,
        starts: Sequence[int],
        record: LossRecord,
        on_step: Callable[[int], None],
    ) -> TrainState:
        whole = [start for start in starts if start + batch_size <= len(examples)]
        if whole:
            rows = _rows(optimizer, state.t, whole, examples.dtype, backend)
            given = map_state(partial(xp.asarray, copy=True), state) if not whole[0] else state
            after, (losses, weights) = loop(given[:-1], rows, examples.arrays, len(whole))
            taken = [
                each if each is None else each[: len(whole), ...] for each in (losses, weights)
            ]
            record.add_stack(taken[0], [batch_size] * len(whole), taken[1])
            state = TrainState._make([*after, state.t + len(whole)])
            on_step(batch_size * len(whole))
        return take_all(optimizer, state, examples, starts[len(whole) :], record, on_step)

    return take_chunk


def _rows(optimizer: Optimizer, t: int, starts: Sequence[int], dtype: DType, backend: Any) -> Any:
    """Return the starts, the counts t and the coefficients of steps as arrays of one length.

    A float would be of the arrays' dtype beside them: so are the coefficients.
    """
    counts = range(t, t + len(starts))
    coefficients = [optimizer.coefficients_at(count) for count in counts]

    def column(numbers: Sequence[float], dtype: str) -> Array:
        return backend.asarray([*numbers, *[0] * (STEPS_PER_CHUNK - len(starts))], dtype=dtype)

    columns = {
        name: column([c[name] for c in coefficients], dtype_name(dtype)) for name in coefficients[0]
    }
    return column(starts, "int64"), column(counts, "int64"), columns
