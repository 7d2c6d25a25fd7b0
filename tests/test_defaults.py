"""The defaults of every component, as users know them: a changed one trains another network.

The values are those of the papers and libraries that the components' documentation names.
"""

from dataclasses import MISSING, fields, is_dataclass

from pluggable_mlp.network.activations import ACTIVATIONS
from pluggable_mlp.network.losses import LOSSES
from pluggable_mlp.network.normalization import NORMALIZATIONS
from pluggable_mlp.settings import Settings
from pluggable_mlp.training.optimizers import OPTIMIZERS
from pluggable_mlp.training.schedules import SCHEDULES

ADAM = {"learning_rate": 0.001, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
EXPECTED = {
    "sgd": {"learning_rate": 0.1, "momentum": 0.0, "nesterov": False},
    "rmsprop": {"learning_rate": 0.001, "rho": 0.9, "epsilon": 1e-8},
    "adam": ADAM,
    "adamw": {**ADAM, "weight_decay": 0.01},
    "lion": {"learning_rate": 0.0001, "beta1": 0.9, "beta2": 0.99, "weight_decay": 0.0},
    "muon": {"learning_rate": 0.001, "momentum": 0.95, "weight_decay": 0.1},
    "lbfgs": {"history": 10},
    "step": {"factor": 0.1},
    "exponential": {"factor": 0.999},
    "inverse_scaling": {"power": 0.5},
    "cosine": {"final": 0.0},
    "one_cycle": {"rising": 0.3, "start_divisor": 25.0, "final_divisor": 10_000.0},
    "plateau": {"factor": 0.1, "patience": 10, "threshold": 0.0001},
    "leaky_relu": {"slope": 0.01},
    "elu": {"alpha": 1.0},
    "softmax_cross_entropy": {"label_smoothing": 0.0},
    "huber": {"delta": 1.0},
    "quantile": {"quantile": 0.5},
    "layer": {"epsilon": 1e-5},
    "batch": {"epsilon": 1e-5, "momentum": 0.1},
}


def defaults(component):
    """Return the defaults of a dataclass by their names; a plain function has none."""
    own = fields(component) if is_dataclass(component) else ()
    return {one.name: one.default for one in own if one.init and one.default is not MISSING}


def test_the_defaults_of_components():
    components = OPTIMIZERS | SCHEDULES | ACTIVATIONS | LOSSES | NORMALIZATIONS
    found = {name: defaults(component) for name, component in components.items()}
    assert {name: own for name, own in found.items() if own} == EXPECTED


def test_what_a_name_alone_makes_has_its_defaults():
    """Activations, losses and normalizations are in their tables as what they make."""
    for name, made in (ACTIVATIONS | LOSSES | NORMALIZATIONS).items():
        for field, default in defaults(made).items():
            assert getattr(made, field) == default, f"{name}: {field}"


def test_the_defaults_of_the_command_line():
    chosen = {name: value for name, value in defaults(Settings).items() if value}
    assert chosen == {
        "data": "digits",
        "hidden": (100,),
        "activation": "sigmoid",
        "optimizer": "sgd",
        "batch_size": 16,
        "epochs": 30,
        "dtype": "float32",
        "arithmetic": "native",
    }
