"""The training loop: epochs over shuffled mini-batches, and what is measured in them.

Nothing waits for the device within an epoch: losses stay there as 0-d arrays and are read once
it ends.  Which array library, which rounding, which optimizer: the loop does not know.
"""

import itertools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pluggable_mlp.arithmetic import Arithmetic, arithmetic_of
from pluggable_mlp.arrays import Array
from pluggable_mlp.network.mlp import MLP, Parameters
from pluggable_mlp.randomness import permutation
from pluggable_mlp.training.batches import Examples
from pluggable_mlp.training.metrics import (
    correct_labels,
    correct_predictions,
    mean_absolute_error,
    r2,
)
from pluggable_mlp.training.optimizers import AnyOptimizer
from pluggable_mlp.training.placed_steps import compiled, make_placed_step
from pluggable_mlp.training.steps import check_full_batch, first_model

__all__ = ["Epoch", "evaluate", "training_epochs"]

Stack = Callable[[list[Array]], Array]

_SCALARS_A_STACK = 128  # a fixed number: some libraries compile one kernel for each length


@dataclass(frozen=True)
class Epoch:
    """The state after a number of epochs, and what was measured in the last of them.

    Attributes
    ----------
    number : int
        How many epochs are done.
    parameters, state
        Of the network, averaged if the optimizer averages, and of the optimizer.
    train_loss : float
        The mean loss of the epoch's examples, each taken before its own step.
    seconds : float
        Wall-clock time of the epoch.
    """

    number: int
    parameters: Parameters
    state: Any
    train_loss: float
    seconds: float


class LossRecord:
    """Losses of consecutive batches, kept on the device until they are read."""

    def __init__(self, stack: Stack, backend: Any) -> None:
        self._losses = _Scalars(stack, backend)
        self._weights = _Scalars(stack, backend)
        self._counts: list[int] = []

    def add(self, loss: Array, count: int, weight: Array | None = None) -> None:
        """Note the mean loss, 0-d, of `count` examples; and their total weight, 0-d, if any.

        Either all batches of a record have a weight, or none.
        """
        self._losses.add(loss)
        if weight is None:
            self._counts.append(count)
        else:
            self._weights.add(weight)

    def mean(self) -> float:
        """Return the mean over all examples: waits for the device.

        The sum is exact before its rounding (math.fsum), so it is the same on every host.
        """
        weights = self._counts or self._weights.read()
        pairs = zip(self._losses.read(), weights, strict=True)
        return math.fsum(loss * weight for loss, weight in pairs) / math.fsum(weights)


class _Scalars:
    """Numbers that stay on the device, stacked, until they are read all at once."""

    def __init__(self, stack: Stack, backend: Any) -> None:
        self._stack, self._backend = stack, backend
        self._recent: list[Array] = []
        self._stacks: list[Array] = []

    def add(self, scalar: Array) -> None:
        """Keep a 0-d array."""
        self._recent.append(scalar)
        if len(self._recent) == _SCALARS_A_STACK:
            self._stacks.append(self._stack(self._recent))
            self._recent = []

    def read(self) -> list[float]:
        """Return all of them: waits for the device."""
        stacked = [x for stack in self._stacks for x in self._backend.to_numpy(stack).tolist()]
        return stacked + [float(self._backend.to_numpy(scalar)) for scalar in self._recent]


def training_epochs(
    mlp: MLP,
    parameters: Parameters,
    examples: Examples,
    *,
    backend: Any,
    optimizer: AnyOptimizer,
    arithmetic: str,
    epochs: int,
    batch_size: int,
    seed: int,
    shuffle: bool = True,
    on_batch: Callable[[int], None] | None = None,
) -> Iterator[Epoch]:
    """Train, and yield after every epoch, so that the caller may stop, save or measure.

    `on_batch(count)` is told how many examples each step took; the other arguments are those
    of `pluggable_mlp.train`, already checked.
    """
    bound = arithmetic_of(arithmetic, backend)
    check_full_batch(mlp, optimizer, examples, batch_size)
    model = first_model(mlp, parameters, optimizer, bound)
    take_step = make_placed_step(
        mlp,
        optimizer,
        examples,
        backend=backend,
        arithmetic=bound,
        batch_size=batch_size,
        seed=seed,
    )
    stack = compiled(bound.xp.stack, backend, bound) or bound.xp.stack
    numbers = itertools.count()
    for number in range(1, epochs + 1):
        begin = time.perf_counter()
        record = LossRecord(stack, backend)
        # A single batch of all examples needs no order.
        shuffled = shuffle and batch_size < len(examples)
        order = _order(backend, seed, number, len(examples)) if shuffled else None
        for start in range(0, len(examples), batch_size):
            loss, weight, model = take_step(model, order, start, next(numbers))
            count = min(batch_size, len(examples) - start)
            record.add(loss, count, weight)
            if on_batch:
                on_batch(count)
        train_loss = record.mean()
        model = model._replace(state=optimizer.after_epoch(model.state, train_loss))
        backend.synchronize()
        seconds = time.perf_counter() - begin
        trained = _named_as(parameters, model.parameters)
        yield Epoch(number, trained, model.state, train_loss, seconds)


def _named_as(first: Parameters, tree: Parameters) -> Parameters:
    """Return the tree with the names of each dict in the order of the first: JAX sorts them."""
    return [{name: of[name] for name in like} for like, of in zip(first, tree, strict=True)]


def _order(backend: Any, seed: int, epoch: int, count: int) -> Array:
    """Return the epoch's permutation of 0 … count - 1 on the device."""
    return backend.asarray(permutation(seed, "shuffle", epoch, count))


def evaluate(
    mlp: MLP,
    parameters: Parameters,
    examples: Examples,
    *,
    backend: Any,
    arithmetic: str,
    batch_size: int = 1000,
) -> dict[str, float]:
    """Return the loss over all examples and what else tells how good the network is, as floats.

    "loss", and "accuracy" where the loss knows classes or labels (all labels of an example must
    be right), else "r2" and "mean_absolute_error".  Nothing is changed.
    """
    bound = arithmetic_of(arithmetic, backend)
    record = LossRecord(bound.xp.stack, backend)
    outputs = []
    for x, labels, weights in examples.batches(bound, batch_size):
        logits, _ = mlp.forward(parameters, x, bound)
        loss, _ = mlp.objective(bound, logits, labels, weights)
        record.add(loss, labels.shape[0], None if weights is None else bound.sum(weights))
        outputs.append(logits)
    z = bound.xp.concat(outputs, axis=-2)
    return {"loss": record.mean(), **_quality(mlp, bound, z, examples.labels)}


def _quality(mlp: MLP, arithmetic: Arithmetic, z: Array, labels: Array) -> dict[str, float]:
    """Return the metrics of outputs z (examples, outputs)."""
    count = {"classes": correct_predictions, "labels": correct_labels}.get(mlp.objective.targets)
    if count:
        return {"accuracy": int(count(arithmetic.xp, z, labels)) / z.shape[0]}
    predictions = mlp.objective.predict(arithmetic, z)
    return {
        "r2": float(r2(arithmetic, predictions, labels)),
        "mean_absolute_error": float(mean_absolute_error(arithmetic, predictions, labels)),
    }
