"""Losses: what training makes small, each with its gradient.

Shapes: z, the network's outputs, and dz are (…, batch, outputs); targets are integer class
indices (…, batch) or one row an example (…, batch, outputs); the loss is (…), one number a
network, the mean over the batch.  A loss takes logits, is stable for any finite ones, and
returns its value with its gradient: both need the same exponentials.
"""

from collections.abc import Callable

from pluggable_mlp.arithmetic import Arithmetic
from pluggable_mlp.arrays import Array

__all__ = ["LOSSES", "Loss", "one_hot", "softmax", "softmax_cross_entropy"]

Loss = Callable[[Arithmetic, Array, Array], tuple[Array, Array]]


def one_hot(arithmetic: Arithmetic, targets: Array, like: Array) -> Array:
    """Return targets as rows (…, batch, classes) of the dtype of `like` (…, batch, classes).

    Integer class indices k (…, batch) become rows with 1 at k, counted from 0, and 0 elsewhere;
    rows come back in that dtype.
    """
    xp = arithmetic.xp
    if xp.isdtype(targets.dtype, "integral") and targets.ndim < like.ndim:
        classes = xp.arange(like.shape[-1], dtype=targets.dtype, device=like.device)
        targets = xp.expand_dims(targets, axis=-1) == classes
    return xp.astype(targets, like.dtype, copy=False)


def softmax(arithmetic: Arithmetic, z: Array) -> Array:
    """Return exp(z) / sum(exp(z)) over the last axis, for z (…, batch, classes)."""
    exponentials = arithmetic.exp(z - arithmetic.xp.max(z, axis=-1, keepdims=True))
    total = arithmetic.sum(exponentials, axis=-1, keepdims=True)
    return arithmetic.multiply(exponentials, arithmetic.reciprocal(total))


def softmax_cross_entropy(arithmetic: Arithmetic, z: Array, targets: Array) -> tuple[Array, Array]:
    """Return the mean of -log softmax(z)[target] over the batch, and its gradient.

    With s = z - max(z), t the one-hot target row and n the batch size,

        loss = 1/n sum over examples of ( log(sum exp(s)) - sum s t )
        dz   = 1/n ( softmax(z) - t )

    since the derivative of log(sum exp(s)) is softmax(z) (the maximum cancels).  Rows of
    probabilities are targets, too: they must sum to one.

    Parameters
    ----------
    arithmetic
        How to round.
    z : array (…, batch, classes)
        Logits.
    targets : array (…, batch), integer, or (…, batch, classes)
        Class indices from 0, or one-hot rows.

    Returns
    -------
    loss : array (…)
    dz : array (…, batch, classes)
    """
    n = z.shape[-2]
    t = one_hot(arithmetic, targets, z)
    s = z - arithmetic.xp.max(z, axis=-1, keepdims=True)
    exponentials = arithmetic.exp(s)
    total = arithmetic.sum(exponentials, axis=-1, keepdims=True)
    probabilities = arithmetic.multiply(exponentials, arithmetic.reciprocal(total))
    entropies = arithmetic.log(total[..., 0]) - arithmetic.sum(arithmetic.multiply(s, t), axis=-1)
    return arithmetic.mean(entropies, axis=-1), arithmetic.multiply(probabilities - t, 1.0 / n)


LOSSES: dict[str, Loss] = {"softmax_cross_entropy": softmax_cross_entropy}
