"""The run of a comparison on one backend: a training step as a whole, and divided into units.

A unit is a layer (forward and backward), the loss, or the optimizer's rule.  Every backend runs it
with the same arguments, those of a step on the host.  The rounding errors of a unit therefore do
not reach the next, and the differences between backends do not grow with the depth of the network.
`comparators.py` compares the results.
"""

from collections import Counter
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from pluggable_mlp.arrays import Array, Namespace, array_namespace, map_nested
from pluggable_mlp.arrays.shortcuts import backend_context
from pluggable_mlp.backends import Backend
from pluggable_mlp.namespaces import unwrapped
from pluggable_mlp.network.layers import Backward, Layer, Rng, Seed, as_words, layer_kind
from pluggable_mlp.network.mlp import MLP
from pluggable_mlp.network.parameters import Tree, merged
from pluggable_mlp.training.examples import AnyExamples, Batch
from pluggable_mlp.training.losses import LossRecord
from pluggable_mlp.training.optimizer import Optimizer, UpdateArguments
from pluggable_mlp.training.sharding import order_of_steps
from pluggable_mlp.training.step import StepModel, TrainState, loss_and_gradients, step
from pluggable_mlp.training.steps import Steps

Tensors = dict[str, Array]
Arguments: TypeAlias = Any
"""Arrays in dicts, lists and tuples, or None."""
Compute = Callable[[Namespace, Arguments], Tensors]


@dataclass(frozen=True)
class Unit:
    """A computation with its arguments, to be run on any library.

    Parameters
    ----------
    compute : callable (xp, arguments) -> dict of arrays
        Returns the results by their names in the report.
    arguments : arrays in dicts, lists and tuples, or None
        On the host.
    before : dict of arrays
        The tensors that the step updates, as before it, by the same names.
    """

    compute: Compute
    arguments: Arguments
    before: Tensors = field(default_factory=dict)

    def run(self, xp: Namespace, asarray: Callable[[Array], Array]) -> Tensors:
        """Return the results in a namespace whose arrays `asarray` makes."""
        return self.compute(xp, map_nested(asarray, self.arguments))

    def in_float64(self) -> "Unit":
        """Return the same computation from the same numbers as float64."""
        trees = self.arguments, self.before
        return Unit(self.compute, *(map_nested(_widen, tree) for tree in trees))


def _widen(array: Array) -> Array:
    return array.astype(np.float64) if np.isdtype(array.dtype, "real floating") else array


def whole_step(mlp: MLP, optimizer: Optimizer, state: TrainState, batch: Batch, seed: Seed) -> Unit:
    """Return the step from this state, on the host, as one unit."""

    def compute(xp: Namespace, arguments: Arguments) -> Tensors:
        arrays, batch = arguments
        before = TrainState._make([*arrays, state.t])
        _, gradients = loss_and_gradients(xp, mlp, before, batch, seed)
        address = state.t, as_words(seed), mlp.numbers_at(state.t)
        model, c = StepModel(mlp, optimizer), optimizer.coefficients_at(state.t)
        loss, _, updated = step(xp, model, c, address, arrays, batch)
        after = TrainState(*updated, state.t + 1)
        return {"loss": loss, **name_arrays(gradients, "d"), **_name_state(after)}

    return Unit(compute, (state[:-1], batch), _name_state(state))


def units_of_step(
    mlp: MLP, optimizer: Optimizer, state: TrainState, batch: Batch, seed: Seed
) -> list[Unit]:
    """Return the units of that step: the layers from the first to the last, the loss, the update.

    NumPy computes their arguments, in the dtype of the arrays.
    """
    witness = copy(mlp)
    arguments: list[tuple[Array, ...]] = []

    def objective(xp: Namespace, *arrays: Array) -> tuple[Array, Array]:
        arguments.append(arrays)
        return mlp.objective(xp, *arrays)

    layers = tuple(_WitnessedLayer(layer) for layer in mlp.layers)
    vars(witness).update(layers=layers, objective=objective)
    xp, rng = array_namespace(batch[0]), mlp.rng_at(state.t, seed)
    _, gradients = loss_and_gradients(xp, witness, state, batch, seed)
    units = [
        Unit(_layer(layer.layer, label, layer.with_dx, rng), layer.arguments)
        for layer, label in zip(layers, _labels(mlp), strict=True)
    ]

    def loss(xp: Namespace, arrays: Arguments) -> Tensors:
        return dict(zip(("loss", "dz"), mlp.objective(xp, *arrays), strict=True))

    def update(xp: Namespace, trees: Arguments) -> Tensors:
        c, layers = optimizer.coefficients_at(state.t), mlp.layers_with_parameters
        parameters, gradients, slots = trees
        before = UpdateArguments(xp, c, parameters, gradients, slots, layers)
        return _name_trees(*optimizer.update(before))

    [arrays] = arguments
    units.append(Unit(loss, arrays))
    trees = state.parameters, gradients, state.slots
    return [*units, Unit(update, trees, before=_name_state(state))]


