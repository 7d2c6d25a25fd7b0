"""The losses of an epoch, which stay on the device until they are read, all at once.

Shapes: a batch's loss is (…), one number per network.  What follows from a mean is decided by the
loop.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.backends import Backend
from pluggable_mlp.compile_cache import compiled_once
from pluggable_mlp.namespaces import unwrapped

Loss: TypeAlias = "float | list[Loss]"
"""On the host: a float, or nested lists of floats where parameters have leading axes."""

Recorded: TypeAlias = tuple[Sequence[Loss], Sequence[Loss]]
"""Losses of batches, and their counts of examples or total weights, perhaps of each network."""

NOTHING: Recorded = ((), ())

Stack = Callable[[list[Array]], Array]

_LOSSES_A_STACK = 128  # a fixed number: some libraries compile a kernel for each length


def total_weight(xp: Namespace, sample_weight: Array | None) -> Array | None:
    """Return the sum (…) of the weights (…, batch) of a batch, if it has any."""
    return None if sample_weight is None else xp.sum(sample_weight, axis=-1)


class LossRecord:
    """Losses of consecutive batches, kept on the device until they are read."""

    def __init__(
        self, xp: Namespace, backend: Backend, before: Recorded = NOTHING, *, by_weight: bool = True
    ) -> None:
        """Begin with what was recorded before; a mean is `by_weight`, if there are weights."""
        self._before, self._by_weight = before, by_weight
        self._losses = _Kept(xp, backend)
        self._weights: _Kept | None = None
        self._counts: list[int] = []

    def add(self, loss: Array, count: int, weight: Array | None = None) -> None:
        """Note the mean loss (…) of `count` examples, and their total weight (…), if any.

        Either all batches of a record have a weight, or none.
        """
        self._losses.add(loss)
        if weight is None or not self._by_weight:
            self._counts.append(count)
        else:
            self._kept_weights().add(weight)

    def add_stack(self, losses: Array, counts: list[int], weights: Array | None = None) -> None:
        """Note the losses (batches, …) of several batches, and their total weights (batches, …).

        They may hold more than there are counts; the rest means nothing.  Waits for the device.
        """
        self._losses.add_stack(losses, len(counts))
        if weights is None or not self._by_weight:
            self._counts += counts
        else:
            self._kept_weights().add_stack(weights, len(counts))

    def _kept_weights(self) -> "_Kept":
        if self._weights is None:
            self._weights = self._losses.like()
        return self._weights

    def mean(self) -> Loss:
        """Return the mean over all examples, of each network: waits for the device."""
        return _weighted_mean(*self.read())

    def read(self) -> Recorded:
        """Return the losses, and the counts or weights, of all batches: waits for the device."""
        losses, weights = self._before
        own = self._counts if self._weights is None else self._weights.read()
        return [*losses, *self._losses.read()], [*weights, *own]


class _Kept:
    """Arrays of one shape that stay on the device, stacked, until they are read all at once."""

    def __init__(self, xp: Namespace, backend: Backend) -> None:
        self._xp, self._backend = xp, backend
        self._recent: list[Array] = []
        self._stacks: list[Array] = []
        self._numbers: list[Loss] = []  # what was read, which came before

    def like(self) -> "_Kept":
        """Return another one, for arrays of the same library."""
        return _Kept(self._xp, self._backend)

    def add(self, array: Array) -> None:
        """Keep an array."""
        self._recent.append(array)
        if len(self._recent) == _LOSSES_A_STACK:
            self._stack_recent()

    def add_stack(self, stack: Array, count: int) -> None:
        """Read the first arrays of a stack: waits for the device."""
        self.read()
        self._numbers += self._on_host(stack)[:count].tolist()

    def read(self) -> list[Loss]:
        """Return all of them as numbers or lists of numbers: waits for the device, once."""
        if len(self._recent) == 1 and not self._stacks:  # small data feel what a stack costs
            self._numbers.append(self._on_host(self._recent.pop()).tolist())
        if self._recent:
            self._stack_recent()
        if self._stacks:
            whole = self._stacks[0] if len(self._stacks) == 1 else self._xp.concat(self._stacks)
            self._numbers += self._on_host(whole).tolist()
            self._stacks = []
        return self._numbers

    def _on_host(self, array: Array) -> Array:
        return self._backend.to_numpy(unwrapped(array))

    def _stack_recent(self) -> None:
        stack = _stack_function(self._xp, self._backend)
        self._stacks.append(stack(self._recent))
        self._recent = []


def _stack_function(xp: Namespace, backend: Backend) -> Stack:
    """Return the function that stacks losses: one call where the library compiles."""
    function: Stack = xp.stack
    if xp is backend.xp and getattr(backend, "queued", False) and hasattr(backend, "compile"):
        owner = type(backend), backend.device
        function = compiled_once(backend.compile, owner, partial(_stacked, xp)) or function
    return function


def _stacked(xp: Namespace, arrays: list[Array]) -> Array:
    return xp.stack(arrays)


def is_finite(loss: Loss) -> bool:
    """Return whether a loss is a finite number, or all of its networks' are."""
    return all(map(is_finite, loss)) if isinstance(loss, list) else math.isfinite(loss)


def _weighted_mean(losses: Sequence[Loss], weights: Sequence[Loss]) -> Loss:
    """Return the mean of numbers, or of lists of numbers place by place; NaN beyond all floats.

    The sum is exact before its rounding (math.fsum), so it is the same on every host.
    """
    if isinstance(losses[0], list):
        networks = range(len(losses[0]))
        return [_weighted_mean(*(_of_network(n, of) for of in (losses, weights))) for n in networks]
    numbers: Any = losses  # floats; a cast would be a call for each epoch
    counts: Any = weights
    products = [loss * count for loss, count in zip(numbers, counts, strict=True)]
    try:
        return math.fsum(products) / math.fsum(counts)
    except (OverflowError, ValueError):  # what fsum raises for a sum that is not finite
        return math.nan


def _of_network(index: int, values: Sequence[Loss]) -> list[Loss]:
    """Return those of a network, of lists with one for each; a number is that of all."""
    return [of[index] if isinstance(of, list) else of for of in values]
