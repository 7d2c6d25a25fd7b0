"""The settings of each network of a sweep, and which of them cannot be trained as one stack."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from pluggable_mlp.network.mlp import MLP
from pluggable_mlp.registry import as_seed, choose, refuse_unknown
from pluggable_mlp.training.components import OPTIMIZERS, AnyOptimizer, make_optimizer
from pluggable_mlp.training.lbfgs import LBFGS

_OF_ALL = ("learning_rate", "weight_decay")
_OWN = ("dropout", "seed")
"""The settings in which networks may differ; a network has the latter by default."""


class NetworkSettings(NamedTuple):
    """The settings of one network, as given, and what they make."""

    given: dict[str, Any]
    mlp: MLP
    optimizer: AnyOptimizer
    seed: int


def networks_of_settings(mlp: MLP, settings: Any, optimizer: str) -> list[NetworkSettings]:
    """Return what the settings make of each network.

    Raises
    ------
    ValueError, TypeError
        If they are of another type or out of their range, or the networks cannot be stacked; the
        message names the network.
    """
    if not isinstance(settings, list | tuple) or not settings:
        raise TypeError(f"settings is {settings!r}, expected a list with a dict for each network")
    choose(OPTIMIZERS, optimizer, "optimizer")
    networks = []
    for index, given in enumerate(settings):
        if not isinstance(given, Mapping):
            raise TypeError(f"settings[{index}] is {given!r}, expected a dict")
        _check_alike(index, given, settings[0])
        try:
            network = _made(mlp, given, optimizer)
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"settings[{index}]: {error}") from error
        _check_stacks(index, network)
        networks.append(network)
    return networks


def _made(mlp: MLP, given: Mapping[str, Any], optimizer: str) -> NetworkSettings:
    """Return what the settings of one network make."""
    of_optimizer = {name: of for name, of in given.items() if name not in _OWN}
    return NetworkSettings(
        dict(given),
        replace(mlp, dropout=given["dropout"]) if "dropout" in given else mlp,
        make_optimizer(optimizer, **of_optimizer),
        as_seed(given.get("seed", 0)),
    )


def _check_alike(index: int, given: Mapping[str, Any], first: Mapping[str, Any]) -> None:
    """Raise a ValueError where networks differ in more than they may."""
    missing = [name for name in first if name not in given and name not in _OWN]
    if missing:
        raise ValueError(
            f"settings[{index}] has no {missing[0]}, which settings[0] has: give it to all"
        )
    refuse_unknown(f"settings[{index}]", given, [*first, *_OWN])
    for name, value in given.items():
        if name not in _OF_ALL + _OWN and value != first[name]:
            raise ValueError(
                f"settings[{index}] has {name}={value!r}, settings[0] {first[name]!r}: networks "
                f"of a sweep may differ in {', '.join(_OF_ALL + _OWN)}"
            )


def _check_stacks(index: int, network: NetworkSettings) -> None:
    """Raise a ValueError where an update follows losses, or dropout a schedule."""
    mlp, optimizer = network.mlp, network.optimizer
    if isinstance(optimizer, LBFGS):
        refused, taken = "optimizer is 'lbfgs', which follows the losses", "other optimizers"
    elif optimizer.follows_losses:
        rate = network.given["learning_rate"]
        refused = f"settings[{index}] has learning_rate={rate!r}, which follows the losses"
        taken = "numbers and schedules of t"
    elif callable(mlp.dropout):
        refused = f"settings[{index}]: mlp has dropout {mlp.dropout!r}"
        taken = "dropout that is a number"
    else:
        return
    raise ValueError(f"{refused}; a sweep takes {taken}: train such networks alone")
