"""The training loop: epochs over shuffled mini-batches, and what is measured in them.

Nothing waits for the device within an epoch: losses stay there as 0-d arrays and are read once
it ends.  Which array library, which rounding, which optimizer: the loop does not know.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pluggable_mlp.arithmetic import Arithmetic, get_arithmetic
from pluggable_mlp.arrays import Array
from pluggable_mlp.network.mlp import MLP, Parameters
from pluggable_mlp.randomness import permutation
from pluggable_mlp.training.batches import Examples
from pluggable_mlp.training.metrics import correct_predictions
from pluggable_mlp.training.optimizers import Optimizer

__all__ = ["Epoch", "evaluate", "training_epochs"]

_LOSSES_A_STACK = 128  # a fixed number: some libraries compile one kernel for each length


@dataclass(frozen=True)
class Epoch:
    """The state after a number of epochs, and what was measured in the last of them.

    Attributes
    ----------
    number : int
        How many epochs are done.
    parameters, state
        Of the network and of the optimizer.
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

    def __init__(self, arithmetic: Arithmetic, backend: Any) -> None:
        self._arithmetic, self._backend = arithmetic, backend
        self._recent: list[Array] = []
        self._stacks: list[Array] = []
        self._counts: list[int] = []

    def add(self, loss: Array, count: int) -> None:
        """Note the mean loss, 0-d, of `count` examples."""
        self._recent.append(loss)
        self._counts.append(count)
        if len(self._recent) == _LOSSES_A_STACK:
            self._stacks.append(self._arithmetic.xp.stack(self._recent))
            self._recent = []

    def mean(self) -> float:
        """Return the mean over all examples: waits for the device.

        The sum is exact before its rounding (math.fsum), so it is the same on every host.
        """
        losses = [self._backend.to_numpy(loss) for loss in self._recent]
        stacked = [x for stack in self._stacks for x in self._backend.to_numpy(stack).tolist()]
        values = stacked + [float(loss) for loss in losses]
        total = math.fsum(x * n for x, n in zip(values, self._counts, strict=True))
        return total / sum(self._counts)


def training_epochs(
    mlp: MLP,
    parameters: Parameters,
    examples: Examples,
    *,
    backend: Any,
    optimizer: Optimizer,
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
    bound = get_arithmetic(arithmetic, backend.xp)
    state = optimizer.init(parameters)
    for number in range(1, epochs + 1):
        begin = time.perf_counter()
        record = LossRecord(bound, backend)
        order = _order(backend, seed, number, len(examples)) if shuffle else None
        for x, labels in examples.batches(bound, batch_size, order):
            loss, gradients = mlp.step_gradients(parameters, x, labels, bound)
            parameters, state = optimizer.update(gradients, state, parameters, bound)
            count = labels.shape[0]
            record.add(loss, count)
            if on_batch:
                on_batch(count)
        train_loss = record.mean()
        backend.synchronize()
        yield Epoch(number, parameters, state, train_loss, time.perf_counter() - begin)


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
    """Return {"loss", "accuracy"} over all examples, without changing anything."""
    bound = get_arithmetic(arithmetic, backend.xp)
    record = LossRecord(bound, backend)
    correct = None
    for x, labels in examples.batches(bound, batch_size):
        logits, _ = mlp.forward(parameters, x, bound)
        loss, _ = mlp.objective(bound, logits, labels)
        record.add(loss, labels.shape[0])
        right = correct_predictions(bound.xp, logits, labels)
        correct = right if correct is None else correct + right
    return {"loss": record.mean(), "accuracy": int(correct) / len(examples)}
