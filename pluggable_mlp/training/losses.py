"""The losses of an epoch, which stay on the device until they are read, all at once.

Shapes: a batch's loss is (…), one number per network.  The loop decides what follows from a mean.
"""

import itertools
import math
from collections.abc import Sequence
from typing import TypeAlias, cast

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.backends import Backend
from pluggable_mlp.namespaces import unwrapped

Loss: TypeAlias = "float | list[Loss]"
"""On the host: a float, or nested lists of floats where parameters have leading axes."""

Recorded: TypeAlias = tuple[Sequence[Loss], Sequence[Loss]]
"""Losses of batches, and their counts of examples or total weights, perhaps of each network."""

NOTHING: Recorded = ((), ())

_LOSSES_A_STACK = 128  # a fixed number: some libraries compile a kernel for each length


class LossRecord:
    """Losses of consecutive batches, kept on the device until they are read."""

    def __init__(
        self, xp: Namespace, backend: Backend, before: Recorded = NOTHING, *, by_weight: bool = True
    ) -> None:
        """Begin with earlier records; a mean is `by_weight`, if there are weights."""
        self._xp, self._backend, self._by_weight = xp, backend, by_weight
        self._losses, self._weights = [*before[0]], [*before[1]]  # on the host
        self._recent: list[tuple[Array, Array | int]] = []
        self._stacks: list[list[Array]] = []  # of losses and weights

    def add(self, loss: Array, count: int, weight: Array | None = None) -> None:
        """Note the mean loss (…) of `count` examples, and their total weight (…), if any.

        Either all batches of a record have a weight, or none.
        """
        self._recent.append((loss, count if weight is None or not self._by_weight else weight))
        if len(self._recent) == _LOSSES_A_STACK:  # each alone takes a block of the device's memory
            self._stack()

    def add_stack(self, losses: Array, counts: list[int], weights: Array | None = None) -> None:
        """Note the losses (batches, …) of several batches, and their total weights (batches, …).

        They may be longer than the counts; the rest is ignored.  Waits for the device.
        """
        self.read()
        self._losses += self._on_host(losses, len(counts))
        is_counted = weights is None or not self._by_weight
        self._weights += counts if is_counted else self._on_host(weights, len(counts))

    def mean(self) -> Loss:
        """Return each network's mean over all examples: waits for the device."""
        return _weighted_mean(*self.read())

    def read(self) -> Recorded:
        """Return the losses, and the counts or weights, of all batches: waits for the device."""
        if self._recent:
            self._stack()
        if self._stacks:
            losses, weights = zip(*self._stacks, strict=True)
            self._stacks = []
            self._losses += self._joined(losses)
            self._weights += self._joined(weights)
        return [*self._losses], [*self._weights]

    def _stack(self) -> None:
        """Make one array of the recent losses, and of their weights."""
        columns = zip(*self._recent, strict=True)
        self._recent = []
        self._stacks.append(
            [column if isinstance(column[0], int) else self._stacked(column) for column in columns]
        )

    def _stacked(self, arrays: Sequence[Array]) -> Array:
        """Return arrays of one shape as one; stacking just one is costly for small data."""
        return arrays[0][None, ...] if len(arrays) == 1 else self._xp.stack(arrays)

    def _joined(self, parts: Sequence[Array]) -> list[Loss]:
        """Return stacks, or tuples of counts, as numbers or lists of them: waits for the device."""
        if isinstance(parts[0], tuple):
            return [*itertools.chain(*parts)]
        return self._on_host(parts[0] if len(parts) == 1 else self._xp.concat(parts))

    def _on_host(self, array: Array, count: int | None = None) -> Array:
        return self._backend.to_numpy(unwrapped(array))[:count].tolist()


def is_finite(loss: Loss) -> bool:
    """Return whether a loss is a finite number, or all of its networks' are."""
    return all(map(is_finite, loss)) if isinstance(loss, list) else math.isfinite(loss)


def _weighted_mean(losses: Sequence[Loss], weights: Sequence[Loss]) -> Loss:
    """Return the mean of numbers, or of lists of numbers place by place; NaN beyond all floats.

    The sum is exact before its rounding (math.fsum), so it is the same on every host.
    """
    if isinstance(losses[0], list):
        networks = range(len(losses[0]))
        return [
            _weighted_mean(*(_of_network(n, values) for values in (losses, weights)))
            for n in networks
        ]
    numbers, counts = cast(Sequence[float], losses), cast(Sequence[float], weights)
    products = [loss * count for loss, count in zip(numbers, counts, strict=True)]
    try:
        return math.fsum(products) / math.fsum(counts)
    except (OverflowError, ValueError):  # what fsum raises for a sum that is not finite
        return math.nan


def _of_network(index: int, values: Sequence[Loss]) -> list[Loss]:
    """Return a network's losses from lists with one per network; a number belongs to all."""
    return [value[index] if isinstance(value, list) else value for value in values]
