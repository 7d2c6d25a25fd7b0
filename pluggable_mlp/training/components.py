"""The optimizers and transforms by name, and their composition."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import TypeAlias

from pluggable_mlp.arrays.compiling import is_builtin_class
from pluggable_mlp.fields import choose, parameters_of, refuse_unknown
from pluggable_mlp.training.lbfgs import LBFGS
from pluggable_mlp.training.muon import Muon
from pluggable_mlp.training.optimizer import Optimizer
from pluggable_mlp.training.optimizers import SGD, Adagrad, Adam, AdamW, Lion, RMSprop
from pluggable_mlp.training.schedules import LearningRate
from pluggable_mlp.training.transforms import L1, L2, AverageParameters, ClipByGlobalNorm

AnyOptimizer: TypeAlias = Optimizer | LBFGS

# Frozen dataclasses: their fields are the parameters by which they are made.
OPTIMIZERS: dict[str, Callable[..., AnyOptimizer]] = {
    "sgd": SGD,
    "adagrad": Adagrad,
    "rmsprop": RMSprop,
    "adam": Adam,
    "adamw": AdamW,
    "lion": Lion,
    "muon": Muon,
    "lbfgs": LBFGS,
}

# By the parameter that selects each; from the optimizer outwards, so that gradients are clipped
# before anything is added to them.
TRANSFORMS: dict[str, Callable[..., Optimizer]] = {
    "weight_decay": L2,
    "l1": L1,
    "clip_norm": ClipByGlobalNorm,
    "average": AverageParameters,
}


def make_optimizer(name: str, **parameters: LearningRate) -> AnyOptimizer:
    """Return an optimizer by name, with the transforms that its parameters select.

    Parameters
    ----------
    name : str
        One of `OPTIMIZERS`.
    **parameters
        Parameters of the optimizer, such as `learning_rate` (a number or a schedule), and, except
        for lbfgs, of `TRANSFORMS`.  `weight_decay` is decoupled in adamw, lion and muon, and an L2
        penalty in the others.

    Returns
    -------
    Optimizer or LBFGS

    Raises
    ------
    ValueError
        If the optimizer or a parameter is unknown, or a value is out of range.

    See Also
    --------
    OPTIMIZERS : The names.

    Examples
    --------
    >>> from pluggable_mlp import make_optimizer
    >>> make_optimizer("sgd", learning_rate=0.1, weight_decay=0.01)
    L2(optimizer=SGD(learning_rate=0.1, momentum=0.0, nesterov=False), weight_decay=0.01)
    """
    optimizer_class = choose(OPTIMIZERS, name, "optimizer")
    fields_of_class = parameters_of(optimizer_class)
    transforms = {} if optimizer_class is LBFGS else TRANSFORMS
    around = {key: transforms[key] for key in transforms if key not in fields_of_class}
    refuse_unknown(f"optimizer {name!r}", parameters, [*fields_of_class, *around])
    optimizer = optimizer_class(
        **{key: value for key, value in parameters.items() if key in fields_of_class}
    )
    for key, transform in around.items():
        if key in parameters:
            optimizer = transform(optimizer, parameters[key])
    return optimizer


def without_rate(optimizer: AnyOptimizer) -> AnyOptimizer:
    """Return the optimizer with learning rate 0: a step takes the rate from its coefficients.

    A function compiled for one rate or schedule then serves all.  User-defined optimizers are
    unchanged.
    """
    if not (is_dataclass(optimizer) and is_builtin_class(type(optimizer))):
        return optimizer
    changed: dict[str, object] = {}
    for field in fields(optimizer):
        value = getattr(optimizer, field.name)
        if field.name == "learning_rate" or (field.name == "weight_decay" and callable(value)):
            changed[field.name] = 0.0
        elif isinstance(value, Optimizer):
            changed[field.name] = without_rate(value)
    return optimizer.replaced(**changed)
