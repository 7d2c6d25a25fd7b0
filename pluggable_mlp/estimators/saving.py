"""Fitted estimators on disk: one file, as `serialization.py` writes it.

Arrays are the parameters, by layer and name ("0.W", "0.b", "1.gamma", …), as training saves them;
the description has the estimator's parameters and its other attributes.  What it says is checked:
only a model that predicts is made of it.  What a fit remembers of its optimizer is not saved.
"""

import dataclasses
from collections.abc import Callable
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from pluggable_mlp.backends import get_backend
from pluggable_mlp.estimators.validation import BINARY, MULTICLASS, MULTILABEL, on_host
from pluggable_mlp.network.activations import ACTIVATIONS
from pluggable_mlp.network.losses import LOSSES
from pluggable_mlp.network.mlp import MLP, Parameters
from pluggable_mlp.network.normalization import NORMALIZATIONS
from pluggable_mlp.registry import choose, parameters_of, refuse_unknown
from pluggable_mlp.serialization import Arrays, read_arrays, write_arrays
from pluggable_mlp.storage import damaged
from pluggable_mlp.training.components import OPTIMIZERS, TRANSFORMS
from pluggable_mlp.training.schedules import SCHEDULES

__all__ = ["decoded", "encoded", "parameters_to_save", "read_estimator", "write_estimator"]

FORMAT = 1
_COMPONENTS: dict[str, Any] = {
    kind.__name__: kind
    for table in (ACTIVATIONS, LOSSES, NORMALIZATIONS, OPTIMIZERS, SCHEDULES, TRANSFORMS)
    for kind in (each if isinstance(each, type) else type(each) for each in table.values())
    if dataclasses.is_dataclass(kind)
}


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _is_number_or_none(value: Any) -> bool:
    return value is None or _is_number(value)


def _is_curve(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_number, value))


def _is_curve_or_none(value: Any) -> bool:
    return value is None or _is_curve(value)


_ATTRIBUTES: dict[str, Callable[[Any], bool]] = {
    "n_features_in_": _is_count,
    "n_iter_": _is_count,
    "t_": _is_count,
    "loss_": _is_number,
    "loss_curve_": _is_curve,
    "best_loss_": _is_number_or_none,
    "validation_scores_": _is_curve_or_none,
    "validation_loss_curve_": _is_curve_or_none,
    "best_validation_score_": _is_number_or_none,
    "_no_improvement_count": _is_count,
    "_label_kind": (BINARY, MULTICLASS, MULTILABEL).__contains__,
    "_outputs_of_y": _is_count,
}
"""What is saved, where an estimator has it, and the check of a value that was read."""

_LABELS = ("classes_", "feature_names_in_")
_LABEL_TYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
                "float16", "float32", "float64", "str", "object")  # fmt: skip


def write_estimator(estimator: Any, path: Path) -> None:
    """Write a fitted estimator to a file, whole or not at all."""
    parameters = parameters_to_save(estimator)
    labels = {name: getattr(estimator, name) for name in _LABELS if hasattr(estimator, name)}
    attributes = {
        name: getattr(estimator, name) for name in _ATTRIBUTES if hasattr(estimator, name)
    }
    description = {
        "format": FORMAT,
        "estimator": type(estimator).__name__,
        "parameters": {name: encoded(name, value) for name, value in parameters.items()},
        "attributes": {name: encoded(name, value) for name, value in attributes.items()},
        "labels": {name: _encoded_labels(name, *on_host([of])) for name, of in labels.items()},
    }
    layers = estimator._parameters(estimator._fitted_network())
    arrays = {
        f"{index}.{name}": on_host([array])[0]
        for index, layer in enumerate(layers)
        for name, array in layer.items()
    }
    write_arrays(path, arrays, description)


