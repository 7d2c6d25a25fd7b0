"""A step of training by its place in the epoch, compiled as a whole where the backend can.

Compiled or not, it is the same lines: `make_update` of `steps.py` on a batch of `batches.py`.
Only the library's own namespace is compiled: compilers contract a * b + c into one rounding.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.network.layers import TrainingStep
from pluggable_mlp.network.mlp import MLP
from pluggable_mlp.training.batches import Examples
from pluggable_mlp.training.optimizers import LBFGS, AnyOptimizer, GradientSteps, Numbers
from pluggable_mlp.training.steps import Model, ModelArrays, make_step, make_update, map_model

__all__ = ["PlacedStep", "compiled", "make_placed_step"]

PlacedStep = Callable[[Model, Array | None, int, int], tuple[Array, Array | None, Model]]
Function = Callable[..., Any]


def compiled(
    function: Function, backend: Any, xp: Namespace, used_up: tuple[int, ...] = ()
) -> Function | None:
    """Return the function compiled; None where it is to run operation by operation.

    The arguments are those of `backends.contract.Compiler`.
    """
    if xp is not backend.xp or not hasattr(backend, "compile"):
        return None
    faster: Function | None = backend.compile(function, used_up)
    return faster


def make_placed_step(
    xp: Namespace,
    mlp: MLP,
    optimizer: AnyOptimizer,
    examples: Examples,
    *,
    backend: Any,
    batch_size: int,
    seed: int,
) -> PlacedStep:
    """Return the function (model, order, start, number) -> (loss, weight, model) that takes a step.

    Its batch is the examples from `start` on, in the `order` (examples,), or as they come where
    that is None; `number` is the step's in the run.  The loss, 0-d, is the batch's before the
    step; the weight, 0-d, is the sum of its examples' weights, None where they have none.
    """
    if not isinstance(optimizer, LBFGS):  # its line search branches on values
        count = len(examples)
        compiled_for = {
            size: compiled(
                _whole_step(xp, mlp, optimizer, examples, seed, size),
                backend,
                xp,
                used_up=(0,),
            )
            for size in {min(batch_size, count), count % batch_size} - {0}
        }
        if None not in compiled_for.values():
            return _compiled_steps(xp, optimizer, examples, batch_size, compiled_for)
    take_step = make_step(xp, mlp, optimizer)

    def step(
        model: Model, order: Array | None, start: int, number: int
    ) -> tuple[Array, Array | None, Model]:
        batch = examples.batch(xp, start, batch_size, order)
        loss, model = take_step(model, batch, TrainingStep(seed, number))
        return loss, _total(xp, batch[2]), model

    return step


def _compiled_steps(
    xp: Namespace,
    optimizer: GradientSteps,
    examples: Examples,
    batch_size: int,
    compiled_for: dict[int, Any],
) -> PlacedStep:
    """Return the step that calls what is compiled for its batch's size."""
    # Arguments, not a part of the function: a compiler would copy them into its code.
    data = examples.inputs, examples.labels, examples.weights

    def step(
        model: Model, order: Array | None, start: int, number: int
    ) -> tuple[Array, Array | None, Model]:
        coefficients, numbers = optimizer.advance(model.state.numbers)
        # What an epoch begins with is known outside of it; the models that follow are used up.
        arrays = model.arrays if start else map_model(partial(xp.asarray, copy=True), model.arrays)
        whole_step = compiled_for[min(batch_size, len(examples) - start)]
        loss, weight, arrays = whole_step(arrays, coefficients, data, order, start, number)
        return loss, weight, Model.of(arrays, numbers)

    return step


def _whole_step(
    xp: Namespace,
    mlp: MLP,
    optimizer: GradientSteps,
    examples: Examples,
    seed: int,
    size: int,
) -> Function:
    """Return the step on a batch of that size as a pure function of arrays and numbers."""
    update = make_update(xp, mlp, optimizer)

    def whole_step(
        arrays: ModelArrays, coefficients: Numbers, data: Any, order: Any, start: Any, number: Any
    ) -> tuple[Array, Array | None, ModelArrays]:
        inputs, labels, weights = data
        given = replace(examples, inputs=inputs, labels=labels, weights=weights)
        batch = given.gathered(xp, start, size, order)
        loss, arrays = update(coefficients, arrays, batch, TrainingStep(seed, number))
        return loss, _total(xp, batch[2]), arrays

    return whole_step


def _total(xp: Namespace, weights: Array | None) -> Array | None:
    return None if weights is None else xp.sum(weights)
