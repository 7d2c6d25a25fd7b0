"""Fitted estimators on disk: one safetensors file, whose metadata is JSON.

Arrays are the parameters, by layer and name ("0.W", "0.b", "1.gamma", …), as training saves them;
JSON holds the estimator's parameters and its other attributes.  Nothing in the file is executed.
What a fit remembers of its optimizer is not saved.
"""

import dataclasses
import json
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from pluggable_mlp.backends import get_backend
from pluggable_mlp.estimators.inputs import on_host
from pluggable_mlp.network.activations import ACTIVATIONS
from pluggable_mlp.network.losses import LOSSES
from pluggable_mlp.network.normalization import NORMALIZATIONS
from pluggable_mlp.registry import choose, parameters_of, refuse_unknown
from pluggable_mlp.storage import damaged, read_file, write_file
from pluggable_mlp.training.components import OPTIMIZERS, TRANSFORMS
from pluggable_mlp.training.schedules import SCHEDULES

__all__ = ["decoded", "encoded", "parameters_to_save", "read_estimator", "write_estimator"]

FORMAT = 1
_ATTRIBUTES = (
    "n_iter_", "t_", "loss_", "loss_curve_", "best_loss_", "validation_scores_",
    "validation_loss_curve_", "best_validation_score_", "n_layers_", "n_outputs_",
    "out_activation_", "n_features_in_", "_no_improvement_count", "_label_kind", "_outputs_of_y",
)  # fmt: skip
_COMPONENTS: dict[str, Any] = {
    kind.__name__: kind
    for table in (ACTIVATIONS, LOSSES, NORMALIZATIONS, OPTIMIZERS, SCHEDULES, TRANSFORMS)
    for kind in (each if isinstance(each, type) else type(each) for each in table.values())
    if dataclasses.is_dataclass(kind)
}


def write_estimator(estimator: Any, path: Path) -> None:
    """Write a fitted estimator to a file, whole or not at all."""
    labels = {
        name: on_host([getattr(estimator, name)])[0]
        for name in ("classes_", "feature_names_in_")
        if hasattr(estimator, name)
    }
    content = {
        "format": FORMAT,
        "estimator": type(estimator).__name__,
        "parameters": {
            name: encoded(name, of) for name, of in parameters_to_save(estimator).items()
        },
        "attributes": {
            name: getattr(estimator, name) for name in _ATTRIBUTES if hasattr(estimator, name)
        },
        "labels": {name: [of.dtype.str, of.tolist()] for name, of in labels.items()},
        "norms": len(estimator.norms_),
    }
    tensors = {}
    for kind in ("coefs_", "intercepts_"):
        for index, array in enumerate(on_host(getattr(estimator, kind))):
            tensors[f"{kind}.{index}"] = np.ascontiguousarray(array)
    for index, of in enumerate(estimator.norms_):
        for name, array in zip(of, on_host(list(of.values())), strict=True):
            tensors[f"norms_.{index}.{name}"] = np.ascontiguousarray(array)
    write_file(path, save(tensors, metadata={"pluggable_mlp": json.dumps(content)}))


def read_estimator(kind: Any, path: Path, backend: str) -> Any:
    """Return the estimator that a file holds, its parameters on a backend.

    Raises
    ------
    ValueError
        If the file cannot be read, or holds no estimator of that kind.
    """
    place, data = get_backend(backend), read_file(path, f"what {kind.__name__}.save wrote")
    with damaged(path):
        try:
            length = int.from_bytes(data[:8], "little")
            content = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["pluggable_mlp"])
            tensors = load(data)
        except (SafetensorError, UnicodeDecodeError) as error:
            raise ValueError(str(error)) from None
        found = content["estimator"], content["format"]
    if found != (kind.__name__, FORMAT):
        raise ValueError(
            f"{path} holds a {found[0]} of format {found[1]}, expected a {kind.__name__} of format "
            f"{FORMAT}"
        )
    with damaged(path):
        estimator = kind(**{k: decoded(value) for k, value in content["parameters"].items()})
        vars(estimator).update(content["attributes"])
        for name, (dtype, labels) in content["labels"].items():
            setattr(estimator, name, np.asarray(labels, dtype=dtype))
        count = sum(name.startswith("coefs_.") for name in tensors)
        estimator.coefs_ = [place.asarray(tensors[f"coefs_.{i}"]) for i in range(count)]
        estimator.intercepts_ = [place.asarray(tensors[f"intercepts_.{i}"]) for i in range(count)]
        estimator.norms_ = [
            {
                name.rpartition(".")[2]: place.asarray(array)
                for name, array in tensors.items()
                if name.startswith(f"norms_.{index}.")
            }
            for index in range(content["norms"])
        ]
        estimator._optimizer_state = None
    return estimator


def parameters_to_save(estimator: Any) -> dict[str, Any]:
    """Return an estimator's parameters, without callbacks and a `RandomState`."""
    parameters: dict[str, Any] = estimator.get_params()
    left_out = {"callbacks"}
    if not isinstance(parameters.get("random_state"), Integral):
        left_out.add("random_state")
    return {name: None if name in left_out else value for name, value in parameters.items()}


def encoded(name: str, value: Any) -> Any:
    """Return a parameter as JSON: a component as its class's name with its own parameters.

    Raises
    ------
    ValueError
        If it is a function or an object of your own.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list):
        return [encoded(name, each) for each in value]
    if isinstance(value, tuple | np.ndarray):
        return {"tuple": [encoded(name, each) for each in value]}
    if isinstance(value, dict):
        return {"dict": [encoded(name, list(pair)) for pair in value.items()]}
    if type(value) not in _COMPONENTS.values():
        raise ValueError(f"{name} is {value!r}, which a file cannot hold; name a component instead")
    own = {key: encoded(name, each) for key, each in parameters_of(value).items()}
    return {"component": type(value).__name__, "parameters": own}


def decoded(value: Any) -> Any:
    """Return what `encoded` made JSON of."""
    if isinstance(value, list):
        return [decoded(each) for each in value]
    if not isinstance(value, dict):
        return value
    if "tuple" in value:
        return tuple(map(decoded, value["tuple"]))
    if "dict" in value:
        return dict(map(decoded, value["dict"]))
    name = value["component"]
    kind, own = choose(_COMPONENTS, name, "component"), value["parameters"]
    refuse_unknown(name, own, parameters_of(kind))
    return kind(**{key: decoded(each) for key, each in own.items()})