def read_estimator(kind: Any, path: Path, backend: str) -> Any:
    """Return the estimator that a file holds, its parameters on a backend.

    Raises
    ------
    ValueError
        If the file cannot be read, has changed, or holds no estimator of that kind.
    """
    place = get_backend(backend)
    description, arrays = read_arrays(path, f"what {kind.__name__}.save wrote")
    with damaged(path):
        found = description["estimator"], description["format"]
    if found != (kind.__name__, FORMAT):
        raise ValueError(
            f"{path} holds a {found[0]} of format {found[1]}, expected a {kind.__name__} of format "
            f"{FORMAT}"
        )
    with damaged(path):
        estimator = _described(kind, description)
        layers = _layers(estimator._describe(), arrays)
        estimator._keep(
            [{name: place.asarray(array) for name, array in layer.items()} for layer in layers]
        )
    estimator._optimizer_state = None
    return estimator


def _described(kind: Any, description: dict[str, Any]) -> Any:
    """Return an estimator with the parameters and attributes of a description, checked."""
    parameters, attributes, labels = (
        _as_dict(name, description[name]) for name in ("parameters", "attributes", "labels")
    )
    refuse_unknown(kind.__name__, parameters, kind._get_param_names())
    refuse_unknown(f"a saved {kind.__name__}", attributes, _ATTRIBUTES)
    refuse_unknown(f"a saved {kind.__name__}", labels, _LABELS)
    estimator = kind(**{name: decoded(value) for name, value in parameters.items()})
    estimator._validate_params()
    for name, value in attributes.items():
        if not _ATTRIBUTES[name](value):
            raise ValueError(f"{name} is {str(value)[:80]!r}")
        setattr(estimator, name, value)
    for name, value in labels.items():
        setattr(estimator, name, _decoded_labels(name, value))
    _check_labels(estimator)
    return estimator


def _check_labels(estimator: Any) -> None:
    """Raise a ValueError if names or classes do not fit the other attributes."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is not None and (names.dtype.kind, len(names)) != ("O", estimator.n_features_in_):
        raise ValueError(f"feature_names_in_ are not {estimator.n_features_in_} texts")
    if not hasattr(estimator, "classes_"):
        return
    classes, kind = estimator.classes_.tolist(), estimator._label_kind
    if not classes or classes != sorted(set(classes)):
        raise ValueError("classes_ are not in ascending order")
    if kind != MULTILABEL and kind != (BINARY if len(classes) <= 2 else MULTICLASS):
        raise ValueError(f"{len(classes)} classes are not {kind}")


def _as_dict(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"its {name} are {str(value)[:80]!r}, expected an object")
    return value


def _layers(network: MLP, arrays: Arrays) -> Parameters:
    """Return the arrays by layer and name; ValueError if they are not those of the network."""
    shapes = [layer.shapes() for layer in network.layers if layer.shapes()]
    expected = {
        f"{index}.{name}": shape for index, of in enumerate(shapes) for name, shape in of.items()
    }
    found = {name: array.shape for name, array in arrays.items()}
    if found != expected:
        raise ValueError(f"its arrays are {str(found)[:200]}, expected {str(expected)[:200]}")
    dtypes = {array.dtype.name for array in arrays.values()}
    if dtypes not in ({"float32"}, {"float64"}):
        raise ValueError(
            f"its arrays are of {', '.join(sorted(dtypes))}, expected floats of one kind"
        )
    return [
        {name: arrays[f"{index}.{name}"] for name in layer} for index, layer in enumerate(shapes)
    ]


def _encoded_labels(name: str, labels: Any) -> list[Any]:
    """Return labels (n,), an array of NumPy, as their type and a list.

    Raises
    ------
    ValueError
        If JSON cannot hold them.
    """
    content = ["str" if labels.dtype.kind == "U" else labels.dtype.name, labels.tolist()]
    _decoded_labels(name, content)
    return content


def _decoded_labels(name: str, content: Any) -> Any:
    """Return the labels of which `_encoded_labels` made a list; ValueError if it made none such."""
    kind, listed = content
    if kind not in _LABEL_TYPES or not isinstance(listed, list):
        raise ValueError(f"{name} are of type {str(kind)[:80]!r}, expected one of {_LABEL_TYPES}")
    if kind == "object" and not all(isinstance(label, str) for label in listed):
        raise ValueError(f"{name} are objects other than texts")
    labels = np.asarray(listed, dtype=kind)
    if labels.ndim != 1 or [*map(repr, labels.tolist())] != [*map(repr, listed)]:
        raise ValueError(f"{name} are not a list of {kind}")
    return labels


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
