"""Networks of one form along a leading axis, whose learning rates, decays and dropout differ.

What differs are arrays along that axis: coefficients of the optimizer (networks,), numbers of
dropout (networks, 1, 1) and words of the seed (networks, 1), on the device.  Formulas are those of
one network, and so is the result of each.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Self, TypeAlias

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.backends import Backend
from pluggable_mlp.namespaces.reproducible import ReproducibleNamespace
from pluggable_mlp.network.layers import Dropout
from pluggable_mlp.network.philox import Seed, as_words
from pluggable_mlp.randomness import permutations
from pluggable_mlp.training.components import AnyOptimizer, without_rate
from pluggable_mlp.training.examples import AnyExamples, Examples
from pluggable_mlp.training.optimizer import (
    Coefficients,
    Optimizer,
    Slots,
    UpdateArguments,
    columns,
)
from pluggable_mlp.training.streaming import Order, seeded_order
from pluggable_mlp.training.trees import Tree

NumberMaker: TypeAlias = Callable[[Any], Array]


def number_maker(xp: Namespace, backend: Backend, dtype: str) -> NumberMaker:
    """Return what makes arrays of Python floats, for a namespace of this dtype.

    The reproducible one rounds a float beside an array, after it was computed in float64.
    """
    kind = "float64" if isinstance(xp, ReproducibleNamespace) else dtype
    return partial(backend.asarray, dtype=kind)


@dataclass(frozen=True)
class StackedOptimizer(Optimizer):
    """The optimizers of several networks, which differ in their coefficients alone.

    Parameters
    ----------
    optimizer : Optimizer
        Whose update is that of all.
    each : tuple of Optimizer
        That of each network.
    as_array : callable
        Makes an array (networks,) on the device of a list of floats.
    """

    optimizer: Optimizer
    each: tuple[Optimizer, ...] = field(compare=False, repr=False)
    as_array: NumberMaker = field(compare=False, repr=False)

    @classmethod
    def of(cls, each: Sequence[AnyOptimizer], as_array: NumberMaker) -> Self:
        """Return the one of these optimizers, which differ in learning rate and weight decay."""
        own = [of for of in each if isinstance(of, Optimizer)]
        first = without_rate(own[0])
        assert isinstance(first, Optimizer)
        return cls(first, tuple(own), as_array)

    def coefficients_at(self, t: int) -> Coefficients:
        """Return arrays (networks,)."""
        return columns([optimizer.coefficients_at(t) for optimizer in self.each], self.as_array)

    def coefficients_of(self, counts: range) -> Coefficients:
        """Return a list of each coefficient, of lists of those of each network."""
        rows = [[optimizer.coefficients_at(t) for optimizer in self.each] for t in counts]
        return columns([columns(row) for row in rows])

    def gradient_scale(self, c: Coefficients) -> Array | None:
        """Return that of the optimizer, (networks, 1, 1), or None."""
        scale: Array | None = self.optimizer.gradient_scale(c)
        return None if scale is None else scale[..., None, None]

    def initial_slots(self, parameters: Tree) -> Slots:
        """Return the optimizer's."""
        return self.optimizer.initial_slots(parameters)

    def update(self, before: UpdateArguments) -> tuple[Tree, Slots]:
        """Return the optimizer's."""
        return self.optimizer.update(before)


def dropout_of_networks(
    rates: Sequence[float], backend: Backend, as_array: NumberMaker
) -> tuple[Array, Array]:
    """Return the numbers (networks, 1, 1) of each network's `Dropout`."""
    dropped, factors = zip(*(Dropout(rate).numbers for rate in rates), strict=True)
    return (
        backend.asarray([[[number]] for number in dropped], dtype="int64"),
        as_array([[[factor]] for factor in factors]),
    )


def seed_of_networks(seeds: Sequence[int], backend: Backend) -> Seed:
    """Return the seed of dropout and noise: one, or the words (networks, 1) of each network."""
    if len(set(seeds)) == 1:
        return seeds[0]
    low, high = zip(*map(as_words, seeds), strict=True)
    lower, upper = (backend.asarray([[word] for word in of], dtype="int64") for of in (low, high))
    return lower, upper


def order_of_networks(seeds: Sequence[int] | None) -> Order:
    """Return the order of each network by its own seed; None: as the examples come."""
    if seeds is None or len(set(seeds)) == 1:
        return seeded_order(None if seeds is None else seeds[0])
    return partial(_orders_of_epochs, seeds)


def _orders_of_epochs(
    seeds: Sequence[int],
    examples: AnyExamples,
    first: tuple[int, int],
    epochs: int | None,
    *,
    backend: Backend,
    batch_size: int,
) -> Iterator[Examples]:
    """See `Order`; all examples are on the device."""
    assert isinstance(examples, Examples)
    assert epochs is not None
    count = len(examples)
    for epoch in range(first[0], epochs + 1):
        if batch_size >= count:  # a single batch needs no order
            yield examples
            continue
        drawn = permutations(seeds, "shuffle", epoch, count, batch_size)
        yield replace(examples, order=backend.asarray(drawn))
