"""The function `sweep`: many networks of one form in one training, each with its own settings.

How they are trained, stacked along a leading axis, is in `stacked.py`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pluggable_mlp.arrays import Array
from pluggable_mlp.arrays.shortcuts import backend_context
from pluggable_mlp.backends import Backend
from pluggable_mlp.fields import Flag, PositiveCount, as_seed, choose, convert, refuse_unknown
from pluggable_mlp.network.members import Networks
from pluggable_mlp.network.mlp import MLP
from pluggable_mlp.training.components import OPTIMIZERS, AnyOptimizer, make_optimizer
from pluggable_mlp.training.early_stopping import EarlyStopping
from pluggable_mlp.training.evaluation import evaluate
from pluggable_mlp.training.examples import Examples, make_examples
from pluggable_mlp.training.optimizer import Optimizer
from pluggable_mlp.training.stacked import StackedTraining, SweptNetwork
from pluggable_mlp.training.train import check_kinds

_OF_ALL = ("learning_rate", "weight_decay")
_OWN = ("dropout", "seed")
"""The settings in which networks may differ; the latter have a default."""


@dataclass(frozen=True)
class Sweep:
    """The result of `sweep`.

    Attributes
    ----------
    networks : list of SweptNetwork
        In the order of the settings.

    See Also
    --------
    sweep

    Examples
    --------
    >>> from pluggable_mlp import MLP, get_backend, sweep
    >>> settings = [{"learning_rate": rate} for rate in (0.0, 1.0)]
    >>> found = sweep(MLP([1, 2]), [[0.0], [1.0]], [0, 1], settings, backend=get_backend("numpy"))
    >>> found.best.settings
    {'learning_rate': 1.0}
    """

    networks: list[SweptNetwork]

    @property
    def best(self) -> SweptNetwork:
        """The network with the smallest loss, the first of equal ones; NaN is above all others."""
        return min(self.networks, key=lambda network: (math.isnan(network.loss), network.loss))


def sweep(
    mlp: MLP,
    inputs: Array,
    targets: Array,
    settings: Sequence[Mapping[str, Any]],
    *,
    backend: Backend,
    optimizer: str = "sgd",
    epochs: int = 10,
    batch_size: int = 128,
    dtype: str = "float32",
    arithmetic: str = "native",
    shuffle: bool = True,
    scale: float | None = None,
    sample_weight: Array | None = None,
    class_weight: object = None,
    validation: tuple[Array, Array] | None = None,
    patience: int | None = None,
) -> Sweep:
    """Train many networks of one form at once, each with its own settings.

    Each has the result that `train` gives with its settings: with the same bits if the arithmetic
    is reproducible, else up to rounding.

    Parameters
    ----------
    mlp : MLP
        The form of the networks.
    inputs : array (examples, in)
        As for `train`.
    targets : array (examples,) or (examples, outputs)
        As for `train`.
    settings : list or tuple of mapping
        For each network, `dropout` (by default that of the mlp), `seed` (0), and parameters of
        `make_optimizer`.  Networks may differ in `learning_rate`, a number or a schedule,
        `weight_decay`, `dropout` and `seed`.
    backend : Backend
        As for `train`.
    optimizer : str, default "sgd"
        One of `OPTIMIZERS`, except lbfgs.
    epochs : int, default 10
        As for `train`, like those that follow.
    batch_size : int, default 128
        The number of examples per update.
    dtype : {"float32", "float64"}, default "float32"
        The dtype of the parameters.
    arithmetic : {"native", "reproducible"}, default "native"
        How operations round.
    shuffle : bool, default True
        Whether to visit the examples in a new order in each epoch.
    scale : float, optional
        For uint8 inputs, a power of two by which they are multiplied.
    sample_weight : array (examples,), optional
        The weight of each example.
    class_weight : mapping, array or "balanced", optional
        As for `train`.
    validation : tuple of two arrays, optional
        Inputs and targets on which the networks are compared.
    patience : int, optional
        A network ends after this many epochs in a row without a smaller loss, on the validation
        part if there is one, and keeps the parameters of its best epoch: see `EarlyStopping`.

    Returns
    -------
    Sweep

    Raises
    ------
    ValueError, TypeError
        If an argument does not fit; the message names it, its value and what was expected.

    See Also
    --------
    train
    sklearn.model_selection.GridSearchCV : One network after the other.

    Examples
    --------
    >>> from pluggable_mlp import MLP, get_backend, load_dataset, sweep
    >>> digits = load_dataset("digits")
    >>> found = sweep(
    ...     MLP([64, 20, 10]), digits.train.inputs, digits.train.targets,
    ...     [{"learning_rate": rate} for rate in (0.01, 0.1, 1.0)],
    ...     backend=get_backend("numpy"), scale=digits.scale,
    ... )
    >>> found.best.settings
    {'learning_rate': 1.0}
    """
    check_kinds(mlp, backend, None, dtype)
    networks = _networks_of_settings(mlp, settings, optimizer, patience)
    place: dict[str, Any] = {"backend": backend, "arithmetic": arithmetic}
    data = {**place, "dtype": dtype, "scale": scale}
    weighting: dict[str, Any] = {"sample_weight": sample_weight, "class_weight": class_weight}
    with backend_context(backend):
        examples = make_examples(mlp, inputs, targets, **data, **weighting)
        held = None if validation is None else make_examples(mlp, *_pair(validation), **data)
        assert isinstance(examples, Examples)  # not in blocks
        assert isinstance(held, Examples | None)
        StackedTraining(
            mlp,
            examples,
            held,
            backend,
            arithmetic,
            convert("batch_size", batch_size, PositiveCount),
            convert("epochs", epochs, PositiveCount),
            convert("shuffle", shuffle, Flag),
        ).train(networks)
        if held is not None:
            for network in networks:
                network.scores = evaluate(network.mlp, network.parameters, held, **place)
    return Sweep(networks)


def _networks_of_settings(
    mlp: MLP, settings: object, optimizer: str, patience: int | None
) -> list[SweptNetwork]:
    """Return the network that each mapping of settings describes; errors name the network."""
    if not isinstance(settings, list | tuple) or not settings:
        raise TypeError(f"settings is {settings!r}, expected a list with a dict for each network")
    choose(OPTIMIZERS, optimizer, "optimizer")
    networks = []
    for index, values in enumerate(settings):
        if not isinstance(values, Mapping):
            raise TypeError(f"settings[{index}] is {values!r}, expected a dict")
        _check_alike(index, values, settings[0])
        try:
            network = replace(mlp, dropout=values["dropout"]) if "dropout" in values else mlp
            parameters = {name: value for name, value in values.items() if name not in _OWN}
            rule, seed = make_optimizer(optimizer, **parameters), as_seed(values.get("seed", 0))
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"settings[{index}]: {error}") from error
        rule = _checked(f"settings[{index}]", values, network, rule)
        stop = None if patience is None else EarlyStopping(patience)
        networks.append(SweptNetwork(dict(values), network, rule, seed, stop))
    return networks


def _check_alike(index: int, values: Mapping[str, Any], first: Mapping[str, Any]) -> None:
    """Raise a ValueError if networks differ in more than they may."""
    missing = [name for name in first if name not in values and name not in _OWN]
    if missing:
        raise ValueError(
            f"settings[{index}] has no {missing[0]}, which settings[0] has: give it to all"
        )
    refuse_unknown(f"settings[{index}]", values, [*first, *_OWN])
    for name, value in values.items():
        if name not in _OF_ALL + _OWN and value != first[name]:
            raise ValueError(
                f"settings[{index}] has {name}={value!r}, settings[0] {first[name]!r}: networks "
                f"of a sweep may differ in {', '.join(_OF_ALL + _OWN)}"
            )


def _checked(name: str, values: Mapping[str, Any], mlp: MLP, optimizer: AnyOptimizer) -> Optimizer:
    """Return the optimizer, or refuse what networks cannot have on one axis."""
    if not isinstance(optimizer, Optimizer):
        refused, expected = "optimizer is 'lbfgs', which follows the losses", "other optimizers"
    elif optimizer.follows_losses:
        refused = f"{name} has learning_rate={values['learning_rate']!r}, which follows the losses"
        expected = "numbers and schedules of t"
    elif mlp.own_batches or isinstance(mlp.ensemble, Networks):
        refused, expected = f"{name}: mlp has ensemble {mlp.ensemble!r}", "single networks or TabM"
    elif callable(mlp.dropout):
        refused, expected = f"{name}: mlp has dropout {mlp.dropout!r}", "dropout that is a number"
    else:
        return optimizer
    raise ValueError(f"{refused}; a sweep takes {expected}: train such networks alone")


def _pair(validation: object) -> tuple[Array, Array]:
    came = type(validation).__name__
    if isinstance(validation, tuple | list):
        if len(validation) == 2:
            return validation[0], validation[1]
        came += f" of {len(validation)}"
    raise TypeError(f"validation is a {came}, expected a tuple (inputs, targets)")
