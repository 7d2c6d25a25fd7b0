"""Mini-batches of a data set on the device.

Shapes: inputs (examples, in), integers with a scale or floats; targets (examples,) or rows
(examples, outputs); sample_weight and order (examples,); a batch has the same with
batch for examples.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from pluggable_mlp.arrays import Array, DType, Namespace
from pluggable_mlp.shortcuts import rows_from, take

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
        return self.batch_of(xp, start, min(size, len(self) - start))

    def batch_of(self, xp: Namespace, start: int | Array, size: int) -> Batch:
        """Return the batch of exactly `size` examples that begins at `start`, a number or 0-d."""
        return self.floats_of(xp, self.rows_of(xp, start, size))

    def rows_of(self, xp: Namespace, start: int | Array, size: int) -> Batch:
        """Return the rows of a batch as they are, with integers."""
        arrays = self.inputs, self.targets, self.sample_weight
        if self.order is not None:
            places = rows_from(xp, self.order, start, size)
            x, targets, sample_weight = (
                None if of is None else take(xp, of, places) for of in arrays
            )
        elif size == len(self):  # a compiler would copy the whole data set
            return arrays
        else:
            x, targets, sample_weight = (
                None if of is None else rows_from(xp, of, start, size) for of in arrays
            )
        return x, targets, sample_weight

    def floats_of(self, xp: Namespace, rows: Batch) -> Batch:
        """Return a batch of such rows: integers become floats."""
        x, targets, sample_weight = rows
        if self.scale is not None:
            x = xp.astype(x, self.dtype)
            x *= self.scale
        return x, targets, sample_weight
