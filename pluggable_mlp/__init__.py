"""One multilayer perceptron, gradients by hand, on any array library: the public names."""

from pluggable_mlp.backends import BackendUnavailable, available_backends, get_backend
from pluggable_mlp.network.mlp import MLP
from pluggable_mlp.training import SGD, Training, make_optimizer, make_schedule, train

__all__ = [
    "MLP",
    "SGD",
    "BackendUnavailable",
    "Training",
    "available_backends",
    "get_backend",
    "make_optimizer",
    "make_schedule",
    "train",
]

__version__ = "0.1.0"
