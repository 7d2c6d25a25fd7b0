"""A training step as a whole, and divided into units that run separately from given values.

A unit is a layer (forward and backward), the loss, or the optimizer's rule.  Every backend runs it
with the same arguments, those that occur in a step on the host.  So the rounding errors of a unit
do not reach the next, and the differences of two backends do not grow with the depth of the
network.  The results are compared in `comparators.py`.
"""

from collections import Counter
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pluggable_mlp.arrays import Array, Namespace, array_namespace, map_nested
from pluggable_mlp.network.layers import Backward, Layer, Rng, layer_kind
from pluggable_mlp.network.mlp import MLP
from pluggable_mlp.network.philox import Seed, as_words
from pluggable_mlp.training.examples import Batch
from pluggable_mlp.training.optimizer import Optimizer, UpdateArguments
from pluggable_mlp.training.step import StepInput, StepModel, TrainState, step
from pluggable_mlp.training.trees import Tree, merge

Tensors = dict[str, Array]


@dataclass(frozen=True)
class Unit:
    """A computation with its arguments, to be run on any library.

    Parameters
    ----------
    compute : callable (xp, given, rows) -> dict of arrays
        The results by their names in the report.
    given : arrays in dicts, lists and tuples, or None
        On the host.
    rows : tuple of arrays (batch, …) or None
        Those that have a row for each example.
    before : dict of arrays
        The tensors that the step updates, before it, by the same names.
    """

    compute: Callable[[Namespace, Any, Any], Tensors]
    given: Any
    rows: tuple[Array | None, ...] = ()
    before: Tensors = field(default_factory=dict)

    def run(
        self,
        xp: Namespace,
        asarray: Callable[[Array], Array],
        asrows: Callable[[Array], Array] | None = None,
    ) -> Tensors:
        """Return the results in a namespace, for whose arrays `asarray` is given.

        That of `rows` is `asrows`, by default the same.
        """
        rows = map_nested(asrows or asarray, self.rows)
        return self.compute(xp, map_nested(asarray, self.given), rows)

    def in_float64(self) -> "Unit":
        """Return the same computation from the same numbers as float64."""
        given, rows, before = (
            map_nested(_widened, each) for each in (self.given, self.rows, self.before)
        )
        return Unit(self.compute, given, rows, before)


def _widened(array: Array) -> Array:
    return array.astype(np.float64) if np.isdtype(array.dtype, "real floating") else array


def named_step(loss: Array, gradients: Tree, after: TrainState) -> Tensors:
    """Return the results of a step by name: "loss", "layer 1 dW", "layer 1 W", …"""
    return {"loss": loss, **named(gradients, "d"), **_named_state(after)}


def gradients_of(xp: Namespace, mlp: MLP, state: TrainState, batch: Batch, seed: Seed) -> Tree:
    """Return the gradients of a batch before the step from a state."""
    rng = Rng(seed, state.t, numbers=mlp.numbers_at(state.t))
    return mlp.loss_gradients_and_buffers(xp, state.parameters, state.buffers, *batch, rng)[1]


def whole_step(mlp: MLP, optimizer: Optimizer, state: TrainState, batch: Batch, seed: Seed) -> Unit:
    """Return the step from this state, on the host, as one unit."""

    def compute(xp: Namespace, arrays: Any, batch: Any) -> Tensors:
        own = TrainState._make([*arrays, state.t])
        gradients = gradients_of(xp, mlp, own, batch, seed)
        numbers = state.t, as_words(seed), mlp.numbers_at(state.t)
        model, c = StepModel(mlp, optimizer), optimizer.coefficients_at(state.t)
        loss, _, after = step(xp, model, arrays, c, StepInput(*numbers, batch))
        return named_step(loss, gradients, TrainState(*after, state.t + 1))

    return Unit(compute, state[:-1], batch, _named_state(state))


