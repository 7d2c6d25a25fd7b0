"""Dropout whose rate varies: from step to step, or between networks along leading axes.

The rates are numbers that a step is given, so that one compiled step serves all of them.
"""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self, cast

from pluggable_mlp.arrays import Array
from pluggable_mlp.network.layers import Dropout
from pluggable_mlp.network.passes import LayeredNetwork

if TYPE_CHECKING:
    from pluggable_mlp.network.mlp import MLP


@dataclass(frozen=True)
class VariableDropout(Dropout):
    """The `Dropout` whose rate is that of a step, or of each of the networks along leading axes.

    Parameters
    ----------
    rate : float
        Of no importance.
    stream : int, default 0
    members : int, default 1
        As for `Dropout`.
    own_numbers : tuple of number, or of array (…, 1, 1)
        The `numbers` of the `Dropout` of this step, or of each network.
    """

    own_numbers: tuple[Array, Array] = (0, 1.0)

    @property
    def numbers(self) -> tuple[Array, Array]:
        """Those of the step, or of the networks."""
        return self.own_numbers


class WithVariableDropout(LayeredNetwork):
    """A network whose rate of dropout may be a function of the count of updates."""

    dropout: float | Callable[[int], float]

    @property
    def numbers(self) -> tuple[Any, ...]:
        """Those of dropout at first, where its rate is a function."""
        return self.numbers_at(0) if callable(self.dropout) else ()

    @property
    def varies(self) -> bool:
        """Whether the rate is a function."""
        return callable(self.dropout)

    def numbers_at(self, t: int) -> tuple[Any, ...]:
        """Return the numbers of dropout in the step that follows t others, where they vary."""
        return Dropout(self.dropout(t)).numbers if callable(self.dropout) else self.numbers

    def with_numbers(self, numbers: tuple[Array, ...]) -> Self:
        """Return the network with other numbers of dropout, where they vary."""
        if not numbers:
            return self
        other = copy(self)
        layers = tuple(
            replace(layer, own_numbers=numbers) if isinstance(layer, VariableDropout) else layer
            for layer in self.layers
        )
        object.__setattr__(other, "layers", layers)
        return other

    @property
    def general(self) -> Self:
        """The network with the same numbers whatever its rates are."""
        if not callable(self.dropout):
            return super().general
        made = replace(cast("MLP", self), dropout=any_rate)
        return cast("Self", made.with_numbers((1.0,) * len(self.numbers)))


def any_rate(t: int) -> float:
    """Return a rate of dropout, in the place of that of each step."""
    return 0.0
