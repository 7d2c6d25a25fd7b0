"""Training: optimizers, the loop over epochs and batches, metrics, saved parameters."""

from pluggable_mlp.training.optimizers import OPTIMIZERS, SGD, Optimizer
from pluggable_mlp.training.train import Training, train

__all__ = ["OPTIMIZERS", "SGD", "Optimizer", "Training", "train"]
