"""One backend's side of a comparison: its data, its parameters, the steps it takes.

What is made of the steps' results is no business of this file: see `judges.py`.
"""

import itertools
from collections.abc import Iterator

from pluggable_mlp.arithmetic import Arithmetic
from pluggable_mlp.arrays import Array
from pluggable_mlp.backends import Backend
from pluggable_mlp.network.layers import TrainingStep
from pluggable_mlp.network.mlp import MLP, Parameters
from pluggable_mlp.randomness import permutation
from pluggable_mlp.training.batches import Batch, Examples
from pluggable_mlp.training.optimizers import SGD
from pluggable_mlp.training.trees import merge, split

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
    seed : int
        Of the shuffles and of dropout.
    """

    def __init__(
        self,
        name: str,
        backend: Backend,
        arithmetic: Arithmetic,
        mlp: MLP,
        examples: Examples,
        parameters: Parameters,
        seed: int,
    ) -> None:
        self.name, self.backend, self.arithmetic = name, backend, arithmetic
        self.mlp, self.examples, self.parameters = mlp, examples, parameters
        self.seed = seed
        self._optimizer = SGD()
        self._state = self._optimizer.init(split(parameters, mlp.statistics)[1])

    def batches(self, size: int) -> Iterator[Batch]:
        """Yield the batches that training takes with this seed, epoch after epoch, for ever."""
        for epoch in itertools.count(1):
            order = self.backend.asarray(
                permutation(self.seed, "shuffle", epoch, len(self.examples))
            )
            yield from self.examples.batches(self.arithmetic, size, order)

    def step(self, batch: Batch, number: int) -> dict[str, Array]:
        """Take the step of that number, from 1; return its results as NumPy arrays, by name.

        They are the loss, the gradients and the new parameters with the running statistics.
        """
        x, labels, weights = batch
        step = TrainingStep(self.seed, number - 1)
        loss, gradients, measured = self.mlp.take_step(
            self.parameters, x, labels, self.arithmetic, step, weights
        )
        statistics, trained = split(self.parameters, self.mlp.statistics)
        trained, self._state = self._optimizer.update(
            gradients, self._state, trained, self.arithmetic
        )
        self.parameters = merge(trained, merge(statistics, measured))
        tensors = {"loss": loss, **named(gradients, "d"), **named(self.parameters)}
        return {name: self.backend.to_numpy(tensor) for name, tensor in tensors.items()}


def named(tree: Parameters, prefix: str = "") -> dict[str, Array]:
    """Return the arrays by the names that a report gives them: "layer 1 dW"."""
    return {
        f"layer {number} {prefix}{name}": array
        for number, layer in enumerate(tree, 1)
        for name, array in layer.items()
    }
