"""Mini-batches: a data set on the device, and which of its examples make each step.

Shapes: inputs (examples, in), integers with a scale or floats; labels (examples,) or rows
(examples, outputs); weights (examples,); a batch has the same with batch for examples.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pluggable_mlp.arithmetic import Arithmetic
from pluggable_mlp.arrays import Array, DType

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
        xp = arithmetic.xp
        for start in range(0, len(self), size):
            stop = min(start + size, len(self))
            chosen = None if order is None else order[start:stop]
            x, labels, weights = (
                None
                if array is None
                else array[start:stop, ...]
                if chosen is None
                else xp.take(array, chosen, axis=0)
                for array in (self.inputs, self.labels, self.weights)
            )
            yield self._factor(arithmetic, x), labels, weights

    def _factor(self, arithmetic: Arithmetic, x: Array) -> Any:
        if self.scale is None:
            return arithmetic.factor(x)
        return arithmetic.fixed_point(x, self.scale, self.dtype)
