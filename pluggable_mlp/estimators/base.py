"""Code shared by the classifier and the regressor: fitting parameters, computing outputs."""

from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.utils import Tags, check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from pluggable_mlp.arrays import Array, DType, Namespace, dtype_name
from pluggable_mlp.arrays.shortcuts import array_context, backend_context
from pluggable_mlp.backends import Backend, get_backend
from pluggable_mlp.elementary.common import type_name
from pluggable_mlp.estimators.convert import ConversionMixin
from pluggable_mlp.estimators.objective import PenalizedMLP
from pluggable_mlp.estimators.parameters import RECORDS, FittedMLP, fits
from pluggable_mlp.estimators.solvers import EpochFit, Truth, fit_by_lbfgs
from pluggable_mlp.estimators.validation import (
    Method,
    SparseRows,
    check_same_place,
    check_sample_weight,
    check_targets,
    check_X,
    computed_at_X,
    host_copy,
    level_of_caller,
    move,
    namespace_for,
    place_of,
)
from pluggable_mlp.namespaces import unwrapped
from pluggable_mlp.network.loss import Loss
from pluggable_mlp.network.parameters import map_arrays
from pluggable_mlp.network.passes import outputs
from pluggable_mlp.training.examples import Examples
from pluggable_mlp.training.lost_numbers import LostNumbers

_LINKS = {"classes": "softmax", "labels": "logistic", "numbers": "identity", "counts": "exp"}
_FITTED = ("classes_", "coefs_", "_optimizer_state", *RECORDS)
"""The attributes from which a fit continues an earlier one."""


def takes_steps(method: Method) -> Method:
    """Offer a method only if the solver takes steps from batches; keep its type."""
    offered: Method = available_if(lambda estimator: not estimator._is_full_batch)(method)
    return offered


