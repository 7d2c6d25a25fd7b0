"""Gradients of a batch that is too large for the memory: summed over parts of it.

Shapes: x (batch, in), targets (batch,) or (batch, outputs), sample_weight (batch,).
"""

from dataclasses import dataclass, replace
from typing import Any

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.network.layers import Rng
from pluggable_mlp.network.mlp import MLP, Parameters
from pluggable_mlp.training.trees import map_arrays

__all__ = ["in_micro_batches"]


@dataclass(frozen=True)
class _InMicroBatches:
    """A network that takes the gradient of a batch from one micro-batch at a time.

    The loss of a batch is the mean of those of its micro-batches, weighted by their examples, or
    by the sums of their sample_weight; so is its gradient.  Dropout drops what it drops of the
    whole batch.  Batch normalization measures each micro-batch by itself.

    Parameters
    ----------
    mlp : MLP
        What computes each micro-batch, and does all else; maybe of a subclass.
    micro_batch : int
        How many examples are computed at once.
    """

    mlp: MLP
    micro_batch: int

    def __getattr__(self, name: str) -> Any:
        return getattr(self.mlp, name)

    def loss_gradients_and_buffers(
        self,
        xp: Namespace,
        parameters: Parameters,
        buffers: Parameters,
        x: Array,
        targets: Array,
        sample_weight: Array | None = None,
        rng: Rng | None = None,
        gradient_scale: float | None = None,
    ) -> tuple[Array, Parameters, Parameters]:
        """Return what that of the network does, of all micro-batches together."""
        count = x.shape[0]
        whole: Any = count
        if sample_weight is not None:
            total = xp.sum(sample_weight)
            whole = xp.where(total > 0.0, total, 1.0)
        loss: Any = None
        gradients: Parameters = []
        for start in range(0, count, self.micro_batch):
            rows = slice(start, min(start + self.micro_batch, count))
            own = None if sample_weight is None else sample_weight[rows]
            size: Any = rows.stop - start if own is None else xp.sum(own)
            share = size * (1.0 / whole)
            part, of_part, buffers = self.mlp.loss_gradients_and_buffers(
                xp,
                parameters,
                buffers,
                x[rows, ...],
                targets[rows, ...],
                own,
                None if rng is None else replace(rng, first=start),
                share if gradient_scale is None else share * gradient_scale,
            )
            loss = part * share if loss is None else loss + part * share
            gradients = map_arrays(_added, gradients, of_part) if gradients else of_part
        return loss, gradients, buffers


def _added(total: Array, part: Array) -> Array:
    total += part  # made for this batch
    return total


def in_micro_batches(mlp: MLP, micro_batch: int | None) -> MLP:
    """Return the network that takes its gradients so; itself where that is None."""
    if micro_batch is None:
        return mlp
    parts: Any = _InMicroBatches(mlp, micro_batch)
    network: MLP = parts
    return network
