"""Losses: what training makes small, each with its gradient and its link.

Shapes: z, the network's outputs, and dz are (…, batch, outputs); targets have that shape, or
(…, batch): class indices, or the targets of a single output; sample_weight is (…, batch); the
loss is (…), one number per network.  A loss is a frozen dataclass: called on (xp, z, targets,
sample_weight) it returns its value with its gradient, as both need the same exponentials;
`predict` makes predictions of z; `targets` says what it is compared with.  Adding one is adding
a class to a file here and a line to `LOSSES`.
"""

from pluggable_mlp.network.losses.classification import (
    SigmoidCrossEntropy,
    SoftmaxCrossEntropy,
    softmax,
)
from pluggable_mlp.network.losses.contract import Loss, TargetKind
from pluggable_mlp.network.losses.regression import Absolute, Huber, Poisson, Quantile, Squared
from pluggable_mlp.network.losses.targets import one_hot, rows

__all__ = [
    "LOSSES",
    "Absolute",
    "Huber",
    "Loss",
    "Poisson",
    "Quantile",
    "SigmoidCrossEntropy",
    "SoftmaxCrossEntropy",
    "Squared",
    "TargetKind",
    "one_hot",
    "rows",
    "softmax",
    "softmax_cross_entropy",
]

softmax_cross_entropy = SoftmaxCrossEntropy()

LOSSES: dict[str, Loss] = {
    "softmax_cross_entropy": softmax_cross_entropy,
    "sigmoid_cross_entropy": SigmoidCrossEntropy(),
    "squared": Squared(),
    "absolute": Absolute(),
    "huber": Huber(),
    "quantile": Quantile(),
    "poisson": Poisson(),
}
