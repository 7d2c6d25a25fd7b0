"""One multilayer perceptron with hand-derived gradients on any array library: the public names.

They are imported when first used: the command line is part of this package, and must be able to
answer Ctrl-C before NumPy is imported.
"""

TYPE_CHECKING = False  # for type checkers it is true, and `typing` takes long to import
if TYPE_CHECKING:
    from pluggable_mlp.backends import (
        Backend,
        BackendUnavailable,
        available_backends,
        get_backend,
    )
    from pluggable_mlp.consistency import Report, format_report
    from pluggable_mlp.consistency.compare import compare
    from pluggable_mlp.data import DataError, Dataset, DataWarning, Split, load_dataset
    from pluggable_mlp.distributed import MPI, NCCL
    from pluggable_mlp.estimators import MLPClassifier as MLPClassifier
    from pluggable_mlp.estimators import MLPRegressor as MLPRegressor
    from pluggable_mlp.estimators import TableClassifier as TableClassifier
    from pluggable_mlp.estimators import TableRegressor as TableRegressor
    from pluggable_mlp.figures import ConfusionMatrixDisplay as ConfusionMatrixDisplay
    from pluggable_mlp.figures import PredictionErrorDisplay as PredictionErrorDisplay
    from pluggable_mlp.figures import TrainingCurveDisplay as TrainingCurveDisplay
    from pluggable_mlp.figures import WeightsDisplay as WeightsDisplay
    from pluggable_mlp.namespaces import ArithmeticUnavailable, reproducible, to_native
    from pluggable_mlp.network.activations import ACTIVATIONS, ELU, Elementwise, LeakyReLU
    from pluggable_mlp.network.categories import Categories
    from pluggable_mlp.network.embeddings import Periodic, PiecewiseLinear
    from pluggable_mlp.network.initializers import INITIALIZERS
    from pluggable_mlp.network.layers import Rng
    from pluggable_mlp.network.loss import average_of_elements
    from pluggable_mlp.network.losses import (
        LOSSES,
        AbsoluteError,
        HuberLoss,
        PinballLoss,
        PoissonLoss,
        SigmoidCrossEntropy,
        SoftmaxCrossEntropy,
        SquaredError,
    )
    from pluggable_mlp.network.members import TabM, TabMMini
    from pluggable_mlp.network.mlp import MLP
    from pluggable_mlp.network.normalization import NORMALIZATIONS, BatchNorm, LayerNorm
    from pluggable_mlp.runs import load_run as load_run
    from pluggable_mlp.training.callbacks import EarlyStopping
    from pluggable_mlp.training.components import OPTIMIZERS, make_optimizer
    from pluggable_mlp.training.divergence import DivergenceError
    from pluggable_mlp.training.factors import DecayFactors, RateFactors
    from pluggable_mlp.training.lbfgs import LBFGS
    from pluggable_mlp.training.loop import Epoch
    from pluggable_mlp.training.muon import Muon
    from pluggable_mlp.training.optimizer import Optimizer
    from pluggable_mlp.training.optimizers import SGD, Adagrad, Adam, AdamW, Lion, RMSprop
    from pluggable_mlp.training.precision_warning import PrecisionWarning
    from pluggable_mlp.training.schedules import SCHEDULES, make_schedule
    from pluggable_mlp.training.single_steps import first_state, training_step
    from pluggable_mlp.training.step import TrainState
    from pluggable_mlp.training.sweep import Sweep as Sweep
    from pluggable_mlp.training.sweep import SweptNetwork as SweptNetwork
    from pluggable_mlp.training.sweep import sweep as sweep
    from pluggable_mlp.training.train import Training, train
    from pluggable_mlp.training.transforms import (
        L1,
        L2,
        AverageParameters,
        ClipByGlobalNorm,
        averaged_parameters,
    )

__all__ = [
    "ACTIVATIONS",
    "ELU",
    "INITIALIZERS",
    "L1",
    "L2",
    "LBFGS",
    "LOSSES",
    "MLP",
    "MPI",
    "NCCL",
    "NORMALIZATIONS",
    "OPTIMIZERS",
    "SCHEDULES",
    "SGD",
    "AbsoluteError",
    "Adagrad",
    "Adam",
    "AdamW",
    "ArithmeticUnavailable",
    "AverageParameters",
    "Backend",
    "BackendUnavailable",
    "BatchNorm",
    "Categories",
    "ClipByGlobalNorm",
    "DataError",
    "DataWarning",
    "Dataset",
    "DecayFactors",
    "DivergenceError",
    "EarlyStopping",
    "Elementwise",
    "Epoch",
    "HuberLoss",
    "LayerNorm",
    "LeakyReLU",
    "Lion",
    "Muon",
    "Optimizer",
    "Periodic",
    "PiecewiseLinear",
    "PinballLoss",
    "PoissonLoss",
    "PrecisionWarning",
    "RMSprop",
    "RateFactors",
    "Report",
    "Rng",
    "SigmoidCrossEntropy",
    "SoftmaxCrossEntropy",
    "Split",
    "SquaredError",
    "TabM",
    "TabMMini",
    "TrainState",
    "Training",
    "available_backends",
    "average_of_elements",
    "averaged_parameters",
    "compare",
    "first_state",
    "format_report",
    "get_backend",
    "load_dataset",
    "make_optimizer",
    "make_schedule",
    "reproducible",
    "to_native",
    "train",
    "training_step",
]

__version__ = "1.0.0rc1"

# `import *` leaves them out: the estimators need scikit-learn, an extra, and the others take time.
_APART = {
    "ConfusionMatrixDisplay": "figures",
    "MLPClassifier": "estimators",
    "MLPRegressor": "estimators",
    "PredictionErrorDisplay": "figures",
    "Sweep": "training.sweep",
    "SweptNetwork": "training.sweep",
    "TableClassifier": "estimators",
    "TableRegressor": "estimators",
    "TrainingCurveDisplay": "figures",
    "WeightsDisplay": "figures",
    "load_run": "runs",
    "sweep": "training.sweep",
}

_HOMES = (
    "backends",
    "distributed",
    "namespaces",
    "network.mlp",
    "network.activations",
    "network.categories",
    "network.embeddings",
    "network.initializers",
    "network.layers",
    "network.loss",
    "network.losses",
    "network.members",
    "network.normalization",
    "training.components",
    "training.optimizer",
    "training.optimizers",
    "training.muon",
    "training.lbfgs",
    "training.schedules",
    "training.transforms",
    "training.factors",
    "training.step",
    "training.single_steps",
    "training.precision_warning",
    "training.divergence",
    "training.loop",
    "training.callbacks",
    "training.train",
    "data",
    "consistency",
)


def __getattr__(name: str) -> object:
    """Import a public name from the first module that has it."""
    if name in __all__ or name in _APART:
        from importlib import import_module

        for home in [_APART[name]] if name in _APART else _HOMES:
            module = import_module(f"{__name__}.{home}")
            if hasattr(module, name):
                return globals().setdefault(name, getattr(module, name))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted({*globals(), *__all__, *_APART})
