"""Optimizers: how gradients change parameters; one file per kind, one line of the table per name.

`make_optimizer` puts one together by name with what may stand around it: weight decay, L1,
clipping, an average of the parameters.
"""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeAlias

from pluggable_mlp.registry import choose, refuse_unknown
from pluggable_mlp.training.optimizers.adam import Adam, AdamW
from pluggable_mlp.training.optimizers.averaging import AverageParameters, averaged_parameters
from pluggable_mlp.training.optimizers.clipping import ClipByGlobalNorm
from pluggable_mlp.training.optimizers.contract import (
    GradientSteps,
    Numbers,
    Optimizer,
    State,
    Trees,
)
from pluggable_mlp.training.optimizers.lbfgs import LBFGS
from pluggable_mlp.training.optimizers.lion import Lion
from pluggable_mlp.training.optimizers.muon import Muon
from pluggable_mlp.training.optimizers.rmsprop import RMSprop
from pluggable_mlp.training.optimizers.sgd import SGD
from pluggable_mlp.training.optimizers.weight_decay import L1, L2

__all__ = [
    "L1",
    "L2",
    "LBFGS",
    "OPTIMIZERS",
    "SGD",
    "TRANSFORMS",
    "Adam",
    "AdamW",
    "AnyOptimizer",
    "AverageParameters",
    "ClipByGlobalNorm",
    "GradientSteps",
    "Lion",
    "Muon",
    "Numbers",
    "Optimizer",
    "RMSprop",
    "State",
    "Trees",
    "averaged_parameters",
    "make_optimizer",
]

AnyOptimizer: TypeAlias = GradientSteps | LBFGS

# Frozen dataclasses: their fields are the parameters by which they are made.
OPTIMIZERS: dict[str, Any] = {
    "sgd": SGD,
    "rmsprop": RMSprop,
    "adam": Adam,
    "adamw": AdamW,
    "lion": Lion,
    "muon": Muon,
    "lbfgs": LBFGS,
}

# By the parameter that asks for each; from the optimizer outwards, so that gradients are clipped
# before anything is added to them.
TRANSFORMS: dict[str, Callable[[GradientSteps, Any], GradientSteps]] = {
    "weight_decay": L2,
    "l1": L1,
    "clip_norm": ClipByGlobalNorm,
    "average": AverageParameters,
}


def make_optimizer(name: str, **parameters: Any) -> AnyOptimizer:
    """Return the optimizer of that name, with what its parameters ask for around it.

    Parameters
    ----------
    name : str
        One of `OPTIMIZERS`.
    **parameters
        Of the optimizer itself, `learning_rate` (a number or a schedule) among them, and, for
        all but lbfgs, of `TRANSFORMS`.  `weight_decay` is decoupled in those that have it
        (adamw, lion, muon), and L2 in the gradient of the others.

    Raises
    ------
    ValueError
        If there is no such optimizer, it takes no such parameter, or a value is out of range.
    """
    kind = choose(OPTIMIZERS, name, "optimizer")
    own = [field.name for field in fields(kind)]
    around = {} if kind is LBFGS else {key: of for key, of in TRANSFORMS.items() if key not in own}
    refuse_unknown(f"optimizer {name!r}", parameters, [*own, *around])
    made: Any = kind(**{key: value for key, value in parameters.items() if key in own})
    for key, transform in around.items():
        if key in parameters:
            made = transform(made, parameters[key])
    optimizer: AnyOptimizer = made
    return optimizer