def units_of_step(
    mlp: MLP, optimizer: Optimizer, state: TrainState, batch: Batch, seed: Seed
) -> list[Unit]:
    """Return the units of that step: the layers from the first to the last, the loss, the update.

    Their arguments are computed by NumPy, in the dtype of the arrays.
    """
    witness = copy(mlp)
    layers = tuple(_WitnessedLayer(layer) for layer in mlp.layers)
    objective = _WitnessedLoss(mlp.objective)
    for name, stand_in in (("layers", layers), ("objective", objective)):
        object.__setattr__(witness, name, stand_in)
    gradients = gradients_of(array_namespace(batch[0]), witness, state, batch, seed)
    rng = Rng(seed, state.t, numbers=mlp.numbers_at(state.t))
    units = [
        Unit(_layer(layer.layer, label, layer.with_dx, rng), *layer.given)
        for layer, label in zip(layers, _labels(mlp), strict=True)
    ]
    units.append(Unit(_loss(mlp), None, objective.given))
    given = (state.parameters, gradients, state.slots)
    return [*units, Unit(_update(optimizer, state.t), given, before=_named_state(state))]


class _WitnessedLayer:
    """A layer that records its arguments, forward and backward, in a step."""

    given: Any
    with_dx: bool

    def __init__(self, layer: Layer) -> None:
        self.layer = layer

    def __getattr__(self, name: str) -> Any:
        return getattr(self.layer, name)

    def forward(
        self,
        xp: Namespace,
        parameters: dict[str, Array],
        x: Array,
        rng: Rng | None = None,
    ) -> tuple[Array, Backward]:
        y, backward = self.layer.forward(xp, parameters, x, rng)

        def witnessed(dy: Array, *, with_dx: bool = True) -> tuple[Array, dict[str, Array]]:
            self.given, self.with_dx = (parameters, (x, dy)), with_dx
            return backward(dy, with_dx=with_dx)

        return y, witnessed


class _WitnessedLoss:
    """A loss that keeps what it is given."""

    given: Any

    def __init__(self, loss: Any) -> None:
        self.loss = loss

    def __call__(self, xp: Namespace, *given: Any) -> tuple[Array, Array]:
        self.given = given
        loss: tuple[Array, Array] = self.loss(xp, *given)
        return loss


def _labels(mlp: MLP) -> list[str]:
    """Return a name for each layer: "layer 2" for one with parameters, "activation 1", …"""
    counts: Counter[str] = Counter()
    labels = []
    for layer in mlp.layers:
        kind = "layer" if layer.shapes() else layer_kind(layer)
        counts[kind] += 1
        labels.append(f"{kind} {counts[kind]}")
    return labels


def _layer(
    layer: Layer, label: str, with_dx: bool, rng: Rng
) -> Callable[[Namespace, Any, Any], Tensors]:
    def compute(xp: Namespace, parameters: Any, rows: Any) -> Tensors:
        x, dy = rows
        y, backward = layer.forward(xp, parameters, x, rng)
        dx, others = backward(dy, with_dx=with_dx)
        tensors = {f"{label} y": y} | ({f"{label} dx": dx} if with_dx else {})
        for name, array in others.items():
            tensors[f"{label} {'' if name in layer.buffers else 'd'}{name}"] = array
        return tensors

    return compute


def _loss(mlp: MLP) -> Callable[[Namespace, Any, Any], Tensors]:
    def compute(xp: Namespace, _: Any, rows: Any) -> Tensors:
        loss, dz = mlp.objective(xp, *rows)
        return {"loss": loss, "dz": dz}

    return compute


def _update(optimizer: Optimizer, t: int) -> Callable[[Namespace, Any, Any], Tensors]:
    coefficients = optimizer.coefficients_at(t)

    def compute(xp: Namespace, given: Any, _: Any) -> Tensors:
        return _named_trees(*optimizer.update(UpdateArguments(xp, coefficients, *given)))

    return compute


def _named_state(state: TrainState) -> Tensors:
    return _named_trees(merge(state.parameters, state.buffers), state.slots)


def _named_trees(parameters: Tree, slots: dict[str, Tree]) -> Tensors:
    tensors = named(parameters)
    for slot, tree in slots.items():
        tensors |= {f"{name} {slot}": array for name, array in named(tree).items()}
    return tensors


def named(tree: Tree, prefix: str = "") -> Tensors:
    """Return the arrays by their layer, counted from 1, and their name: "layer 1 dW"."""
    return {
        f"layer {number} {prefix}{name}": array
        for number, layer in enumerate(tree, 1)
        for name, array in layer.items()
    }
