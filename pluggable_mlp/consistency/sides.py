"""One backend's side of a comparison: its data, its parameters, the steps it takes.

What is made of the steps' results is no business of this file: see `judges.py`.
"""

import itertools
from collections.abc import Iterator

from pluggable_mlp.arithmetic import Arithmetic
from pluggable_mlp.arrays import Array
from pluggable_mlp.backends import Backend
from pluggable_mlp.network.mlp import MLP, Parameters
from pluggable_mlp.randomness import permutation
from pluggable_mlp.training.batches import Batch, Examples
from pluggable_mlp.training.optimizers import SGD

__all__ = ["Batch", "Side", "named"]


class Side:
    """Gradient descent on one backend, step by step.

    Parameters
    ----------
    name : str
        What the report calls it.
    backend : Backend
    arithmetic : Arithmetic
        Bound to the backend's namespace.
    mlp : MLP
    examples : Examples
        On the backend.
    parameters : list of dict of arrays
        On the backend: where the next step starts.
    """

    def __init__(
        self,
        name: str,
        backend: Backend,
        arithmetic: Arithmetic,
        mlp: MLP,
        examples: Examples,
        parameters: Parameters,
    ) -> None:
        self.name, self.backend, self.arithmetic = name, backend, arithmetic
        self.mlp, self.examples, self.parameters = mlp, examples, parameters
        self._optimizer = SGD()
        self._state = self._optimizer.init(parameters)

    def batches(self, size: int, seed: int) -> Iterator[Batch]:
        """Yield the batches that training takes with this seed, epoch after epoch, for ever."""
        for epoch in itertools.count(1):
            order = self.backend.asarray(permutation(seed, "shuffle", epoch, len(self.examples)))
            yield from self.examples.batches(self.arithmetic, size, order)

    def step(self, batch: Batch) -> dict[str, Array]:
        """Take one step; return its loss, gradients and new parameters as NumPy arrays."""
        x, labels, _ = batch
        loss, gradients = self.mlp.step_gradients(self.parameters, x, labels, self.arithmetic)
        self.parameters, self._state = self._optimizer.update(
            gradients, self._state, self.parameters, self.arithmetic
        )
        tensors = {"loss": loss, **named(gradients, "d"), **named(self.parameters)}
        return {name: self.backend.to_numpy(tensor) for name, tensor in tensors.items()}


def named(tree: Parameters, prefix: str = "") -> dict[str, Array]:
    """Return the arrays by the names that a report gives them: "layer 1 dW"."""
    return {
        f"layer {number} {prefix}{name}": array
        for number, layer in enumerate(tree, 1)
        for name, array in layer.items()
    }
