"""Training: optimizers, the training step, the loop over epochs, metrics, saved parameters."""

from pluggable_mlp.training.callbacks import EarlyStopping
from pluggable_mlp.training.components import OPTIMIZERS, make_optimizer
from pluggable_mlp.training.divergence import DivergenceError
from pluggable_mlp.training.lbfgs import LBFGS
from pluggable_mlp.training.loop import Epoch
from pluggable_mlp.training.muon import Muon
from pluggable_mlp.training.optimizer import Optimizer
from pluggable_mlp.training.optimizers import SGD, Adagrad, Adam, AdamW, Lion, RMSprop
from pluggable_mlp.training.precision_warning import PrecisionWarning
from pluggable_mlp.training.schedules import SCHEDULES, make_schedule
from pluggable_mlp.training.step import TrainState, first_state, training_step
from pluggable_mlp.training.sweep import Sweep, SweptNetwork, sweep
from pluggable_mlp.training.train import Training, train
from pluggable_mlp.training.transforms import (
    L1,
    L2,
    AverageParameters,
    ClipByGlobalNorm,
    averaged_parameters,
)

__all__ = [
    "L1",
    "L2",
    "LBFGS",
    "OPTIMIZERS",
    "SCHEDULES",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "AverageParameters",
    "ClipByGlobalNorm",
    "DivergenceError",
    "EarlyStopping",
    "Epoch",
    "Lion",
    "Muon",
    "Optimizer",
    "PrecisionWarning",
    "RMSprop",
    "Sweep",
    "SweptNetwork",
    "TrainState",
    "Training",
    "averaged_parameters",
    "first_state",
    "make_optimizer",
    "make_schedule",
    "sweep",
    "train",
    "training_step",
]
