"""The classifier: labels of any kind become what a loss takes, and its outputs labels again."""

from typing import Any, ClassVar, Self

import numpy as np
from array_api_compat import array_namespace
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils._param_validation import HasMethods, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target, unique_labels

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.estimators.base import BaseMLP
from pluggable_mlp.estimators.inputs import (
    check_targets,
    moved,
    on_device,
    on_host,
    place_of,
)
from pluggable_mlp.estimators.labels import (
    BINARY,
    MULTICLASS,
    MULTILABEL,
    indices_of,
    kind_of_labels,
)
from pluggable_mlp.estimators.objective import ScaledLoss
from pluggable_mlp.estimators.parameters import CONSTRAINTS
from pluggable_mlp.estimators.scores import accuracy
from pluggable_mlp.namespaces import unwrapped
from pluggable_mlp.namespaces.reproducible.rounding import type_name
from pluggable_mlp.network.losses import SigmoidCrossEntropy, SoftmaxCrossEntropy
from pluggable_mlp.training.weights import class_weights_of_examples

__all__ = ["MLPClassifier"]


class MLPClassifier(ClassifierMixin, BaseMLP):
    """A multilayer perceptron that classifies, with scikit-learn's parameters, on any array."""

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **CONSTRAINTS,
        "loss": [StrOptions({"log_loss"}), HasMethods(["predict_proba"])],
        "class_weight": [StrOptions({"balanced"}), dict, list, None],
    }
    _numeric_targets = False

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        loss: Any = "log_loss",
        class_weight: Any = None,
        dropout: float = 0.0,
        norm: Any = None,
        clip_norm: float | None = None,
        callbacks: Any = None,
        progress_bar: bool = False,
        backend: str | None = None,
        device: str | None = None,
        arithmetic: str = "native",
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.loss = loss
        self.class_weight = class_weight
        self.dropout = dropout
        self.norm = norm
        self.clip_norm = clip_norm
        self.callbacks = callbacks
        self.progress_bar = progress_bar
        self.backend = backend
        self.device = device
        self.arithmetic = arithmetic

    @available_if(BaseMLP._takes_steps)
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Take one epoch over the data, from where the last call left off.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        classes : array (classes,), optional
            All labels of all calls; needed at the first.

        Returns
        -------
        self
        """
        self._learn_classes(y, classes)
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any) -> Array:
        """Return the predicted labels: (examples,), or an indicator (examples, labels).

        Parameters
        ----------
        X : array (examples, features)
            Of the library and on the device of those that the model was fitted on.
        """
        xp, network, z = self._outputs(X, "predict")
        return self._named(unwrapped(network.objective.predict(xp, z)))

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class, (examples, classes), in the order of `classes_`.

        Parameters
        ----------
        X : array (examples, features)
            Of the library and on the device of those that the model was fitted on.
        """
        return self._probabilities(X, "predict_proba")

    def predict_log_proba(self, X: Any) -> Array:
        """Return the logarithm of `predict_proba`, (examples, classes).

        Parameters
        ----------
        X : array (examples, features)
            Of the library and on the device of those that the model was fitted on.
        """
        probabilities = self._probabilities(X, "predict_log_proba")
        with np.errstate(divide="ignore"):
            return array_namespace(probabilities).log(probabilities)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy of `predict(X)`: the share of examples all of whose labels are right.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        """
        predicted = self.predict(X)
        if not on_device(predicted):
            y = place_of(y).to_numpy(y) if on_device(y) else y
            return float(_Score().score(predicted, y, sample_weight))
        y = moved(check_targets(self, predicted, y, numeric=False), place_of(predicted))
        xp = array_namespace(predicted)
        weights = None if sample_weight is None else moved(sample_weight, place_of(predicted))
        return accuracy(xp, predicted == y, weights, xp.float64)

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

    def _encoded(self, y: Any, home: Any, X: Any, incremental: bool) -> Array:
        if on_device(y):
            y = moved(y, home)
        xp, on_host = array_namespace(y), not on_device(y)
        kind = kind_of_labels(xp, y, on_host=on_host)
        dtype = type_name(home.xp, X)
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._label_kind = kind
            self.classes_ = unique_labels(y) if on_host else _unique(xp, y, kind)
        elif self.warm_start or kind != MULTILABEL:
            self._refuse_other_classes(xp, y, kind)
        if (kind == MULTILABEL) != (self._label_kind == MULTILABEL):
            raise ValueError(f"y is {kind}, expected {self._label_kind} as in the calls before")
        if kind == MULTILABEL:
            return home.asarray(y, dtype=dtype) if on_host else home.xp.astype(y, X.dtype)
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
                f"loss is {self.loss!r}, which is no loss of {self._label_kind} labels"
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

    def _strata(self, place: Any, targets: Array) -> Any:
        """Return what the held-out part is stratified by: as in scikit-learn, two classes alone."""
        return place.to_numpy(targets).astype(bool) if self.n_outputs_ == 1 else None

    def _score_of(
        self, xp: Namespace, z: Array, targets: Array, sample_weight: Array | None
    ) -> float:
        predicted = self._loss()[0].predict(xp, z)
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
        last = self.classes_.shape[0] - 1  # of a single class there is no other to predict
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

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class _Score(ClassifierMixin):
    """scikit-learn's score of predictions on the host."""

    def predict(self, predicted: Any) -> Any:
        """Return what was predicted already."""
        return predicted


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
