"""Dropout: a layer that sets random inputs to 0 in training.

Shapes: x, y, dy, dx are all (…, batch, features).
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from pluggable_mlp.arrays import Array, Namespace, device_of
from pluggable_mlp.network.layers import Backward, Draw, Shapes, TrainingStep
from pluggable_mlp.network.philox import random_numbers
from pluggable_mlp.registry import as_number

__all__ = ["Dropout"]

_RESOLUTION = 2**16  # of the random numbers, and so of the rate


@dataclass(frozen=True)
class Dropout:
    """Set each input to 0 with probability p in training, and divide the others by 1 - p.

    Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout: a simple way to prevent
    neural networks from overfitting" (JMLR 15, 2014), in the inverted form, which preserves the
    mean in training and is the identity in evaluation.  With a mask m that is 1 with probability
    1 - p and otherwise 0: y = x m / (1 - p), so dx = dy m / (1 - p).

    The mask depends only on (seed, stream, step) and the place (batch, features).  Networks along
    leading axes share it, so each gives the same result as by itself.

    Parameters
    ----------
    rate : float
        p, at least 0 and less than 1, rounded to the nearest multiple of 2^-16.
    stream : int, default 0
        The index of this dropout layer in the network, so that each has its own masks.

    Raises
    ------
    ValueError
        If the rate is out of its range.
    """

    rate: float
    stream: int = 0
    statistics: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", as_number("dropout", self.rate, at_least=0.0, below=1.0))
        if self._dropped == _RESOLUTION:
            raise ValueError(f"dropout is {self.rate}, expected a probability farther from 1")

    @property
    def _dropped(self) -> int:
        return round(self.rate * _RESOLUTION)

    def shapes(self) -> Shapes:
        """Return {}: nothing is learnt here."""
        return {}

    def initial(self, draw: Draw) -> dict[str, Any]:
        """Return {}."""
        del draw
        return {}

    def forward(
        self,
        xp: Namespace,
        parameters: dict[str, Array],
        x: Array,
        step: TrainingStep | None = None,
    ) -> tuple[Array, Backward]:
        """Return y = x m / (1 - p) in training and x in evaluation."""
        del parameters
        factors = None if step is None else self._factors(xp, x, step)

        def apply(array: Array) -> Array:
            return array if factors is None else array * factors

        def backward(dy: Array, *, with_dx: bool = True) -> tuple[Array, dict[str, Array]]:
            return (apply(dy) if with_dx else None), {}

        return apply(x), backward

    def _factors(self, xp: Namespace, x: Array, step: TrainingStep) -> Array:
        """Return 0 or 1 / (1 - p) for each (batch, features) of x (…, batch, features)."""
        batch, features = x.shape[-2:]
        numbers = random_numbers(
            xp,
            batch * features,
            seed=step.seed,
            stream=self.stream,
            step=step.number,
            device=device_of(x),
        )
        kept = xp.astype(xp.reshape(numbers, (batch, features)) >= self._dropped, x.dtype)
        return kept * (_RESOLUTION / (_RESOLUTION - self._dropped))
