"""What a classifier knows of labels: what the loss takes of them, and labels of what it predicts.

Shapes: y (examples,) or (examples, labels), outputs z (examples, outputs), classes (classes,).
"""

from typing import Any

import numpy as np
from array_api_compat import array_namespace
from sklearn.utils.multiclass import type_of_target, unique_labels

from pluggable_mlp.arrays import Array, LibraryArray, Namespace
from pluggable_mlp.backends import Backend
from pluggable_mlp.estimators.base import BaseMLP
from pluggable_mlp.estimators.inputs import moved, on_device, on_host, place_of
from pluggable_mlp.estimators.labels import (
    BINARY,
    MULTICLASS,
    MULTILABEL,
    accuracy,
    indices_of,
    kind_of_labels,
)
from pluggable_mlp.estimators.objective import ScaledLoss
from pluggable_mlp.namespaces import unwrapped
from pluggable_mlp.namespaces.reproducible.rounding import type_name
from pluggable_mlp.network.losses import SigmoidCrossEntropy, SoftmaxCrossEntropy
from pluggable_mlp.training.class_weight import class_weights_of_examples

__all__ = ["Labelled"]


class Labelled(BaseMLP):
    """An estimator whose targets are labels."""

    classes_: LibraryArray

    _numeric_targets = False

    def _learn_classes(self, y: Any, classes: Any) -> None:
        """Set `classes_` at the first call of `partial_fit`, or hold later ones to it."""
        known = getattr(self, "classes_", None)
        if known is None and classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        if classes is None:
            return
        given = unique_labels(_of_host(classes))
        if known is None:
            self.classes_ = given
            several = y.ndim == 2 if on_device(y) else type_of_target(y).startswith("multilabel")
            self._label_kind = MULTILABEL if several else _kind_of(given)
        elif not np.array_equal(_of_host(known), given):
            raise ValueError(
                f"`classes={classes!r}` is not the same as on last call to partial_fit, was: "
                f"{known!r}"
            )

    def _encoded(self, y: Any, home: Backend, X: Any, incremental: bool) -> Array:
        if on_device(y):
            y = moved(y, home)
        xp, from_host = array_namespace(y), not on_device(y)
        kind = kind_of_labels(xp, y, on_host=from_host)
        dtype = type_name(home.xp, X)
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._label_kind = kind
            self.classes_ = unique_labels(y) if from_host else _unique(xp, y, kind)
        elif self.warm_start or kind != MULTILABEL:
            self._refuse_other_classes(xp, y, kind)
        if (kind == MULTILABEL) != (self._label_kind == MULTILABEL):
            raise ValueError(f"y is {kind}, expected {self._label_kind} as in the calls before")
        if kind == MULTILABEL:
            return home.asarray(y, dtype=dtype) if from_host else home.xp.astype(y, X.dtype)
        places, _ = indices_of(xp, self._classes_beside(y), y)
        if self._loss()[0].targets == "classes":
            return home.asarray(places)
        return home.xp.astype(home.asarray(places), X.dtype)[:, None]

    def _refuse_other_classes(self, xp: Namespace, y: Array, kind: str) -> None:
        """Hold the labels of a later call to those of the first."""
        found = _unique(xp, y, kind)
        classes = self._classes_beside(y)
        _, known = indices_of(xp, classes, found)
        if self.warm_start and (found.shape != classes.shape or not bool(xp.all(known))):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous "
                f"call to fit. Previously got {self.classes_}, `y` has {found}"
            )
        if not bool(xp.all(known)):
            raise ValueError(
                "`y` has classes not in `self.classes_`. "
                f"`self.classes_` has {self.classes_}. 'y' has {found}."
            )

    def _classes_beside(self, y: Array) -> Array:
        """Return `classes_` as an array of the place of y."""
        both_on_host = not on_device(y) and not on_device(self.classes_)
        return self.classes_ if both_on_host else moved(self.classes_, place_of(y))

    def _loss(self) -> tuple[Any, int]:
        count = self.classes_.shape[0]
        loss: Any = self.loss
        if loss == "log_loss":
            loss = SoftmaxCrossEntropy()
            if self._label_kind == BINARY:
                loss = SigmoidCrossEntropy()
            elif self._label_kind == MULTILABEL:
                loss = ScaledLoss(SigmoidCrossEntropy(), float(count))
        classes = loss.targets == "classes"
        if self._label_kind == (MULTILABEL if classes else MULTICLASS):
            raise ValueError(
                f"loss is {self.loss!r}, which is not a loss of {self._label_kind} labels"
            )
        return loss, 1 if self._label_kind == BINARY and not classes else count

    def _weights(self, X: Any, targets: Array, sample_weight: Array | None) -> Array | None:
        if self.class_weight is None:
            return sample_weight
        class_weight = self.class_weight
        if isinstance(class_weight, dict):
            names = _of_host(self.classes_).tolist()
            unknown = [name for name in class_weight if name not in names]
            if unknown:
                raise ValueError(f"class_weight has {unknown[0]!r}, expected classes of {names}")
            class_weight = {names.index(name): w for name, w in class_weight.items()}
        loss, outputs = self._loss()
        xp = array_namespace(targets)
        if class_weight == "balanced" and sample_weight is not None:
            columns = targets if targets.ndim == 2 else targets[:, None]
            classes = 2 if loss.targets == "labels" else outputs
            balanced = [
                _balanced(xp, columns[:, column], classes, sample_weight)
                for column in range(columns.shape[1])
            ]
            class_weight = balanced if len(balanced) > 1 else balanced[0]
        own = class_weights_of_examples(
            xp, loss.targets, targets, outputs, class_weight, getattr(xp, type_name(xp, X))
        )
        return own if sample_weight is None else own * sample_weight

    def _strata(self, place: Backend, targets: Array) -> Any:
        """Return what the held-out part is stratified by: as in scikit-learn, two classes alone."""
        return place.to_numpy(targets).astype(bool) if self.n_outputs_ == 1 else None

    def _score_of(
        self, xp: Namespace, z: Array, targets: Array, sample_weight: Array | None
    ) -> float:
        predicted = xp.astype(self._loss()[0].predict(xp, z), targets.dtype)
        return accuracy(xp, predicted == targets, sample_weight, z.dtype)

    def _graph_outputs(self, xp: Namespace, loss: Any, z: Array) -> dict[str, Array]:
        label, p = loss.predict(xp, z), loss.predict_proba(xp, z)
        if self._label_kind != MULTILABEL:
            label = xp.take(xp.asarray(_of_host(self.classes_)), self._places(label), axis=0)
        return {"label": label, "probabilities": self._by_class(xp, p)}

    def _places(self, predicted: Array) -> Array:
        """Return the place in `classes_` of what the loss predicts, (examples,)."""
        xp = array_namespace(predicted)
        places = predicted if predicted.ndim == 1 else predicted[:, 0]
        last = self.classes_.shape[0] - 1  # 0 if there is a single class
        return xp.where(places > last, last, places)

    def _by_class(self, xp: Namespace, p: Array) -> Array:
        """Return probabilities (examples, classes) of those of the outputs."""
        return p if self.n_outputs_ > 1 else xp.concat([1.0 - p, p], axis=1)

    def _named(self, predicted: Array) -> Array:
        """Return labels for what the loss predicts: class indices, or 0 and 1 for each output."""
        if self._label_kind == MULTILABEL:
            return predicted
        xp, places = array_namespace(predicted), self._places(predicted)
        if on_device(self.classes_) or self.classes_.dtype.kind in "biuf":
            return xp.take(moved(self.classes_, place_of(predicted)), places, axis=0)
        return np.take(self.classes_, place_of(places).to_numpy(places), axis=0)

    def _probabilities(self, X: Any, method: str) -> Array:
        xp, network, z = self._outputs(X, method)
        objective: Any = network.objective
        p = unwrapped(objective.predict_proba(xp, z))
        return self._by_class(array_namespace(p), p)


def _balanced(xp: Namespace, indices: Array, classes: int, sample_weight: Array) -> list[float]:
    """Return the total weight over classes · the weight of the class, for each that occurs."""
    parts = [xp.sum(xp.where(indices == index, sample_weight, 0.0)) for index in range(classes)]
    totals = [float(part) for part in parts]
    present = sum(total > 0.0 for total in totals)
    return [sum(totals) / (present * total) if total > 0.0 else 1.0 for total in totals]


def _kind_of(classes: Any) -> str:
    return BINARY if classes.shape[0] <= 2 else MULTICLASS


def _unique(xp: Namespace, y: Array, kind: str) -> Array:
    """Return the classes of y."""
    return xp.arange(y.shape[1]) if kind == MULTILABEL else xp.unique_values(y)


def _of_host(classes: Any) -> Any:
    return on_host([classes])[0]
