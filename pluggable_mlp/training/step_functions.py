"""What backends compile: steps as pure functions of arrays and numbers.

Each takes a namespace, a `StepModel` and the size of a batch first, by which `Steps` binds it: of
equal ones, one is compiled.  Rates, counts and seeds are arguments.
"""

from dataclasses import dataclass
from typing import Any

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.namespaces.reproducible import ReproducibleNamespace
from pluggable_mlp.namespaces.reproducible.array import native_of
from pluggable_mlp.namespaces.speculation import as_numbers, wrapped
from pluggable_mlp.network.layers import Rng
from pluggable_mlp.network.mlp import MLP
from pluggable_mlp.network.philox import Seed
from pluggable_mlp.training.components import AnyOptimizer
from pluggable_mlp.training.examples import Batch, Examples
from pluggable_mlp.training.optimizer import Coefficients, Optimizer
from pluggable_mlp.training.step import TrainState, differentiate, step
from pluggable_mlp.training.trees import Tree

__all__ = [
    "StepModel",
    "differentiate_batch",
    "speculating_step",
    "step_of_loop",
    "total_weight",
    "whole_step",
]

Arrays = tuple[Tree, Tree, Any]
"""Parameters, buffers and slots of a state."""
At = tuple[int, Seed, tuple[float, ...]]
"""The count t of a step, the seed as two words, and the numbers of the network."""


@dataclass(frozen=True)
class StepModel:
    """What a step computes, whatever the batch: of this a function is compiled."""

    mlp: MLP
    optimizer: AnyOptimizer | None
    dtype: str
    scale: float | None
    micro_batch: int | None

    def examples(self, xp: Namespace, arrays: Any) -> Examples:
        """Return examples of these arrays."""
        kind = Examples(None, None, getattr(xp, self.dtype), self.scale)
        return kind.with_arrays(arrays)


def total_weight(xp: Namespace, sample_weight: Array | None) -> Array | None:
    """Return the sum of the weights (batch,) of a batch, 0-d, if it has any."""
    return None if sample_weight is None else xp.sum(sample_weight)


def _step(
    xp: Namespace,
    model: StepModel,
    arrays: Arrays,
    at: At,
    batch: Batch,
    coefficients: Coefficients,
    *,
    fused: bool = False,
) -> tuple[Array, TrainState]:
    """Call `step` of `step.py`."""
    assert isinstance(model.optimizer, Optimizer)
    t, seed, numbers = at
    return step(
        xp,
        model.mlp.with_numbers(numbers),
        model.optimizer,
        TrainState._make([*arrays, t]),
        batch,
        coefficients,
        seed,
        model.micro_batch,
        fused=fused,
    )


def whole_step(
    xp: Namespace,
    model: StepModel,
    size: int,
    arrays: Arrays,
    at: At,
    coefficients: Coefficients,
    data: Any,
    start: int,
) -> tuple[Array, Array | None, Arrays]:
    """Return the loss, the weight and the arrays of the state after a step."""
    batch = model.examples(xp, data).batch_of(xp, start, size)
    loss, after = _step(xp, model, arrays, at, batch, coefficients, fused=True)
    return loss, total_weight(xp, batch[2]), after[:-1]


def step_of_loop(
    xp: Namespace,
    model: StepModel,
    size: int,
    arrays: Arrays,
    index: Any,
    row: Any,
    shared: tuple[int, At, Any],
) -> tuple[Arrays, tuple[Array, Array | None]]:
    """Return the arrays of the state after a step of a loop, and its loss and weight."""
    start, (t, *fixed), data = shared
    # A float would be of the arrays' dtype beside them: so are the coefficients.
    coefficients = {name: xp.astype(row[name], getattr(xp, model.dtype)) for name in row}
    at, place = (t + index, *fixed), start + index * size
    loss, weight, arrays = whole_step(xp, model, size, arrays, at, coefficients, data, place)
    return arrays, (loss, weight)


def differentiate_batch(
    xp: Namespace,
    model: StepModel,
    size: int,
    parameters: Tree,
    buffers: Tree,
    at: At,
    gradient_scale: float | None,
    data: Any,
    start: int,
) -> tuple[Any, ...]:
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


def speculating_step(
    base: ReproducibleNamespace,
    model: StepModel,
    size: int,
    arrays: Arrays,
    at: At,
    coefficients: Coefficients,
    data: Any,
    start: int,
    valid: Array,
) -> tuple[Array, Array | None, Arrays, Array]:
    """Return what `_whole_step` does, of the library's arrays, and whether all is valid so far."""
    xp = base.speculating()
    examples = model.examples(xp, data)
    batch = examples.floats_of(xp, wrapped(xp, examples.rows_of(base.library, start, size)))
    numbers = as_numbers(xp, (at, coefficients))
    loss, after = _step(xp, model, wrapped(xp, arrays), numbers[0], batch, numbers[1])
    weight = total_weight(xp, batch[2])
    results = native_of((loss, weight, after[:-1]))
    return (*results, valid & xp.all_valid(results[0]))
