"""Saved estimators: what a file may hold, and how it is written and read.

A file is a tree, as `serialization.py` writes it: the parameters, the attributes that a class of
this file lists with their types, and the weights.  Whatever `save` could not have written is
refused.
"""

import dataclasses
from collections.abc import Mapping
from numbers import Integral
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import msgspec
import numpy as np
from msgspec import UNSET, Meta, UnsetType
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from pluggable_mlp.arrays import map_nested
from pluggable_mlp.backends import get_backend
from pluggable_mlp.data.arrays import check_unpacked
from pluggable_mlp.data.preparation import Preparation
from pluggable_mlp.estimators.validation import BINARY, MULTILABEL
from pluggable_mlp.fields import Count, Positive, PositiveCount
from pluggable_mlp.files import blame
from pluggable_mlp.files.hashing import parameters_sha256
from pluggable_mlp.files.serialization import (
    ArrayTree,
    Components,
    read_tree,
    write_tree,
)
from pluggable_mlp.host.lazy import on_host
from pluggable_mlp.network.activations import ACTIVATIONS
from pluggable_mlp.network.feature_layers import NORMALIZATIONS
from pluggable_mlp.network.losses import LOSSES
from pluggable_mlp.training.components import OPTIMIZERS, TRANSFORMS
from pluggable_mlp.training.schedules import SCHEDULES

FORMAT = 3
COMPONENTS: Components = {
    kind.__name__: kind
    for table in (ACTIVATIONS, LOSSES, NORMALIZATIONS, OPTIMIZERS, SCHEDULES, TRANSFORMS)
    for kind in (each if isinstance(each, type) else type(each) for each in table.values())
    if dataclasses.is_dataclass(kind)
}
"""The types of an estimator's parameters that can be saved."""


