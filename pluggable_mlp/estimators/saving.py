"""Fitted estimators on disk: a tree in one file, as `serialization.py` writes it.

It has the estimator's parameters, its other attributes, and the weights by layer and name.  What it
says is checked: only a model that predicts is made of it.  What a fit remembers of its optimizer is
not saved.
"""

import dataclasses
from collections.abc import Mapping
from numbers import Integral
from pathlib import Path
from typing import Annotated, Any, TypedDict, TypeVar

import numpy as np
from msgspec import Meta

from pluggable_mlp.arrays import map_nested
from pluggable_mlp.backends import get_backend
from pluggable_mlp.estimators.validation import BINARY, MULTICLASS, MULTILABEL
from pluggable_mlp.files import check_kind, damaged
from pluggable_mlp.lazy import on_host
from pluggable_mlp.network.activations import ACTIVATIONS
from pluggable_mlp.network.checks import check_parameters
from pluggable_mlp.network.losses import LOSSES
from pluggable_mlp.network.normalization import NORMALIZATIONS
from pluggable_mlp.registry import refuse_unknown
from pluggable_mlp.serialization import Components, read_tree, write_tree
from pluggable_mlp.training.components import OPTIMIZERS, TRANSFORMS
from pluggable_mlp.training.schedules import SCHEDULES

FORMAT = 1
COMPONENTS: Components = {
    kind.__name__: kind
    for table in (ACTIVATIONS, LOSSES, NORMALIZATIONS, OPTIMIZERS, SCHEDULES, TRANSFORMS)
    for kind in (each if isinstance(each, type) else type(each) for each in table.values())
    if dataclasses.is_dataclass(kind)
}
"""What an estimator's parameters may be made of."""


_Count = Annotated[int, Meta(ge=0)]
_ATTRIBUTES: dict[str, Any] = {
    "n_features_in_": _Count,
    "n_iter_": _Count,
    "t_": _Count,
    "loss_": float,
    "loss_curve_": list[float],
    "best_loss_": float | None,
    "validation_scores_": list[float] | None,
    "validation_loss_curve_": list[float] | None,
    "best_validation_score_": float | None,
    "_no_improvement_count": _Count,
    "_label_kind": str,
    "_outputs_of_y": _Count,
}
"""What is saved, where an estimator has it, and its type in a file."""

LABELS = ("classes_", "feature_names_in_")
_LABEL_TYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
                "float16", "float32", "float64", "str", "object")  # fmt: skip


class Saved(TypedDict):
    """What is in the file of an estimator."""

    format: int
    estimator: str
    parameters: dict[str, Any]
    attributes: dict[str, Any]
    labels: dict[str, Any]
    weights: Any


Content = TypeVar("Content", bound=Mapping[str, Any])


def labels_to_save(estimator: Any) -> dict[str, Any]:
    """Return the classes and the names of features, as far as an estimator has them."""
    labels = {name: getattr(estimator, name) for name in LABELS if hasattr(estimator, name)}
    return {name: encoded_labels(name, on_host(of)) for name, of in labels.items()}


def write_estimator(estimator: Any, path: Path) -> None:
    """Write a fitted estimator to a file, whole or not at all.

    Raises
    ------
    ValueError
        If a parameter is a function or an object of your own.
    """
    layers = estimator._parameters(estimator._fitted_network())
    content: Saved = {
        "format": FORMAT,
        "estimator": type(estimator).__name__,
        "parameters": parameters_to_save(estimator),
        "attributes": {
            name: getattr(estimator, name) for name in _ATTRIBUTES if hasattr(estimator, name)
        },
        "labels": labels_to_save(estimator),
        "weights": map_nested(on_host, layers),
    }
    write_tree(path, content, COMPONENTS)


def read_estimator(kind: Any, path: Path, backend: str) -> Any:
    """Return the estimator that a file holds, its parameters on a backend.

    Raises
    ------
    ValueError
        If the file cannot be read, has changed, or holds no estimator of that kind.
    """
    place = get_backend(backend)
    content = read_content(kind, path, Saved, FORMAT)
    with damaged(path):
        estimator = _described(kind, content)
        network = estimator._describe()
        check_parameters(network, content["weights"])
        estimator._keep(map_nested(place.asarray, content["weights"]))
        estimator._parameters(network)  # they are those of as many members
    estimator._optimizer_state = None
    return estimator


def read_content(kind: Any, path: Path, content_kind: type[Content], format: int) -> Content:
    """Return what a file of an estimator holds, its parts of the kinds that they must have.

    Raises
    ------
    ValueError
        If the file cannot be read, has changed, or holds no estimator of that kind and format.
    """
    content: Content = read_tree(path, f"what {kind.__name__}.save wrote", COMPONENTS)
    with damaged(path):
        check_kind(content, content_kind)
        found = content["estimator"], content["format"]
    if found != (kind.__name__, format):
        raise ValueError(
            f"{path} holds {found[0]} of format {found[1]}, expected {kind.__name__} of format "
            f"{format}"
        )
    return content


def _described(kind: Any, content: Saved) -> Any:
    """Return an estimator with the parameters and attributes of a file, checked."""
    parameters, attributes = content["parameters"], content["attributes"]
    labels = content["labels"]
    refuse_unknown(kind.__name__, parameters, kind._get_param_names())
    refuse_unknown(f"a saved {kind.__name__}", attributes, _ATTRIBUTES)
    refuse_unknown(f"a saved {kind.__name__}", labels, LABELS)
    estimator = kind(**parameters)
    estimator._validate_params()
    for name, value in attributes.items():
        check_kind(value, _ATTRIBUTES[name])
        setattr(estimator, name, value)
    for name, value in labels.items():
        setattr(estimator, name, decoded_labels(name, value))
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


def encoded_labels(name: str, labels: Any) -> list[Any]:
    """Return labels (n,), an array of NumPy, as their type and a list.

    Raises
    ------
    ValueError
        If JSON cannot hold them.
    """
    content = ["str" if labels.dtype.kind == "U" else labels.dtype.name, labels.tolist()]
    decoded_labels(name, content)
    return content


def decoded_labels(name: str, content: Any) -> Any:
    """Return the labels of which `encoded_labels` made a list; ValueError if it made none such."""
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
    parameters |= dict.fromkeys(left_out & parameters.keys())
    arrays = {name: of for name, of in parameters.items() if isinstance(of, np.ndarray)}
    return parameters | {name: tuple(of.tolist()) for name, of in arrays.items()}
