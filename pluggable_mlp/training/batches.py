"""Mini-batches: a data set on the device, and which of its examples make each step.

Shapes: inputs (examples, in), integers with a scale or floats; labels (examples,) or rows
(examples, outputs); weights (examples,); a batch has the same with batch for examples.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from pluggable_mlp.arithmetic import Arithmetic
from pluggable_mlp.arrays import Array, DType, device_of
from pluggable_mlp.shortcuts import take

__all__ = ["Batch", "Examples"]

Batch = tuple[Any, Array, Array | None]


@dataclass(frozen=True)
class Examples:
    """Inputs and labels where they will be used.

    Parameters
    ----------
    inputs : array (examples, in)
        Floats of the training's dtype; or 8-bit integers, with a scale.
    labels : array (examples,) or (examples, outputs)
        What the loss is told.
    dtype
        The floating dtype of a batch.
    scale : float or None
        The power of two that integers are multiplied by, batch by batch.
    weights : array (examples,) or None
        How much each counts, of that dtype.
    """

    inputs: Array
    labels: Array
    dtype: DType
    scale: float | None = None
    weights: Array | None = None

    def __len__(self) -> int:
        return int(self.inputs.shape[0])

    def batches(
        self, arithmetic: Arithmetic, size: int, order: Array | None = None
    ) -> Iterator[Batch]:
        """Yield (factor of the inputs (batch, in), labels (batch, …), weights), the last smaller.

        The weights are (batch,), or None.  `order` (examples,) are the indices of the examples,
        on the device; None takes them as they come, and a batch is then a view.
        """
        for start in range(0, len(self), size):
            yield self.batch(arithmetic, start, size, order)

    def batch(
        self, arithmetic: Arithmetic, start: int, size: int, order: Array | None = None
    ) -> Batch:
        """Return the one of `batches` that begins at `start`."""
        stop = min(start + size, len(self))
        if order is None:
            return self._batch(arithmetic, itemgetter((slice(start, stop), ...)))
        return self._taken(arithmetic, order[start:stop])

    def gathered(
        self, arithmetic: Arithmetic, start: Any, size: int, order: Array | None = None
    ) -> Batch:
        """Return the batch of exactly `size` examples that begins at `start`, a 0-d array or int.

        For compiled functions: the standard has no slice that begins where an array says.
        """
        xp = arithmetic.xp
        if order is None and size == len(self):  # gathered, the whole data set would be copied
            return self._factor(arithmetic, self.inputs), self.labels, self.weights
        places = start + xp.arange(size, dtype=xp.int64, device=device_of(self.labels))
        return self._taken(arithmetic, places if order is None else take(xp, order, places))

    def _taken(self, arithmetic: Arithmetic, places: Array) -> Batch:
        return self._batch(arithmetic, lambda array: take(arithmetic.xp, array, places))

    def _batch(self, arithmetic: Arithmetic, choose: Callable[[Array], Array]) -> Batch:
        weights = None if self.weights is None else choose(self.weights)
        return self._factor(arithmetic, choose(self.inputs)), choose(self.labels), weights

    def _factor(self, arithmetic: Arithmetic, x: Array) -> Any:
        if self.scale is None:
            return arithmetic.factor(x)
        return arithmetic.fixed_point(x, self.scale, self.dtype)
