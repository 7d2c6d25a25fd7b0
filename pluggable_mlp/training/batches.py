"""Mini-batches: a data set on the device, and which of its examples make each step.

Shapes: inputs (examples, in), integers with a scale or floats; labels (examples,) or rows
(examples, classes); a batch has the same with batch for examples.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pluggable_mlp.arithmetic import Arithmetic
from pluggable_mlp.arrays import Array, DType

__all__ = ["Examples"]


@dataclass(frozen=True)
class Examples:
    """Inputs and labels where they will be used.

    Parameters
    ----------
    inputs : array (examples, in)
        Floats of the training's dtype; or 8-bit integers, with a scale.
    labels : array (examples,) or (examples, classes)
        Class indices or one-hot rows.
    dtype
        The floating dtype of a batch.
    scale : float or None
        The power of two that integers are multiplied by, batch by batch.
    """

    inputs: Array
    labels: Array
    dtype: DType
    scale: float | None = None

    def __len__(self) -> int:
        return int(self.inputs.shape[0])

    def batches(
        self, arithmetic: Arithmetic, size: int, order: Array | None = None
    ) -> Iterator[tuple[Any, Array]]:
        """Yield (factor of the inputs (batch, in), labels (batch, …)), the last one smaller.

        `order` (examples,) are the indices of the examples, on the device; None takes them as
        they come, and a batch is then a view.
        """
        xp = arithmetic.xp
        for start in range(0, len(self), size):
            stop = min(start + size, len(self))
            if order is None:
                x, labels = self.inputs[start:stop, ...], self.labels[start:stop, ...]
            else:
                chosen = order[start:stop]
                x = xp.take(self.inputs, chosen, axis=0)
                labels = xp.take(self.labels, chosen, axis=0)
            yield self._factor(arithmetic, x), labels

    def _factor(self, arithmetic: Arithmetic, x: Array) -> Any:
        if self.scale is None:
            return arithmetic.factor(x)
        return arithmetic.fixed_point(x, self.scale, self.dtype)
