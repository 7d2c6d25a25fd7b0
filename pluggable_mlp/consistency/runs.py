"""The run of a comparison on one backend: its data, its state and its steps.

The results of the steps are compared in `comparators.py`.
"""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.backends import Backend
from pluggable_mlp.consistency.units import Unit, step_tensors
from pluggable_mlp.namespaces import unwrapped
from pluggable_mlp.network.mlp import MLP, Parameters
from pluggable_mlp.randomness import permutation
from pluggable_mlp.training.examples import Batch, Examples
from pluggable_mlp.training.optimizer import Optimizer
from pluggable_mlp.training.step import initial_state

__all__ = ["BackendRun"]


class BackendRun:
    """Training on one backend, step by step.

    Parameters
    ----------
    name : str
        The name in the report.
    backend : Backend
    xp
        The namespace of the arithmetic over the backend's arrays.
    mlp : MLP
    optimizer : Optimizer
    examples : Examples
        On the backend.
    parameters : list of dict of arrays
        The initial parameters, on the backend.
    seed : int
        Seed of the shuffles, dropout and noise.
    """

    def __init__(
        self,
        name: str,
        backend: Backend,
        xp: Namespace,
        mlp: MLP,
        optimizer: Optimizer,
        examples: Examples,
        parameters: Parameters,
        seed: int,
    ) -> None:
        self.name, self.backend, self.xp = name, backend, xp
        self.mlp, self.optimizer, self.examples, self.seed = mlp, optimizer, examples, seed
        self.state = initial_state(xp, mlp, parameters, optimizer)

    @cached_property
    def has_float64(self) -> bool:
        """Whether the device computes in float64."""
        try:
            one = self.backend.asarray(1.0, dtype="float64")
        except (TypeError, ValueError, RuntimeError):  # depends on the library
            return False
        return bool(one.dtype == self.backend.xp.float64)

    def batches(self, size: int) -> Iterator[Batch]:
        """Yield the batches of training with this seed, epoch after epoch, without end."""
        count = len(self.examples)
        for epoch in itertools.count(1):
            # As in training, a single batch of all examples needs no order.
            examples = self.examples
            if size < count:
                order = self.backend.asarray(permutation(self.seed, "shuffle", epoch, count))
                examples = replace(examples, order=order)
            yield from examples.batches(self.xp, size)

    def step(self, batch: Batch) -> dict[str, Array]:
        """Take the next step; return its results as NumPy arrays, by name.

        They are the loss, the gradients and the new state.
        """
        tensors, self.state = step_tensors(
            self.xp, self.mlp, self.optimizer, self.state, batch, self.seed
        )
        return self._on_host(tensors)

    def compute(self, unit: Unit) -> dict[str, Array]:
        """Return the results of the unit as NumPy arrays, by name."""
        return self._on_host(unit.run(self.xp, self.backend.asarray))

    def _on_host(self, tensors: dict[str, Array]) -> dict[str, Array]:
        return {name: self.backend.to_numpy(tensor) for name, tensor in unwrapped(tensors).items()}
