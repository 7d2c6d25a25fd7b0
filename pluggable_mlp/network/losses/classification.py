"""Losses of classifiers: one class of several, or yes and no for each output.

Shapes: z and dz are (…, batch, outputs); sample_weight is (…, batch); the loss is (…).  A loss
takes logits and is stable for any finite ones: exp sees nothing above 0.  A maximum that loses
NaN, as on JAX's CPU (https://github.com/openxla/xla/issues/21461), does no harm here: what it is
subtracted from, and the sums over that, keep it.
"""

from dataclasses import dataclass
from typing import ClassVar

from pluggable_mlp import special
from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.hyperparameters import keep_number
from pluggable_mlp.network.losses.contract import (
    TargetKind,
    average_of_elements,
    scaled,
    weighted_average,
)
from pluggable_mlp.network.losses.targets import one_hot, rows

__all__ = ["SigmoidCrossEntropy", "SoftmaxCrossEntropy", "softmax"]


def softmax(xp: Namespace, z: Array) -> Array:
    """Return exp(z) / sum(exp(z)) over the last axis, for z (…, batch, classes)."""
    exponentials = xp.exp(z - xp.max(z, axis=-1, keepdims=True))
    return exponentials * (1.0 / xp.sum(exponentials, axis=-1, keepdims=True))


@dataclass(frozen=True)
class SoftmaxCrossEntropy:
    """The mean of -log softmax(z)[target]: one class of several.

    With s = z - max(z) and t the target row, an example's loss and its derivative are

        l    = log(sum exp(s)) - sum s t
        l'   = softmax(z) - t

    since the derivative of log(sum exp(s)) is softmax(z) (the maximum cancels, as the row t
    sums to one).  Targets are class indices from 0, integers (…, batch), or rows of
    probabilities (…, batch, classes).

    Parameters
    ----------
    label_smoothing : float, default 0.0
        e of Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, "Rethinking the Inception architecture"
        (CVPR 2016), section 7: t becomes (1 - e) t + e / classes.  From 0 to 1, without 1.

    Raises
    ------
    ValueError
        If label_smoothing is out of its range.
    """

    label_smoothing: float = 0.0
    targets: ClassVar[TargetKind] = "classes"

    def __post_init__(self) -> None:
        keep_number(self, "label_smoothing", at_least=0.0, below=1.0)

    def __call__(
        self, xp: Namespace, z: Array, targets: Array, sample_weight: Array | None = None
    ) -> tuple[Array, Array]:
        """Return the loss (…) and dz (…, batch, classes)."""
        t = self._smoothed(one_hot(xp, targets, z))
        s = z - xp.max(z, axis=-1, keepdims=True)
        exponentials = xp.exp(s)
        total = xp.sum(exponentials, axis=-1, keepdims=True)
        losses = xp.log(total[..., 0]) - xp.sum(s * t, axis=-1)
        loss, share = weighted_average(xp, losses, sample_weight)
        return loss, scaled(xp, exponentials * (1.0 / total) - t, share)

    def predict(self, xp: Namespace, z: Array) -> Array:
        """Return the probability of each class, both (…, batch, classes)."""
        return softmax(xp, z)

    def _smoothed(self, t: Array) -> Array:
        if self.label_smoothing == 0.0:
            return t
        return t * (1.0 - self.label_smoothing) + self.label_smoothing / t.shape[-1]


@dataclass(frozen=True)
class SigmoidCrossEntropy:
    """The mean of -t log p - (1 - t) log(1 - p) with p = sigmoid(z): yes or no, per output.

    With one output it is binary classification, with several multilabel.  As log p is
    -softplus(-z) and log(1 - p) is -softplus(z),

        l    = softplus(z) - t z = softplus(-|z|) + (max(z, 0) - t z)
        l'   = sigmoid(z) - t

    where the last form of l loses nothing to cancellation.  An example's loss is the mean over
    its outputs, as in PyTorch and Keras (scikit-learn's network sums them).  Targets are rows
    (…, batch, outputs) from 0 to 1; (…, batch) will do for one output.
    """

    targets: ClassVar[TargetKind] = "labels"

    def __call__(
        self, xp: Namespace, z: Array, targets: Array, sample_weight: Array | None = None
    ) -> tuple[Array, Array]:
        """Return the loss (…) and dz (…, batch, outputs)."""
        t = rows(xp, targets, z)
        values = special.softplus(xp, -xp.abs(z)) + (xp.maximum(z, 0.0) - t * z)
        return average_of_elements(xp, values, special.sigmoid(xp, z) - t, sample_weight)

    def predict(self, xp: Namespace, z: Array) -> Array:
        """Return the probability of yes for each output, both (…, batch, outputs)."""
        return special.sigmoid(xp, z)
