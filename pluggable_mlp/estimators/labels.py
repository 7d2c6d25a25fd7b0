"""Labels of classifiers: encoded as targets for the loss, and decoded from its predictions.

Shapes: y (examples,) or an indicator (examples, labels) of 0 and 1; outputs z (examples, outputs);
classes (classes,) are in ascending order.
"""

import math
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score
from sklearn.utils.multiclass import (
    _check_partial_fit_first_call,
    check_classification_targets,
    type_of_target,
    unique_labels,
)

from pluggable_mlp.arrays import Array, LibraryArray, Namespace, array_namespace
from pluggable_mlp.backends import Backend
from pluggable_mlp.estimators.base import BaseMLP
from pluggable_mlp.estimators.objective import scale_loss
from pluggable_mlp.estimators.parameters import ClassWeight
from pluggable_mlp.estimators.validation import (
    BINARY,
    MULTICLASS,
    MULTILABEL,
    host_copy,
    move,
    on_device,
    place_of,
    weights_by_index,
)
from pluggable_mlp.host.lazy import on_host
from pluggable_mlp.network.loss import Loss
from pluggable_mlp.network.losses import SigmoidCrossEntropy, SoftmaxCrossEntropy
from pluggable_mlp.training.class_weight import class_weights_of_examples


class ClassifierBase(BaseMLP):
    """An estimator whose targets are labels."""

    class_weight: ClassWeight
    classes_: LibraryArray

    _metric = staticmethod(accuracy_score)
    _label_kind: str

    def _learn_classes(self, y: Any, classes: object) -> None:
        """Set `classes_` in the first call of `partial_fit`, or check later calls against it."""
        if hasattr(self, "classes_"):
            self.classes_ = cast(Any, on_host(self.classes_))
        if _check_partial_fit_first_call(self, None if classes is None else on_host(classes)):
            kind = type_of_target(host_copy(y))
            self._label_kind = kind if kind == MULTILABEL else type_of_target(self.classes_)

    def _encode(self, y: NDArray[Any], home: Backend, dtype: str) -> NDArray[Any]:
        check_classification_targets(y)
        kind, labels = type_of_target(y, input_name="y"), unique_labels(y)
        if "multioutput" in kind:
            raise ValueError("Multioutput target data is not supported with label binarization")
        if not hasattr(self, "classes_"):
            self._label_kind, self.classes_ = kind, labels
        elif self.warm_start or kind != MULTILABEL:
            self._refuse_other_classes(labels)
        if (kind == MULTILABEL) != (self._label_kind == MULTILABEL):
            raise ValueError(f"y is {kind}, expected {self._label_kind} as in the calls before")
        self.classes_ = self._classes_at(home)
        if kind == MULTILABEL:
            return y.astype(dtype)
        indices = np.searchsorted(on_host(self.classes_), y)
        by_class = self._loss_and_outputs()[0].targets == "classes"
        return indices if by_class else indices.astype(dtype)[:, None]

    def _refuse_other_classes(self, labels: NDArray[Any]) -> None:
        """Raise if a later call has labels that the first did not."""
        classes = on_host(self.classes_)
        unknown = np.setdiff1d(labels, classes)
        if self.warm_start and (len(unknown) or len(labels) != len(classes)):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous "
                f"call to fit. Previously got {classes}, `y` has {labels}"
            )
        if len(unknown):
            raise ValueError(
                "`y` has classes not in `self.classes_`. "
                f"`self.classes_` has {classes}. 'y' has {labels}."
            )

    def _loss_and_outputs(self) -> tuple[Loss, int]:
        count = self.classes_.shape[0]
        if isinstance(self.loss, str):  # "log_loss"
            loss: Loss = SoftmaxCrossEntropy()
            if self._label_kind == BINARY:
                loss = SigmoidCrossEntropy()
            elif self._label_kind == MULTILABEL:
                loss = scale_loss(SigmoidCrossEntropy(), float(count))
        else:
            loss = self.loss
        by_class = loss.targets == "classes"
        if self._label_kind == (MULTILABEL if by_class else MULTICLASS):
            raise ValueError(
                f"loss is {self.loss!r}, which is not a loss of {self._label_kind} labels"
            )
        return loss, 1 if self._label_kind == BINARY and not by_class else count

    def _weigh(
        self, targets: NDArray[Any], sample_weight: NDArray[Any] | None, dtype: str
    ) -> NDArray[Any]:
        """Return the weight of each example times that of its class, (examples,) in a dtype."""
        class_weight: object = self.class_weight
        if isinstance(class_weight, dict):
            class_weight = weights_by_index(class_weight, on_host(self.classes_))
        loss, outputs = self._loss_and_outputs()
        if class_weight == "balanced" and sample_weight is not None:
            columns = targets if targets.ndim == 2 else targets[:, None]
            classes = 2 if loss.targets == "labels" else outputs
            balanced = [_balance(column, classes, sample_weight) for column in columns.T]
            class_weight = balanced if len(balanced) > 1 else balanced[0]
        factors: NDArray[Any] = class_weights_of_examples(
            np, loss.targets, targets, outputs, class_weight, getattr(np, dtype)
        )
        return factors if sample_weight is None else factors * sample_weight

    def _graph_outputs(self, xp: Namespace, loss: Any, z: Array) -> dict[str, Array]:
        label, p = loss.predict(xp, z), loss.predict_proba(xp, z)
        if self._label_kind != MULTILABEL:
            classes = xp.asarray(on_host(self.classes_))
            label = xp.take(classes, self._class_indices(label), axis=0)
        return {"label": label, "probabilities": self._by_class(xp, p)}

    def _class_indices(self, predicted: Array) -> Array:
        """Return the indices in `classes_` of the loss's predictions, (examples,)."""
        xp = array_namespace(predicted)
        indices = predicted if predicted.ndim == 1 else predicted[:, 0]
        last = self.classes_.shape[0] - 1  # 0 if there is a single class
        return xp.where(indices > last, last, indices)

    def _by_class(self, xp: Namespace, p: Array) -> Array:
        """Return probabilities by class (examples, classes) from those by output."""
        return p if self.n_outputs_ > 1 else xp.concat([1.0 - p, p], axis=1)

    def _labels(self, predicted: Array) -> Array:
        """Return labels for the loss's predictions: class indices, or 0 and 1 for each output."""
        if self._label_kind == MULTILABEL:
            return predicted
        indices = self._class_indices(predicted)
        classes = self._classes_at(place_of(indices))
        if on_device(classes):
            return array_namespace(classes).take(classes, indices, axis=0)
        return np.take(classes, on_host(indices), axis=0)

    def _classes_at(self, place: Backend) -> Array:
        """Return the classes as an array of a place; texts stay in NumPy."""
        is_number = on_device(self.classes_) or self.classes_.dtype.kind in "biuf"
        return move(self.classes_, place) if is_number else self.classes_

    def _probabilities(self, X: object, method: str | None = None) -> Array:
        p = self._outputs(X, "predict_proba", method)
        return self._by_class(array_namespace(p), p)


def _balance(indices: NDArray[Any], classes: int, sample_weight: NDArray[Any]) -> list[float]:
    """Return the total weight over classes · the weight of the class, for each that occurs.

    Sums are rounded once: they have the same bits on every machine.
    """
    totals = [math.fsum(sample_weight[indices == index].tolist()) for index in range(classes)]
    present, total = sum(weight > 0.0 for weight in totals), math.fsum(totals)
    return [total / (present * weight) if weight > 0.0 else 1.0 for weight in totals]
