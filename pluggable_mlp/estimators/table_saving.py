"""Fitted estimators of tables on disk: a tree in one file, as `serialization.py` writes it.

It has the estimator's parameters, the preparation and the weights.  What it says is checked: only a
model that predicts is made of it.
"""

from pathlib import Path
from typing import Any

from pluggable_mlp.arrays import LibraryArrays, map_nested
from pluggable_mlp.data.preparation import Preparation
from pluggable_mlp.estimators.saving import (
    LABELS,
    Saved,
    decoded_labels,
    labels_to_save,
    parameters_to_save,
    read_content,
)
from pluggable_mlp.files import check_kind, damaged
from pluggable_mlp.lazy import on_host
from pluggable_mlp.network.checks import check_parameters
from pluggable_mlp.registry import refuse_unknown
from pluggable_mlp.serialization import write_tree

FORMAT = 1
_ATTRIBUTES: dict[str, Any] = {
    "n_features_in_": int,
    "n_iter_": int,
    "best_iteration_": int,
    "loss_curve_": list[float],
    "validation_errors_": list[float],
}
"""What is saved, and its type in a file."""


class _SavedWithPreparation(Saved):
    preparation: dict[str, Any]


def write_table_estimator(estimator: Any, path: Path) -> None:
    """Write a fitted estimator to a file, whole or not at all."""
    content: _SavedWithPreparation = {
        "format": FORMAT,
        "estimator": type(estimator).__name__,
        "parameters": parameters_to_save(estimator),
        "attributes": {name: getattr(estimator, name) for name in _ATTRIBUTES},
        "labels": labels_to_save(estimator),
        "preparation": estimator.preparation_.to_dict(),
        "weights": map_nested(on_host, estimator.parameters_),
    }
    write_tree(path, content)


def read_table_estimator(kind: Any, path: Path, backend: str) -> Any:
    """Return the estimator that a file holds, its parameters on a backend.

    Raises
    ------
    ValueError
        If the file cannot be read, has changed, or holds no estimator of that kind.
    """
    content = read_content(kind, path, _SavedWithPreparation, FORMAT)
    with damaged(path):
        estimator = kind(**_known(kind, content["parameters"], kind._get_param_names()))
        estimator.set_params(backend=backend, device=None)._validate_params()
        attributes = _known(kind, content["attributes"], _ATTRIBUTES)
        for name, type_of in _ATTRIBUTES.items():
            check_kind(attributes[name], type_of)
            setattr(estimator, name, attributes[name])
        for name, value in _known(kind, content["labels"], LABELS).items():
            setattr(estimator, name, decoded_labels(name, value))
        estimator.preparation_ = Preparation.from_dict(content["preparation"])
        _check_columns(estimator)
        estimator._set_network()
        weights: LibraryArrays = content["weights"]
        check_parameters(estimator.network_, weights)
        estimator.parameters_ = map_nested(estimator._place().asarray, weights)
    return estimator


def _check_columns(estimator: Any) -> None:
    """Raise a ValueError if other attributes do not fit the columns of the preparation."""
    names = [column.name for column in estimator._columns]
    own = getattr(estimator, "feature_names_in_", None)
    if estimator.n_features_in_ != len(names) or (own is not None and own.tolist() != names):
        raise ValueError(f"n_features_in_ or feature_names_in_ are not of the {len(names)} columns")
    classes = getattr(estimator, "classes_", None)
    if classes is not None and len(classes) != estimator.preparation_.outputs:
        raise ValueError(f"{len(classes)} classes_ are not {estimator.preparation_.outputs}")


def _known(kind: Any, given: dict[str, Any], names: Any) -> dict[str, Any]:
    """Return a dict, whose names are checked."""
    refuse_unknown(f"a saved {kind.__name__}", given, names)
    return given
