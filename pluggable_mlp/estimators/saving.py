"""Fitted estimators on disk: a tree in one file, as `serialization.py` writes it.

It holds the estimator's parameters, the attributes listed by its class, and the weights by layer
and name.  The optimizer's memory is not saved.
"""

import dataclasses
from numbers import Integral
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from pluggable_mlp.arrays import map_nested
from pluggable_mlp.data.preparation import Preparation
from pluggable_mlp.files import damaged
from pluggable_mlp.lazy import on_host
from pluggable_mlp.network.activations import ACTIVATIONS
from pluggable_mlp.network.losses import LOSSES
from pluggable_mlp.network.normalization import NORMALIZATIONS
from pluggable_mlp.registry import refuse_unknown
from pluggable_mlp.serialization import Components, read_tree, tree_to_json, write_tree
from pluggable_mlp.training.components import OPTIMIZERS, TRANSFORMS
from pluggable_mlp.training.schedules import SCHEDULES

FORMAT = 2
_OF_THE_MACHINE = ("backend", "callbacks", "device", "verbose")
COMPONENTS: Components = {
    kind.__name__: kind
    for table in (ACTIVATIONS, LOSSES, NORMALIZATIONS, OPTIMIZERS, SCHEDULES, TRANSFORMS)
    for kind in (each if isinstance(each, type) else type(each) for each in table.values())
    if dataclasses.is_dataclass(kind)
}
"""The types of an estimator's parameters that can be saved."""


class FilesMixin(BaseEstimator):
    """Methods that save an estimator, and load it."""

    _saved: ClassVar[tuple[str, ...]]
    """The attributes that are saved, beside parameters and weights."""

    def _weights_to_save(self) -> Any:
        """Return the parameters of the network, a tree of arrays."""
        raise NotImplementedError

    def _take_weights(self, weights: Any, backend: str) -> None:
        """Set the network's parameters, read from a file, on the backend of this name."""
        raise NotImplementedError

    def save(self, path: str | PathLike[str]) -> None:
        """Write the fitted model to one safetensors file, with everything but arrays as JSON.

        The preparation of tables is included; callbacks, a `RandomState` and the optimizer's memory
        are not.

        Parameters
        ----------
        path : str or Path

        Raises
        ------
        ValueError
            If a parameter is a user-defined function or object.
        """
        check_is_fitted(self)
        attributes = {
            name: _to_tree(name, getattr(self, name)) for name in self._saved if hasattr(self, name)
        }
        content = {
            "format": FORMAT,
            "estimator": type(self).__name__,
            "parameters": parameters_to_save(self),
            "attributes": attributes,
            "weights": map_nested(on_host, self._weights_to_save()),
        }
        write_tree(Path(path), content, COMPONENTS)

    @classmethod
    def load(cls, path: str | PathLike[str], *, backend: str = "numpy") -> Self:
        """Return the estimator that `save` wrote.

        Parameters
        ----------
        path : str or Path
        backend : str, default "numpy"
            The backend of the parameters, such as "torch:cuda".

        Raises
        ------
        ValueError
            If the file cannot be read, has changed, or holds no such estimator.
        """
        path, kind = Path(path), cls.__name__
        content = read_tree(path, f"what {kind}.save wrote", COMPONENTS)
        with damaged(path):
            name, number = content["estimator"], content["format"]
        if (name, number) != (kind, FORMAT):
            raise ValueError(
                f"{path} holds {name} of format {number}, expected {kind} of format {FORMAT}"
            )
        with damaged(path):
            refuse_unknown(kind, content["parameters"], cls._get_param_names())
            refuse_unknown(f"a saved {kind}", content["attributes"], cls._saved)
            loaded = cls(**content["parameters"])
            loaded._validate_params()
            for name, value in content["attributes"].items():
                setattr(loaded, name, _from_tree(value))
            loaded._take_weights(content["weights"], backend)
        return loaded


def _to_tree(name: str, value: Any) -> Any:
    """Return an attribute as JSON data: labels with their dtype, a preparation as a dict."""
    if isinstance(value, Preparation):
        return {"preparation": value.to_dict()}
    if not hasattr(value, "dtype"):
        return value
    labels = on_host(value)
    if labels.dtype.kind == "O" and not all(isinstance(label, str) for label in labels):
        raise ValueError(f"{name} are objects other than texts, which no file holds")
    return {"labels": labels.tolist(), "dtype": labels.dtype.str}


def _from_tree(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if "preparation" in value:
        return Preparation.from_dict(value["preparation"])
    return np.asarray(value["labels"], dtype=value["dtype"])


def parameters_to_save(estimator: Any) -> dict[str, Any]:
    """Return an estimator's parameters, without callbacks and a `RandomState`."""
    parameters: dict[str, Any] = estimator.get_params()
    left_out = {"callbacks"}
    if not isinstance(parameters.get("random_state"), Integral):
        left_out.add("random_state")
    parameters |= dict.fromkeys(left_out & parameters.keys())
    arrays = {name: value for name, value in parameters.items() if isinstance(value, np.ndarray)}
    return parameters | {name: tuple(value.tolist()) for name, value in arrays.items()}


def described(estimator: Any) -> dict[str, Any]:
    """Describe an estimator for its certificate: its kind, and its parameters as JSON."""
    parameters = {
        name: _named(name, value)
        for name, value in parameters_to_save(estimator).items()
        if name not in _OF_THE_MACHINE
    }
    return {"estimator": type(estimator).__name__, **parameters}


def _named(name: str, value: Any) -> Any:
    """Return a parameter as JSON, or its name if JSON cannot hold it."""
    try:
        return tree_to_json(value, COMPONENTS, place=name)
    except ValueError:
        return {"of_your_own": getattr(value, "__qualname__", type(value).__qualname__)}
