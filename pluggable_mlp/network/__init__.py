"""The network: layers, activations, losses, initializers, each forward beside its backward."""

from pluggable_mlp.network.activations import ACTIVATIONS, ELU, Elementwise, LeakyReLU
from pluggable_mlp.network.categories import Categories
from pluggable_mlp.network.embeddings import Periodic, PiecewiseLinear
from pluggable_mlp.network.initializers import INITIALIZERS
from pluggable_mlp.network.layers import Rng
from pluggable_mlp.network.losses import (
    LOSSES,
    AbsoluteError,
    HuberLoss,
    PinballLoss,
    PoissonLoss,
    SigmoidCrossEntropy,
    SoftmaxCrossEntropy,
    SquaredError,
    average_of_elements,
)
from pluggable_mlp.network.members import TabM, TabMMini
from pluggable_mlp.network.mlp import MLP
from pluggable_mlp.network.normalization import NORMALIZATIONS, BatchNorm, LayerNorm

__all__ = [
    "ACTIVATIONS",
    "ELU",
    "INITIALIZERS",
    "LOSSES",
    "MLP",
    "NORMALIZATIONS",
    "AbsoluteError",
    "BatchNorm",
    "Categories",
    "Elementwise",
    "HuberLoss",
    "LayerNorm",
    "LeakyReLU",
    "Periodic",
    "PiecewiseLinear",
    "PinballLoss",
    "PoissonLoss",
    "Rng",
    "SigmoidCrossEntropy",
    "SoftmaxCrossEntropy",
    "SquaredError",
    "TabM",
    "TabMMini",
    "average_of_elements",
]