class BaseMLP(ConversionMixin, FittedMLP, ABC):
    """A multilayer perceptron with scikit-learn's parameters, attributes and methods."""

    @fits
    def fit(self, X: object, y: object, sample_weight: object = None) -> Self:
        """Fit the model to data.

        Parameters
        ----------
        X : array, sparse array or frame (examples, features)
            From any array library.  float32 and float64 keep their dtype, and all else is computed
            in float64; on a device without float64, all in float32.
        y : array (examples,) or (examples, outputs)
            Class labels, or numbers.
        sample_weight : array (examples,), optional
            The weight of each example.

        Returns
        -------
        self
        """
        self._fit(X, y, sample_weight, incremental=False)
        return self

    @abstractmethod
    def _encode(self, y: NDArray[Any], home: Backend, dtype: str) -> NDArray[Any]:
        """Return the targets of the loss: class indices, or numbers in the dtype of X.

        Also set the attributes that describe y, with the classes on the backend of X.
        """

    @abstractmethod
    def _loss_and_outputs(self) -> tuple[Loss, int]:
        """Return the loss, and how many outputs the network has."""

    @abstractmethod
    def _graph_outputs(self, xp: Namespace, loss: Loss, z: Array) -> dict[str, Array]:
        """Return an ONNX graph's outputs by name, from the network's z (examples, outputs)."""

    def _fit(self, X: Any, y: Any, sample_weight: Any, *, incremental: bool) -> None:
        """Fit, setting attributes on the way."""
        if self.early_stopping and incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        self._list_of_callbacks()  # refuses what cannot be called
        if not (incremental or self.warm_start):
            for name in _FITTED:  # of an earlier fit
                self.__dict__.pop(name, None)
        first = not hasattr(self, "coefs_")
        with array_context(X):
            home, data, truth = self._check_data(X, y, sample_weight, first)
            network = self._describe()
            self.t_ = 0 if first else self.t_
            dtype = type_name(home.xp, data[0])
            parameters = self._initial(network, dtype) if first else self._parameters(network)
            self._keep(move(parameters, home))
            place = self._place(home)
        with backend_context(place):
            X_there, *others = move(data, place)
            xp = namespace_for(self.arithmetic, place, X_there)
            wrapped = [None if array is None else _wrap(xp, array) for array in (X_there, *others)]
            examples = Examples(wrapped[0], wrapped[1], X_there.dtype, None, wrapped[2])
        self.n_iter_ = 0
        if self._is_full_batch:
            parameters = fit_by_lbfgs(self, xp, network, examples, place)
            self._optimizer_state = None
        else:
            self.__dict__ = RECORDS | vars(self)  # those of an earlier fit stay
            fit = EpochFit(self, xp, network, examples, place, truth, incremental)
            fit.train()
            parameters, (slots, t) = fit.result
            self._rate, self._optimizer_state = fit.rate, (move(slots, home), t)
        self._keep(move(parameters, home))
        self._refuse_divergence(home)
        if self.arithmetic == "reproducible":
            self._warn_of_lost_numbers(xp, network, examples, place)

    def _check_data(
        self, X: Any, y: Any, sample_weight: Any, first: bool
    ) -> tuple[Backend, tuple[Any, ...], Truth]:
        """Return the backend of X; X, the targets and weights of a fit; and the truth of scores."""
        X = check_X(self, X, reset=first)
        y = check_targets(self, X, y, numeric=not is_classifier(self))
        home = place_of(X)
        if not first:
            X = _cast(home.xp, X, self.coefs_[0].dtype)
        elif "float64" in getattr(self._place(home), "missing_dtypes", ()):
            X = _cast(home.xp, X, home.xp.float32)
        dtype = type_name(home.xp, X)
        targets = self._encode(y, home, dtype)
        sample_weight = check_sample_weight(X.shape[0], sample_weight, dtype)
        weights = sample_weight
        if getattr(self, "class_weight", None) is not None:
            weights = self._weigh(targets, sample_weight, dtype)
        self._random_state = check_random_state(self.random_state)
        return home, (X, targets, weights), (targets, sample_weight)

    def _warn_of_lost_numbers(
        self, xp: Namespace, network: PenalizedMLP, examples: Examples, place: Backend
    ) -> None:
        """Warn if reproducible products treat many numbers in the data or weights as 0."""
        with backend_context(place):
            lost = LostNumbers(xp, network, examples)
            counts = lost.counts(move(self._parameters(network), place))
            numbers = {name: int(unwrapped(count)) for name, count in counts.items()}
        lost.warn(numbers, stacklevel=level_of_caller())

    def _fitted_network(self) -> PenalizedMLP:
        """Return the network of the fitted parameters."""
        loss, outputs = self._loss_and_outputs()
        return self._network(self.n_features_in_, outputs, loss)

    def _describe(self) -> PenalizedMLP:
        """Return the network for the features and targets; set the attributes that describe it."""
        network = self._fitted_network()
        self.n_layers_, self.n_outputs_ = len(network.sizes), network.sizes[-1]
        self.out_activation_ = _LINKS[network.objective.targets]
        return network

    def _place(self, home: Backend) -> Backend:
        """Return the backend on which to train."""
        if self.backend is None and self.device is None:
            return home
        name = self.backend or home.name
        return get_backend(name if self.device is None else f"{name}:{self.device}")

    def _refuse_divergence(self, home: Backend) -> None:
        xp, arrays = home.xp, (*self.coefs_, *self.intercepts_)
        with array_context(arrays[0]):
            is_finite = all(bool(xp.all(xp.isfinite(array))) for array in arrays)
        if not is_finite:
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may contain large "
                "values and need to be preprocessed."
            )

    def _outputs(self, X: object, name: str, method: str | None = None) -> Array:
        """Return the loss's "predict" or "predict_proba" for X; errors name the method called."""
        check_is_fitted(self)
        rows = check_X(self, X, reset=False)
        check_same_place(self, rows, self.coefs_[0], method or name)
        place = place_of(rows)
        rows = _cast(place.xp, rows, self.coefs_[0].dtype)
        network = self._fitted_network()
        xp = namespace_for(self.arithmetic, place, rows)
        parameters = map_arrays(xp.asarray, self._parameters(network))
        with np.errstate(all="ignore"):
            return unwrapped(outputs(xp, network, name, parameters, _wrap(xp, rows)))

    @computed_at_X
    def score(self, X: object, y: object, sample_weight: object = None) -> float:
        """Return the accuracy of `predict(X)`, or R² for numbers.

        With several labels an example is right if all are; R² is the mean over the outputs.

        Parameters
        ----------
        X : array, sparse array or frame (examples, features)
            As for `fit`.
        y : array (examples,) or (examples, outputs)
            As for `fit`.
        sample_weight : array (examples,), optional
            As for `fit`.
        """
        predicted = self.predict(X)
        weights = check_sample_weight(predicted.shape[0], sample_weight, "float64")
        return float(self._metric(host_copy(y), host_copy(predicted), sample_weight=weights))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.array_api_support = True
        return tags


def _cast(xp: Namespace, X: Array, dtype: DType) -> Array:
    """Return X in the dtype of the fitted parameters."""
    if isinstance(X, SparseRows):
        return X.astype(dtype)
    return xp.astype(X, getattr(xp, dtype_name(dtype)), copy=False)


def _wrap(xp: Namespace, array: Array) -> Array:
    """Return x as an array of the namespace; sparse rows stay as they are."""
    return array if isinstance(array, SparseRows) else xp.asarray(array)
