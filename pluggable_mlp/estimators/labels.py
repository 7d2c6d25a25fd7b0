"""What a classifier knows of labels: what the loss takes of them, and labels of what it predicts.

Shapes: y (examples,) or an indicator (examples, labels) of 0 and 1; outputs z (examples, outputs);
classes (classes,) are in ascending order.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score
from sklearn.utils.multiclass import type_of_target, unique_labels

from pluggable_mlp.arrays import (
    Array,
    DType,
    LibraryArray,
    Namespace,
    array_namespace,
    device_of,
)
from pluggable_mlp.backends import Backend
from pluggable_mlp.estimators.base import BaseMLP
from pluggable_mlp.estimators.objective import scaled
from pluggable_mlp.estimators.parameters import ClassWeight
from pluggable_mlp.estimators.validation import (
    BINARY,
    MULTICLASS,
    MULTILABEL,
    kind_of_labels,
    moved,
    on_device,
    place_of,
)
from pluggable_mlp.lazy import on_host
from pluggable_mlp.namespaces import unwrapped
from pluggable_mlp.network.loss import Loss
from pluggable_mlp.network.losses import SigmoidCrossEntropy, SoftmaxCrossEntropy
from pluggable_mlp.training.class_weight import class_weights_of_examples


class ClassifierBase(BaseMLP):
    """An estimator whose targets are labels."""

    class_weight: ClassWeight
    classes_: LibraryArray

    _numeric_targets = False
    _metric = staticmethod(accuracy_score)
    _label_kind: str

    def _learn_classes(self, y: Any, classes: object) -> None:
        """Set `classes_` at the first call of `partial_fit`, or hold later ones to it."""
        known = getattr(self, "classes_", None)
        if known is None and classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        if classes is None:
            return
        given = unique_labels(on_host(classes))
        if known is None:
            self.classes_ = given
            several = y.ndim == 2 if on_device(y) else type_of_target(y).startswith(MULTILABEL)
            self._label_kind = MULTILABEL if several else _kind_of(given)
        elif not np.array_equal(on_host(known), given):
            raise ValueError(
                f"`classes={classes!r}` is not the same as on last call to partial_fit, was: "
                f"{known!r}"
            )

    def _encoded(self, y: Array, home: Backend, dtype: str) -> Array:
        y = moved(y, home) if on_device(y) else y
        xp = array_namespace(y)
        kind = kind_of_labels(y)
        if not hasattr(self, "classes_"):
            self._label_kind = kind
            self.classes_ = _unique(xp, y, kind) if on_device(y) else unique_labels(y)
        elif self.warm_start or kind != MULTILABEL:
            self._refuse_other_classes(xp, y, kind)
        if (kind == MULTILABEL) != (self._label_kind == MULTILABEL):
            raise ValueError(f"y is {kind}, expected {self._label_kind} as in the calls before")
        if kind == MULTILABEL:
            return home.asarray(y, dtype=dtype)
        indices, _ = _indices_of(xp, self._classes_beside(y), y)
        if self._loss_and_outputs()[0].targets == "classes":
            return home.asarray(indices)
        return home.asarray(indices, dtype=dtype)[:, None]

    def _refuse_other_classes(self, xp: Namespace, y: Array, kind: str) -> None:
        """Raise if a later call has labels that the first did not."""
        found = _unique(xp, y, kind)
        classes = self._classes_beside(y)
        all_known = bool(xp.all(_indices_of(xp, classes, found)[1]))
        if self.warm_start and not (all_known and found.shape == classes.shape):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous "
                f"call to fit. Previously got {self.classes_}, `y` has {found}"
            )
        if not all_known:
            raise ValueError(
                "`y` has classes not in `self.classes_`. "
                f"`self.classes_` has {self.classes_}. 'y' has {found}."
            )

    def _classes_beside(self, y: Array) -> Array:
        """Return `classes_` as an array of the place of y."""
        both_on_host = not on_device(y) and not on_device(self.classes_)
        return self.classes_ if both_on_host else moved(self.classes_, place_of(y))

    def _loss_and_outputs(self) -> tuple[Loss, int]:
        count = self.classes_.shape[0]
        if isinstance(self.loss, str):  # "log_loss"
            loss: Loss = SoftmaxCrossEntropy()
            if self._label_kind == BINARY:
                loss = SigmoidCrossEntropy()
            elif self._label_kind == MULTILABEL:
                loss = scaled(SigmoidCrossEntropy(), float(count))
        else:
            loss = self.loss
        by_class = loss.targets == "classes"
        if self._label_kind == (MULTILABEL if by_class else MULTICLASS):
            raise ValueError(
                f"loss is {self.loss!r}, which is not a loss of {self._label_kind} labels"
            )
        return loss, 1 if self._label_kind == BINARY and not by_class else count

    def _weights(self, targets: Array, sample_weight: Array | None, dtype: str) -> Array | None:
        class_weight: object = self.class_weight
        if class_weight is None:
            return sample_weight
        if isinstance(class_weight, dict):
            names = on_host(self.classes_).tolist()
            unknown = [name for name in class_weight if name not in names]
            if unknown:
                raise ValueError(f"class_weight has {unknown[0]!r}, expected classes of {names}")
            class_weight = {names.index(name): w for name, w in class_weight.items()}
        loss, outputs = self._loss_and_outputs()
        xp = array_namespace(targets)
        if class_weight == "balanced" and sample_weight is not None:
            columns = targets if targets.ndim == 2 else targets[:, None]
            classes = 2 if loss.targets == "labels" else outputs
            balanced = [
                _balanced(columns[:, column], classes, sample_weight)
                for column in range(columns.shape[1])
            ]
            class_weight = balanced if len(balanced) > 1 else balanced[0]
        own = class_weights_of_examples(
            xp, loss.targets, targets, outputs, class_weight, getattr(xp, dtype)
        )
        return own if sample_weight is None else own * sample_weight

    def _strata(self, place: Backend, targets: Array) -> NDArray[np.bool_] | None:
        """Return what the held-out part is stratified by: as in scikit-learn, two classes alone."""
        return place.to_numpy(targets).astype(bool) if self.n_outputs_ == 1 else None

    def _score_of(
        self,
        xp: Namespace,
        predicted: Array,
        targets: Array,
        sample_weight: Array | None,
        dtype: DType,
    ) -> float:
        """Return the weighted share of the examples all of whose labels are right."""
        right = predicted == targets
        right = xp.astype(xp.all(right, axis=-1) if right.ndim == 2 else right, dtype)
        if sample_weight is None:
            return float(xp.mean(right))
        weights = xp.astype(sample_weight, dtype)
        return float(xp.sum(right * weights) / xp.sum(weights))

    def _graph_outputs(self, xp: Namespace, loss: Any, z: Array) -> dict[str, Array]:
        label, p = loss.predict(xp, z), loss.predict_proba(xp, z)
        if self._label_kind != MULTILABEL:
            classes = xp.asarray(on_host(self.classes_))
            label = xp.take(classes, self._class_indices(label), axis=0)
        return {"label": label, "probabilities": self._by_class(xp, p)}

    def _class_indices(self, predicted: Array) -> Array:
        """Return the indices in `classes_` of what the loss predicts, (examples,)."""
        xp = array_namespace(predicted)
        indices = predicted if predicted.ndim == 1 else predicted[:, 0]
        last = self.classes_.shape[0] - 1  # 0 if there is a single class
        return xp.where(indices > last, last, indices)

    def _by_class(self, xp: Namespace, p: Array) -> Array:
        """Return probabilities (examples, classes) of those of the outputs."""
        return p if self.n_outputs_ > 1 else xp.concat([1.0 - p, p], axis=1)

    def _labels(self, predicted: Array) -> Array:
        """Return labels for what the loss predicts: class indices, or 0 and 1 for each output."""
        if self._label_kind == MULTILABEL:
            return predicted
        xp, indices = array_namespace(predicted), self._class_indices(predicted)
        if on_device(self.classes_) or self.classes_.dtype.kind in "biuf":
            return xp.take(moved(self.classes_, place_of(predicted)), indices, axis=0)
        return np.take(self.classes_, place_of(indices).to_numpy(indices), axis=0)

    def _probabilities(self, X: object, method: str) -> Array:
        loss: Any
        xp, loss, z = self._outputs(X, method)
        p = unwrapped(loss.predict_proba(xp, z))
        return self._by_class(array_namespace(p), p)


def _indices_of(xp: Namespace, classes: Array, y: Array) -> tuple[Array, Array]:
    """Return the index of each label in the classes, and whether it is there, both (examples,).

    `xp` is the namespace of y: NumPy's for what comes from the host, strings included.
    """
    # PyTorch searches a type in the same alone.
    if floats := [of.dtype for of in (classes, y) if xp.isdtype(of.dtype, "real floating")]:
        classes, y = (xp.astype(each, floats[0]) for each in (classes, y))
    elif xp.isdtype(y.dtype, ("bool", "integral")):
        classes, y = (xp.astype(each, xp.int64) for each in (classes, y))
    last = classes.shape[0] - 1
    indices = xp.searchsorted(classes, y)
    indices = xp.where(indices > last, last, indices)
    return indices, xp.take(classes, indices, axis=0) == y


def _balanced(indices: Array, classes: int, sample_weight: Array) -> list[float]:
    """Return the total weight over classes · the weight of the class, for each that occurs.

    On the host, where the sums are rounded once: they have the same bits everywhere.
    """
    of, weights = on_host(indices), on_host(sample_weight)
    totals = [math.fsum(weights[of == index].tolist()) for index in range(classes)]
    present, total = sum(each > 0.0 for each in totals), math.fsum(totals)
    return [total / (present * each) if each > 0.0 else 1.0 for each in totals]


def _kind_of(classes: NDArray[np.generic]) -> str:
    return BINARY if classes.shape[0] <= 2 else MULTICLASS


def _unique(xp: Namespace, y: Array, kind: str) -> Array:
    """Return the classes of y, in order: the standard leaves that of `unique_values` open."""
    if kind == MULTILABEL:
        return xp.arange(y.shape[1])
    values = xp.unique_values(y)
    order = np.argsort(on_host(values))  # the standard sorts no booleans
    return xp.take(values, xp.asarray(order, device=device_of(values)), axis=0)
