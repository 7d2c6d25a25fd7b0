"""Mini-batches of a data set on the device.

Shapes: inputs (examples, in), integers with a scale or floats; targets (examples,) or rows
(examples, outputs); sample_weight and order (examples,); a batch has the same with
batch for examples.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any

from pluggable_mlp.arrays import Array, DType, Namespace, device_of
from pluggable_mlp.shortcuts import take

__all__ = ["Batch", "Examples"]

Batch = tuple[Array, Array, Array | None]


@dataclass(frozen=True)
class Examples:
    """Inputs and targets on the device of the training.

    Parameters
    ----------
    inputs : array (examples, in)
        Floats of the training's dtype; or 8-bit integers, with a scale.
    targets : array (examples,) or (examples, outputs)
    dtype
        The floating dtype of a batch.
    scale : float or None
        A power of two by which integers are multiplied, batch by batch.
    sample_weight : array (examples,) or None
        Of that dtype.
    order : array of int64 (examples,) or None
        The indices of the examples as they are visited, on the device; None: as they come.
    """

    inputs: Array
    targets: Array
    dtype: DType
    scale: float | None = None
    sample_weight: Array | None = None
    order: Array | None = None

    def __len__(self) -> int:
        return int(self.inputs.shape[0])

    @property
    def block_size(self) -> int:
        """How many examples are on the device together: all."""
        return len(self)

    @property
    def kind(self) -> "Examples":
        """Examples without arrays, of the same dtype and scale."""
        return self.with_arrays([None] * 4)

    @property
    def arrays(self) -> tuple[Array, Array, Array | None, Array | None]:
        """Inputs, targets, sample_weight and order: what a compiled function takes as arguments."""
        return self.inputs, self.targets, self.sample_weight, self.order

    def with_arrays(self, arrays: Any) -> "Examples":
        """Return examples of the same dtype and scale with other `arrays`."""
        inputs, targets, sample_weight, order = arrays
        return replace(
            self, inputs=inputs, targets=targets, sample_weight=sample_weight, order=order
        )

    def batches(self, xp: Namespace, size: int) -> Iterator[Batch]:
        """Yield (inputs (batch, in), targets (batch, …), sample_weight), the last smaller.

        The sample_weight is (batch,), or None.  Without an order a batch is a view.
        """
        for start in range(0, len(self), size):
            yield self.batch(xp, start, size)

    def batch(self, xp: Namespace, start: int, size: int) -> Batch:
        """Return the one of `batches` that begins at `start`."""
        return self.between(xp, start, min(start + size, len(self)))

    def between(self, xp: Namespace, start: int, stop: int) -> Batch:
        """Return the examples from `start` to before `stop`."""
        if self.order is None:
            return self._batch(xp, itemgetter((slice(start, stop), ...)))
        return self._taken(xp, self.order[start:stop])

    def gathered(self, xp: Namespace, start: Any, size: int) -> Batch:
        """Return the batch of exactly `size` examples that begins at `start`, a 0-d array or int.

        For compiled functions: in the standard, slices cannot begin at an array.
        """
        if self.order is None and size == len(self):  # gathered, the whole data set would be copied
            return self._floats(xp, self.inputs), self.targets, self.sample_weight
        places = start + xp.arange(size, dtype=xp.int64, device=device_of(self.targets))
        return self._taken(xp, places if self.order is None else take(xp, self.order, places))

    def _taken(self, xp: Namespace, places: Array) -> Batch:
        return self._batch(xp, lambda array: take(xp, array, places))

    def _batch(self, xp: Namespace, choose: Callable[[Array], Array]) -> Batch:
        sample_weight = None if self.sample_weight is None else choose(self.sample_weight)
        return self._floats(xp, choose(self.inputs)), choose(self.targets), sample_weight

    def _floats(self, xp: Namespace, x: Array) -> Array:
        if self.scale is None:
            return x
        x = xp.astype(x, self.dtype)
        x *= self.scale
        return x