class Stored(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Base of what a file holds as an object of JSON: no other name, and each value of a type."""


class _Content(Stored):
    """The tree in a file."""

    format: int
    estimator: str
    parameters: dict[str, Any]
    attributes: dict[str, Any]
    weights: ArrayTree


class Labels(Stored):
    """An array of labels or names (n,)."""

    labels: Annotated[list[bool | int | float | str], Meta(min_length=1)]
    dtype: Annotated[str, Meta(pattern=r"^(\|O|\|b1|[<>|][iuf](1|2|4|8|16)|[<>]U[0-9]{1,9})$")]

    @property
    def nbytes(self) -> int:
        """The memory that the array takes."""
        return np.dtype(self.dtype).itemsize * len(self.labels)

    def restore(self) -> NDArray[Any]:
        """Return the array in its dtype."""
        array = np.asarray(self.labels, dtype=self.dtype)
        if array.tolist() != self.labels:
            raise ValueError(f"its labels are not of dtype {self.dtype}")
        return array


class Prepared(Stored):
    """The preparation of a table."""

    preparation: dict[str, Any]

    def restore(self) -> Preparation:
        """Return the preparation."""
        return Preparation.from_dict(self.preparation)


class FittedTable(Stored):
    """The attributes of an estimator for tables."""

    n_features_in_: PositiveCount
    n_iter_: Count
    best_iteration_: Count
    loss_curve_: list[float]
    validation_errors_: list[float]
    preparation_: Prepared
    feature_names_in_: Labels | UnsetType = UNSET


class FittedTableClassifier(FittedTable, kw_only=True):
    """Those of a classifier for tables."""

    classes_: Labels
    temperature_: Positive


class FittedArrays(Stored):
    """The attributes of an estimator for arrays; with L-BFGS it has no curves."""

    n_iter_: Count
    t_: Count
    loss_: float
    n_layers_: Count
    n_outputs_: PositiveCount
    out_activation_: str
    n_features_in_: PositiveCount
    loss_curve_: list[float] | UnsetType = UNSET
    best_loss_: float | UnsetType | None = UNSET
    validation_scores_: list[float] | UnsetType | None = UNSET
    best_validation_score_: float | UnsetType | None = UNSET
    validation_loss_curve_: list[float] | UnsetType | None = UNSET
    feature_names_in_: Labels | UnsetType = UNSET
    _no_improvement_count: Count | UnsetType = UNSET


class FittedClassifier(FittedArrays, kw_only=True):
    """Those of a classifier for arrays."""

    classes_: Labels
    _label_kind: Literal["binary", "multiclass", "multilabel-indicator"]


class FittedRegressor(FittedArrays, kw_only=True):
    """Those of a regressor for arrays."""

    _outputs_of_y: PositiveCount


class FilesMixin(BaseEstimator):
    """Methods that save an estimator, and load it, and the hash of its parameters.

    Its class has `_weights_to_save()`, which returns a tree of arrays, and `_take_weights(weights,
    backend)`, which sets them.
    """

    _saved: ClassVar[type[msgspec.Struct]]
    """The attributes that are saved, beside parameters and weights, with their types."""

    @property
    def parameters_sha256_(self) -> str:
        """The SHA-256 of the fitted parameters, in layer order, W before b."""
        check_is_fitted(self)
        return parameters_sha256(map_nested(on_host, self._weights_to_save()))

    def save(self, path: str | PathLike[str]) -> None:
        """Write the fitted model to one safetensors file, with everything but arrays as JSON.

        The preparation of tables is included; callbacks, a `RandomState` and the optimizer's memory
        are not.

        Parameters
        ----------
        path : str or Path
            The file to write; an existing one is replaced.

        Raises
        ------
        ValueError
            If a parameter is a user-defined function or object, or the parameters were set to those
            of another network after the fit.
        """
        check_is_fitted(self)
        attributes = {
            name: _to_tree(name, getattr(self, name))
            for name in self._saved.__struct_fields__
            if hasattr(self, name)
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
            The file.
        backend : str, default "numpy"
            The backend of the parameters, such as "torch:cuda".

        Raises
        ------
        ValueError
            If the file cannot be read, has changed, or holds no such estimator.
        BackendUnavailable
            If the backend is not available.
        """
        path, kind = Path(path), cls.__name__
        place = get_backend(backend)
        content = read_tree(path, f"what {kind}.save wrote", COMPONENTS, _Content)
        found = f"{content.estimator:.50} of format {content.format}"
        if (content.estimator, content.format) != (kind, FORMAT):
            raise ValueError(f"{path} holds {found}, expected {kind} of format {FORMAT}")
        weights = map_nested(place.asarray, content.weights)  # out of memory: not a damaged file
        with blame(path):
            attributes = msgspec.structs.asdict(msgspec.convert(content.attributes, cls._saved))
        arrays = [value for value in attributes.values() if isinstance(value, Labels)]
        check_unpacked(str(path), sum(array.nbytes for array in arrays))
        with blame(path):
            loaded = cls(**content.parameters)
            loaded._validate_params()
            if parameters_to_save(loaded) != content.parameters:
                raise ValueError("its parameters are not those of a saved estimator")
            for name, value in attributes.items():
                if value is not UNSET:
                    is_stored = isinstance(value, Labels | Prepared)
                    setattr(loaded, name, value.restore() if is_stored else value)
            loaded._take_weights(weights, backend)
            loaded._check_names()
        return loaded

    def _check_names(self) -> None:
        """Raise ValueError unless the classes and the names of features fit the network."""
        attributes: Mapping[str, Any] = vars(self)
        names, features = attributes.get("feature_names_in_"), attributes["n_features_in_"]
        if names is not None and not (
            len(names) == features and all(isinstance(name, str) for name in names)
        ):
            raise ValueError(f"it has {len(names)} names of {features} features")
        if (classes := attributes.get("classes_")) is None:
            return
        kind, count = attributes.get("_label_kind", MULTILABEL), len(classes)
        if not np.array_equal(np.unique(classes), classes):
            raise ValueError("its classes are not in ascending order")
        if kind != MULTILABEL and (kind == BINARY) != (count < 3):
            raise ValueError(f"its {count} classes are {kind}")


def _to_tree(name: str, value: Any) -> Any:
    """Return an attribute as JSON data, as `Labels` and `Prepared` have it."""
    if isinstance(value, Preparation):
        return {"preparation": value.to_dict()}
    if not hasattr(value, "dtype") or isinstance(value, np.generic):  # of scikit-learn
        return value
    labels = on_host(value)
    if labels.dtype.kind == "O" and not all(isinstance(label, str) for label in labels):
        raise ValueError(f"{name} are objects other than texts, which no file holds")
    return {"labels": labels.tolist(), "dtype": labels.dtype.str}


def parameters_to_save(estimator: Any) -> dict[str, Any]:
    """Return an estimator's parameters, without callbacks and a `RandomState`."""
    parameters: dict[str, Any] = estimator.get_params()
    for name, value in parameters.items():
        if name == "callbacks" or (name == "random_state" and not isinstance(value, Integral)):
            parameters[name] = None
        elif isinstance(value, np.ndarray):
            parameters[name] = tuple(value.tolist())
    return parameters
