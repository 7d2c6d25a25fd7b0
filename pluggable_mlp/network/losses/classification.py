"""Losses of classifiers: one class of several, or yes and no for each output.

Shapes: z and dz are (…, batch, outputs); weights are (…, batch); the loss is (…).  A loss takes
logits and is stable for any finite ones: exp sees nothing above 0.  A maximum that loses NaN, as
on JAX's CPU (https://github.com/openxla/xla/issues/21461), does no harm here: what it is
subtracted from, and the sums over that, keep it.
"""

from dataclasses import dataclass
from typing import ClassVar

from pluggable_mlp.arithmetic import Arithmetic
from pluggable_mlp.arrays import Array
from pluggable_mlp.hyperparameters import keep_number
from pluggable_mlp.network.losses.contract import (
    TargetKind,
    average_of_elements,
    scaled,
    weighted_average,
)
from pluggable_mlp.network.losses.targets import one_hot, rows

__all__ = ["SigmoidCrossEntropy", "SoftmaxCrossEntropy", "softmax"]


def softmax(arithmetic: Arithmetic, z: Array) -> Array:
    """Return exp(z) / sum(exp(z)) over the last axis, for z (…, batch, classes)."""
    exponentials = arithmetic.exp(z - arithmetic.xp.max(z, axis=-1, keepdims=True))
    total = arithmetic.sum(exponentials, axis=-1, keepdims=True)
    return arithmetic.multiply(exponentials, arithmetic.reciprocal(total))


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
        self, arithmetic: Arithmetic, z: Array, targets: Array, weights: Array | None = None
    ) -> tuple[Array, Array]:
        """Return the loss (…) and dz for z (…, batch, classes), targets and weights (…, batch)."""
        t = self._smoothed(arithmetic, one_hot(arithmetic, targets, z))
        s = z - arithmetic.xp.max(z, axis=-1, keepdims=True)
        exponentials = arithmetic.exp(s)
        total = arithmetic.sum(exponentials, axis=-1, keepdims=True)
        probabilities = arithmetic.multiply(exponentials, arithmetic.reciprocal(total))
        at_target = arithmetic.sum(arithmetic.multiply(s, t), axis=-1)
        losses = arithmetic.log(total[..., 0]) - at_target
        loss, share = weighted_average(arithmetic, losses, weights)
        return loss, scaled(arithmetic, probabilities - t, share)

    def predict(self, arithmetic: Arithmetic, z: Array) -> Array:
        """Return the probability of each class, both (…, batch, classes)."""
        return softmax(arithmetic, z)

    def _smoothed(self, arithmetic: Arithmetic, t: Array) -> Array:
        if self.label_smoothing == 0.0:
            return t
        return arithmetic.multiply(t, 1.0 - self.label_smoothing) + (
            self.label_smoothing / t.shape[-1]
        )


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
        self, arithmetic: Arithmetic, z: Array, targets: Array, weights: Array | None = None
    ) -> tuple[Array, Array]:
        """Return the loss (…) and dz for z (…, batch, outputs), targets and weights (…, batch)."""
        xp = arithmetic.xp
        t = rows(arithmetic, targets, z)
        values = arithmetic.softplus(-xp.abs(z)) + (xp.maximum(z, 0.0) - arithmetic.multiply(t, z))
        return average_of_elements(arithmetic, values, arithmetic.sigmoid(z) - t, weights)

    def predict(self, arithmetic: Arithmetic, z: Array) -> Array:
        """Return the probability of yes for each output, both (…, batch, outputs)."""
        return arithmetic.sigmoid(z)
