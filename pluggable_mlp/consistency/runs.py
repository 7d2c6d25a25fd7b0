"""The run of a comparison on one backend: its examples, its state and its steps.

The results of the steps are compared in `comparators.py`.
"""

from functools import cached_property

import numpy as np

from pluggable_mlp.arrays import Array, map_nested
from pluggable_mlp.backends import Backend
from pluggable_mlp.consistency.units import Unit, gradients_of, named_step
from pluggable_mlp.lazy import places_of
from pluggable_mlp.namespaces import ShardedNamespace, unwrapped
from pluggable_mlp.namespaces.sharded import Layout, ShardedArray
from pluggable_mlp.network.passes import first_array
from pluggable_mlp.shortcuts import on_device_of
from pluggable_mlp.training.examples import AnyExamples, Batch
from pluggable_mlp.training.losses import LossRecord
from pluggable_mlp.training.sharding import order_of_processes
from pluggable_mlp.training.step import TrainState
from pluggable_mlp.training.steps import Steps


class BackendRun:
    """Training on one backend, step by step, in the order of `train`.

    Parameters
    ----------
    name : str
        The name in the report.
    steps : Steps
    examples : Examples or Streamed
        On the backend; or, where processes take the steps together, on the host.
    """

    def __init__(self, name: str, steps: Steps, examples: AnyExamples) -> None:
        self.name, self.steps = name, steps
        self.backend: Backend = steps.backend
        assert isinstance(steps.seed, int)  # of one network
        order = order_of_processes(steps.seed, steps.xp)
        self._epochs = order(
            examples, (1, 0), None, backend=steps.backend, batch_size=steps.batch_size
        )
        self._epoch, self._starts = examples.kind, range(0)
        self._here = unwrapped(first_array(steps.state.parameters))

    @property
    def state(self) -> TrainState:
        """The state before the next step."""
        return self.steps.state

    @state.setter
    def state(self, state: TrainState) -> None:
        self.steps.state = map_nested(self.steps.xp.asarray, state)

    @property
    def batch(self) -> Batch:
        """The batch of the next step: past the end of the examples another epoch begins."""
        size = self.steps.batch_size
        with on_device_of(self._here):
            if not self._starts:
                self._epoch = next(self._epochs)
                self._starts = range(0, len(self._epoch), size)
            return self._epoch.batch(self.steps.xp, self._starts[0], size)

    @cached_property
    def has_float64(self) -> bool:
        """Whether the device computes in float64."""
        try:
            one = self.backend.asarray(1.0, dtype="float64")
        except (TypeError, ValueError, RuntimeError):  # depends on the library
            return False
        return bool(one.dtype == self.backend.xp.float64)

    def step(self) -> dict[str, Array]:
        """Take the next step; return its results as NumPy arrays, by name.

        They are the loss, the gradients and the new state.  `Steps` gives out no gradients: they
        are computed again.
        """
        steps, before, batch = self.steps, self.state, self.batch
        losses = _LastLoss(steps.xp, self.backend)
        with on_device_of(self._here):
            steps.take(steps.optimizer, self._epoch, self._starts[:1], losses)
            self._starts = self._starts[1:]
            gradients = gradients_of(steps.xp, steps.mlp, before, batch, steps.seed)
            return self._on_host(named_step(losses.last, gradients, self.state))

    def compute(self, unit: Unit) -> dict[str, Array]:
        """Return the results of the unit as NumPy arrays, by name."""
        xp, asarray = self.steps.xp, self.backend.asarray
        with on_device_of(self._here):
            if isinstance(xp, ShardedNamespace):
                return self._on_host(unit.run(xp, lambda x: xp.asarray(asarray(x)), self._own_rows))
            return self._on_host(unit.run(xp, asarray))

    def _own_rows(self, x: Array) -> Array:
        """Return an array of the host, (examples,) or (…, rows of examples, n), cut."""
        xp, examples = self.steps.xp, self.batch[0].shape[-2]
        axis = max(-2, -x.ndim)
        rows = x.shape[axis] // examples
        layout = Layout((0, examples), xp.communicator.rank, xp.communicator.size, rows)
        own = np.take(x, places_of(layout.ranges(layout.rank)), axis=axis)
        return xp.cut(self.backend.asarray(own), axis, layout)

    def batch_on_host(self) -> Batch:
        """Return the batch of the next step as NumPy arrays, whole."""
        x, targets, sample_weight = map(self._whole, self.batch)
        return x, targets, sample_weight

    def _on_host(self, tensors: dict[str, Array]) -> dict[str, Array]:
        return {name: self._whole(tensor) for name, tensor in tensors.items()}

    def _whole(self, x: Array | None) -> Array | None:
        if isinstance(x, ShardedArray):
            x = x.namespace.gathered(x)
        return None if x is None else self.backend.to_numpy(unwrapped(x))


class _LastLoss(LossRecord):
    """Losses, the last of them as the array that the step returned."""

    last: Array

    def add(self, loss: Array, count: int, weight: Array | None = None) -> None:
        """See `LossRecord.add`."""
        self.last = loss
        super().add(loss, count, weight)

    def add_stack(self, losses: Array, counts: list[int], weights: Array | None = None) -> None:
        """See `LossRecord.add_stack`."""
        self.last = losses[len(counts) - 1, ...]
        super().add_stack(losses, counts, weights)
