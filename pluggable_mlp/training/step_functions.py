"""What backends compile: steps, and copies of states, as pure functions of arrays and numbers.

Those of batches take a namespace, a `StepModel` and the size of a batch first, by which `Steps`
binds them: of equal ones, one is compiled.  Rates, counts and seeds are arguments.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from pluggable_mlp.arrays import Array, Namespace, map_nested
from pluggable_mlp.namespaces.reproducible import ReproducibleNamespace
from pluggable_mlp.namespaces.reproducible.array import native_of
from pluggable_mlp.network.layers import Rng
from pluggable_mlp.network.mlp import MLP
from pluggable_mlp.shortcuts import compiled
from pluggable_mlp.training.components import AnyOptimizer
from pluggable_mlp.training.examples import Examples
from pluggable_mlp.training.losses import total_weight
from pluggable_mlp.training.optimizer import Coefficients, Optimizer, map_coefficients
from pluggable_mlp.training.step import At, StateArrays, differentiate, step_of_arrays
from pluggable_mlp.training.trees import Tree


@dataclass(frozen=True)
class StepModel:
    """What a step computes, whatever the batch: of this a function is compiled."""

    mlp: MLP
    optimizer: AnyOptimizer | None
    dtype: str
    scale: float | None
    micro_batch: int | None

    @property
    def components(self) -> tuple[MLP, Optimizer, int | None]:
        """Those of `step_of_arrays`."""
        assert isinstance(self.optimizer, Optimizer)
        return self.mlp, self.optimizer, self.micro_batch

    def examples(self, xp: Namespace, arrays: Any) -> Examples:
        """Return examples of these arrays."""
        kind = Examples(None, None, getattr(xp, self.dtype), self.scale)
        return kind.with_arrays(arrays)


def whole_step(
    xp: Namespace,
    model: StepModel,
    size: int,
    arrays: StateArrays,
    at: At,
    coefficients: Coefficients,
    data: Any,
    start: int,
) -> tuple[Array, Array | None, StateArrays]:
    """Return the loss, the weight and the arrays of the state after a step."""
    batch = model.examples(xp, data).batch_of(xp, start, size)
    loss, after = step_of_arrays(xp, *model.components, at, coefficients, arrays, batch, fused=True)
    return loss, total_weight(xp, batch[2]), after


_OF_NETWORK = "network"


def varying_numbers(mlp: MLP, counts: range) -> Coefficients:
    """Return the numbers of a network at each count of updates, if they vary, as coefficients."""
    if not mlp.varies:
        return {}
    numbers = zip(*map(mlp.numbers_at, counts), strict=True)
    return {_OF_NETWORK: {str(place): [*column] for place, column in enumerate(numbers)}}


def step_of_loop(
    xp: Namespace,
    model: StepModel,
    size: int,
    arrays: StateArrays,
    index: Array,
    row: Coefficients,
    shared: tuple[int, At, Any],
) -> tuple[StateArrays, tuple[Array, Array | None]]:
    """Return the arrays of the state after a step of a loop, and its loss and weight."""
    start, (t, words, numbers), data = shared
    # A float would be of the arrays' dtype beside them: so are the coefficients.
    coefficients = map_coefficients(lambda number: xp.astype(number, getattr(xp, model.dtype)), row)
    varying = coefficients.pop(_OF_NETWORK, {})
    at, place = (t + index, words, tuple(varying.values()) or numbers), start + index * size
    loss, weight, arrays = whole_step(xp, model, size, arrays, at, coefficients, data, place)
    return arrays, (loss, weight)


def differentiate_batch(
    xp: Namespace,
    model: StepModel,
    size: int,
    parameters: Tree,
    buffers: Tree,
    at: At,
    gradient_scale: float | Array | None,
    data: Any,
    start: int,
) -> tuple[Array | None, Array, Tree, Tree, Tree | None]:
    """Return the weight of a batch and the results of `differentiate`."""
    batch = model.examples(xp, data).batch_of(xp, start, size)
    t, seed, numbers = at
    found = differentiate(
        xp,
        model.mlp.with_numbers(numbers),
        parameters,
        buffers,
        batch,
        Rng(seed, t),
        gradient_scale,
        model.micro_batch,
    )
    return total_weight(xp, batch[2]), *found


def exact_step(
    base: ReproducibleNamespace,
    model: StepModel,
    size: int,
    arrays: StateArrays,
    at: At,
    coefficients: Coefficients,
    data: Any,
    start: int,
) -> tuple[Array, Array | None, StateArrays]:
    """Return what `whole_step` does, of the library's arrays."""
    xp = base.for_tracing()
    examples = model.examples(xp, data)
    batch = examples.floats_of(xp, xp.wrap(examples.rows_of(base.library, start, size)))
    at, coefficients = xp.as_numbers((at, coefficients))
    loss, after = step_of_arrays(xp, *model.components, at, coefficients, xp.wrap(arrays), batch)
    results: tuple[Array, Array | None, StateArrays]
    results = native_of((loss, total_weight(xp, batch[2]), after))
    return results


def loss_and_gradients_of(
    xp: Namespace,
    mlp: MLP,
    numbers: tuple[Array, ...],
    parameters: Tree,
    buffers: Tree,
    *batch: Any,
) -> tuple[Array, Tree]:
    """Return the loss and the gradients for L-BFGS, for a network that draws no random numbers."""
    mlp = mlp.with_numbers(numbers)
    return mlp.loss_gradients_and_buffers(xp, parameters, buffers, *batch)[:2]


@cache
def copier(xp: Namespace) -> Callable[..., Any]:
    """Return a function that copies all arrays in nested lists, tuples and dicts."""
    return compiled(xp, partial(_copies, xp)) or partial(_copies, xp)


def _copies(xp: Namespace, trees: Any) -> Any:
    return map_nested(partial(xp.asarray, copy=True), trees)
