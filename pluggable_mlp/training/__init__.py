"""Training: optimizers, the loop over epochs and batches, metrics, saved parameters."""

from pluggable_mlp.training.loop import DivergenceError
from pluggable_mlp.training.lost_numbers import PrecisionWarning
from pluggable_mlp.training.optimizers import (
    LBFGS,
    OPTIMIZERS,
    SGD,
    Adam,
    AdamW,
    Lion,
    Muon,
    Optimizer,
    RMSprop,
    averaged_parameters,
    make_optimizer,
)
from pluggable_mlp.training.own_loop import TrainState, first_state, training_step
from pluggable_mlp.training.schedules import SCHEDULES, make_schedule
from pluggable_mlp.training.train import Training, train

__all__ = [
    "LBFGS",
    "OPTIMIZERS",
    "SCHEDULES",
    "SGD",
    "Adam",
    "AdamW",
    "DivergenceError",
    "Lion",
    "Muon",
    "Optimizer",
    "PrecisionWarning",
    "RMSprop",
    "TrainState",
    "Training",
    "averaged_parameters",
    "first_state",
    "make_optimizer",
    "make_schedule",
    "train",
    "training_step",
]