class _WitnessedLayer:
    """A layer that records its arguments, forward and backward, in a step."""

    arguments: tuple[dict[str, Array], tuple[Array, Array]]
    with_dx: bool

    def __init__(self, layer: Layer) -> None:
        self.layer = layer

    def __getattr__(self, name: str) -> Any:
        return getattr(self.layer, name)

    def forward(
        self, xp: Namespace, parameters: dict[str, Array], x: Array, rng: Rng | None = None
    ) -> tuple[Array, Backward]:
        y, backward = self.layer.forward(xp, parameters, x, rng)

        def witness(dy: Array, *, with_dx: bool = True) -> tuple[Array, dict[str, Array]]:
            self.arguments, self.with_dx = (parameters, (x, dy)), with_dx
            return backward(dy, with_dx=with_dx)

        return y, witness


def _labels(mlp: MLP) -> list[str]:
    """Return a name for each layer: "layer 2" for one with parameters, "activation 1", …"""
    counts: Counter[str] = Counter()
    labels = []
    for layer in mlp.layers:
        kind = "layer" if layer.shapes() else layer_kind(layer)
        counts[kind] += 1
        labels.append(f"{kind} {counts[kind]}")
    return labels


def _layer(layer: Layer, label: str, with_dx: bool, rng: Rng) -> Compute:
    def compute(xp: Namespace, arguments: Arguments) -> Tensors:
        parameters, (x, dy) = arguments
        y, backward = layer.forward(xp, parameters, x, rng)
        dx, gradients = backward(dy, with_dx=with_dx)
        tensors = {f"{label} y": y} | ({f"{label} dx": dx} if with_dx else {})
        for name, array in gradients.items():
            tensors[f"{label} {'' if name in layer.buffers else 'd'}{name}"] = array
        return tensors

    return compute


def _name_state(state: TrainState) -> Tensors:
    return _name_trees(merged(state.parameters, state.buffers), state.slots)


def _name_trees(parameters: Tree, slots: dict[str, Tree]) -> Tensors:
    tensors = name_arrays(parameters)
    for slot, tree in slots.items():
        tensors |= {f"{name} {slot}": array for name, array in name_arrays(tree).items()}
    return tensors


def name_arrays(tree: Tree, prefix: str = "") -> Tensors:
    """Return the arrays by their layer, counted from 1, and their name: "layer 1 dW"."""
    return {
        f"layer {number} {prefix}{name}": array
        for number, layer in enumerate(tree, 1)
        for name, array in layer.items()
    }


# The run


class BackendRun:
    """Training on one backend, step by step, in the order of `train`.

    Parameters
    ----------
    name : str
        The name in the report.
    steps : Steps
    examples : Examples or Streamed
        On the backend.
    """

    def __init__(self, name: str, steps: Steps, examples: AnyExamples) -> None:
        self.name: str = name
        self.steps: Steps = steps
        self.backend: Backend = steps.backend
        assert isinstance(steps.seed, int)  # of one network
        order = order_of_steps(steps, steps.seed)
        self._epochs = order(examples, (1, 0), None, steps.batch_size)
        self._epoch, self._starts = examples.kind, range(0)

    @property
    def state(self) -> TrainState:
        """The state before the next step."""
        return self.steps.state

    @state.setter
    def state(self, state: TrainState) -> None:
        with backend_context(self.backend):
            self.steps.state = map_nested(self.steps.xp.asarray, state)

    @property
    def batch(self) -> Batch:
        """The batch of the next step; at the end of the examples a new epoch begins."""
        size = self.steps.batch_size
        with backend_context(self.backend):
            if not self._starts:
                self._epoch = self.steps.placed(next(self._epochs))
                self._starts = range(0, len(self._epoch), size)
            return self._epoch.batch(self.steps.xp, self._starts[0], size)

    def step(self) -> dict[str, Array]:
        """Take the next step; return its results as NumPy arrays, by name.

        They are the loss, the gradients and the new state.  `Steps` does not return gradients, so
        they are computed again.
        """
        steps, before, batch = self.steps, self.state, self.batch
        losses = LossRecord(steps.xp, self.backend)
        with backend_context(self.backend):
            steps.take(steps.optimizer, self._epoch, self._starts[:1], losses)
            self._starts = self._starts[1:]
            _, gradients = loss_and_gradients(steps.xp, steps.mlp, before, batch, steps.seed)
            tensors = self.on_host(name_arrays(gradients, "d") | _name_state(self.state))
            (loss,), _ = losses.read()
        return {"loss": np.asarray(loss, next(iter(tensors.values())).dtype), **tensors}

    def compute(self, unit: Unit) -> dict[str, Array]:
        """Return the results of the unit as NumPy arrays, by name."""
        with backend_context(self.backend):
            tensors: Tensors = self.on_host(unit.run(self.steps.xp, self.backend.asarray))
            return tensors

    def on_host(self, arrays: Any) -> Any:
        """Return arrays, in dicts or tuples, as NumPy's."""
        return map_nested(self.backend.to_numpy, unwrapped(arrays))
