"""What the classifier and the regressor share: from data to fitted parameters, and to outputs."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from pluggable_mlp.arrays import Array, LibraryArray, LibraryArrays, Namespace, dtype_name
from pluggable_mlp.backends import Backend, get_backend
from pluggable_mlp.estimators.certificate import certify, refuse_differences, repeated
from pluggable_mlp.estimators.exchange import Exchange
from pluggable_mlp.estimators.inputs import (
    check_same_place,
    check_sample_weight,
    check_targets,
    check_X,
    computed_at_X,
    moved,
    namespace_for,
    place_of,
)
from pluggable_mlp.estimators.objective import PenalizedMLP
from pluggable_mlp.estimators.parameters import (
    CONSTRAINTS,
    callbacks_of,
    initial_parameters,
    is_lbfgs,
)
from pluggable_mlp.estimators.solving import (
    Job,
    forget_records,
    solve_by_epochs,
    solve_by_lbfgs,
    warn_of_lost_numbers,
)
from pluggable_mlp.estimators.sparse import SparseRows
from pluggable_mlp.namespaces.reproducible.rounding import type_name
from pluggable_mlp.network.losses import Loss
from pluggable_mlp.network.mlp import Parameters
from pluggable_mlp.shortcuts import on_device_of
from pluggable_mlp.training.examples import Examples
from pluggable_mlp.training.trees import map_arrays

__all__ = ["BaseMLP", "checks_parameters", "takes_steps", "unchanged_by_failure"]

Method = TypeVar("Method", bound=Callable[..., Any])

_LINKS = {"classes": "softmax", "labels": "logistic", "numbers": "identity", "counts": "exp"}


def checks_parameters(method: Method) -> Method:
    """Let scikit-learn check an estimator's parameters before a method runs; keep its type."""
    checked: Method = _fit_context(prefer_skip_nested_validation=True)(method)
    return checked


def takes_steps(method: Method) -> Method:
    """Offer a method where the solver takes steps from batches; keep its type."""
    offered: Method = available_if(lambda estimator: estimator._takes_steps())(method)
    return offered


@contextmanager
def unchanged_by_failure(estimator: Any) -> Iterator[None]:
    """Set the attributes of an estimator to what they were before, if fitting fails.

    A fit sets them as it goes, for callbacks, but changes none in place.
    """
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


class BaseMLP(Exchange, ABC):
    """A multilayer perceptron with scikit-learn's parameters, attributes and methods."""

    coefs_: list[LibraryArray]
    intercepts_: list[LibraryArray]
    norms_: LibraryArrays
    loss_: float
    loss_curve_: list[float]
    best_loss_: float | None
    validation_scores_: list[float] | None
    validation_loss_curve_: list[float] | None
    best_validation_score_: float | None
    certificate_: dict[str, Any]
    n_iter_: int
    t_: int
    n_layers_: int
    n_outputs_: int
    n_features_in_: int
    feature_names_in_: NDArray[np.object_]
    out_activation_: str

    _parameter_constraints: ClassVar[dict[str, Any]] = CONSTRAINTS
    _numeric_targets = True

    def _take_parameters(self, given: dict[str, Any]) -> None:
        """Set the attributes of the constructor's parameters, from its local names.

        A subclass may have parameters of its own, more or fewer: `_get_param_names` knows those.
        """
        for name, value in given.items():
            if name != "self":
                setattr(self, name, value)

    @checks_parameters
    @computed_at_X
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the model to data.

        Parameters
        ----------
        X : array, sparse array or frame (examples, features)
            Of any array library; float32 and float64 are computed in as they are, all else in
            float64.
        y : array (examples,) or (examples, outputs)
            Class labels, or numbers.
        sample_weight : array (examples,), optional
            How much each example counts.

        Returns
        -------
        self
        """
        with unchanged_by_failure(self):
            return self._fit(X, y, sample_weight, incremental=False)

    def _takes_steps(self) -> bool:
        """Return whether the solver takes steps from batches, or raise."""
        if is_lbfgs(self.solver):
            raise AttributeError(
                "partial_fit is only available for stochastic optimizers. "
                f"{self.solver} is not stochastic."
            )
        return True

    @abstractmethod
    def _encoded(self, y: Any, home: Backend, X: Any, incremental: bool) -> Array:
        """Return what the loss compares with, on the backend of X; set what is known of y."""

    @abstractmethod
    def _loss(self) -> tuple[Any, int]:
        """Return the loss, and how many outputs the network has."""

    @abstractmethod
    def _graph_outputs(self, xp: Namespace, loss: Loss, z: Array) -> dict[str, Array]:
        """Return what an ONNX graph gives, by name, for the outputs z (examples, outputs)."""

    @abstractmethod
    def _score_of(
        self, xp: Namespace, z: Array, targets: Array, sample_weight: Array | None
    ) -> float:
        """Return the score of the outputs z (examples, outputs)."""

    def _fit(self, X: Any, y: Any, sample_weight: Any, *, incremental: bool) -> Self:
        if self.early_stopping and incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        callbacks_of(self)  # refuses what cannot be called
        first = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        self.__dict__.pop("certificate_", None)  # of an earlier fit
        X = check_X(self, X, reset=first)
        y = check_targets(self, X, y, numeric=self._numeric_targets)
        home = place_of(X)
        if not first:
            X = _cast(home.xp, X, self.coefs_[0].dtype)
        targets = self._encoded(y, home, X, incremental)
        sample_weight = check_sample_weight(X, sample_weight, home)
        weights = self._weights(X, targets, sample_weight)
        self._random_state = check_random_state(self.random_state)
        network = self._describe()
        if first:
            self._initialize(network, home, type_name(home.xp, X))
        else:
            self._keep(map_arrays(lambda w: moved(w, home), self._parameters(network)))
        place, there = self._placed(home, (X, targets, weights, sample_weight))
        with on_device_of(there[0]):
            job = self._job(network, home, place, there)
            with np.errstate(all="ignore"):  # what is not finite is told below
                if is_lbfgs(self.solver):
                    solve_by_lbfgs(self, job)
                else:
                    solve_by_epochs(self, job, incremental)
        self._refuse_divergence(home)
        if self.arithmetic == "reproducible":
            parameters = self._parameters(network)
            with on_device_of(there[0]):
                warn_of_lost_numbers(job, parameters)
            if first:
                known = [each for each in (X, targets, weights) if each is not None]
                self.certificate_ = certify(self, known, place, parameters)
        return self

    @classmethod
    def verify(
        cls,
        certificate: dict[str, Any],
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        backend: str | None = None,
        device: str | None = None,
    ) -> Self:
        """Fit again, and raise unless the certificate of the new fit is equal, `made_on` aside.

        It ends at the first iteration that differs.

        Parameters
        ----------
        certificate : dict
            The `certificate_` of a fit, maybe from JSON.
        X, y, sample_weight
            The data of that fit, arrays of any library.
        backend, device : str, optional
            Where to train, as for the constructor.

        Returns
        -------
        estimator
            The one that was fitted.

        Raises
        ------
        ValueError
            If it differs, saying in what first; or if the fit cannot be repeated, as its
            parameters had a function of your own, or a random_state other than an int.
        """
        again: Self = repeated(cls, certificate)
        with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
            again.set_params(backend=backend, device=device).fit(X, y, sample_weight)
        refuse_differences(certificate, again.certificate_)
        return again.set_params(callbacks=None)

    def _describe(self) -> PenalizedMLP:
        """Return the network for the features and targets, and set the attributes of its form."""
        network = self._fitted_network()
        self.n_layers_, self.n_outputs_ = len(network.sizes), network.sizes[-1]
        self.out_activation_ = _LINKS[network.objective.targets]
        return network

    def _weights(self, X: Any, targets: Array, sample_weight: Array | None) -> Array | None:
        """Return how much each example counts, (examples,), or None."""
        del X, targets
        return sample_weight

    def _initialize(self, network: PenalizedMLP, home: Backend, dtype: str) -> None:
        """Set the attributes of a model before its first step."""
        self.n_iter_ = self.t_ = 0
        start = initial_parameters(network, self._random_state, self.activation, dtype)
        self._keep([{name: home.asarray(a) for name, a in of.items()} for of in start])
        forget_records(self)

    def _placed(self, home: Backend, data: tuple[Any, ...]) -> tuple[Any, list[Any]]:
        """Return the backend on which to train, and the data there."""
        place = home
        if self.backend is not None or self.device is not None:
            name = self.backend or home.name
            with on_device_of(data[0]):  # to make a backend may change the current device
                place = get_backend(name if self.device is None else f"{name}:{self.device}")
        return place, [None if each is None else moved(each, place) for each in data]

    def _job(self, network: PenalizedMLP, home: Backend, place: Backend, there: list[Any]) -> Job:
        """Return all that a solver needs.

        The data are X, targets, weights and sample_weight, already where it is to train.
        """
        xp = namespace_for(self.arithmetic, place, there[0])
        dtype = there[0].dtype
        X, targets, weights, given = (None if of is None else _wrapped(xp, of) for of in there)
        examples = Examples(X, targets, dtype, None, weights)
        return Job(xp, network, examples, given, place, home)

    def _keep(self, parameters: Parameters) -> None:
        """Set the attributes that hold parameters."""
        dense = [of for of in parameters if "W" in of]
        self.coefs_ = [of["W"] for of in dense]
        self.intercepts_ = [of["b"] for of in dense]
        self.norms_ = [of for of in parameters if "W" not in of]

    def _parameters(self, network: PenalizedMLP) -> Parameters:
        """Return the parameters in the order of the network's layers."""
        given = getattr(self, "norms_", [])  # who sets `coefs_` by hand may know of none
        shapes = [layer.shapes() for layer in network.layers if layer.shapes()]
        expected = (
            [of["W"] for of in shapes if "W" in of],
            [set(of) for of in shapes if "W" not in of],
        )
        if ([tuple(W.shape) for W in self.coefs_], [set(of) for of in given]) != expected:
            raise ValueError(
                f"hidden_layer_sizes={self.hidden_layer_sizes!r}, norm={self.norm!r} and "
                f"loss={self.loss!r} describe another network than the fitted one of sizes "
                f"{[*(W.shape[0] for W in self.coefs_), self.coefs_[-1].shape[1]]}; fit it again, "
                "with warm_start=False"
            )
        dense = zip(self.coefs_, self.intercepts_, strict=True)
        norms = iter(given)
        return [
            dict(zip("Wb", next(dense), strict=True)) if "W" in of else next(norms) for of in shapes
        ]

    def _refuse_divergence(self, home: Backend) -> None:
        xp = home.xp
        if not all(bool(xp.all(xp.isfinite(w))) for w in (*self.coefs_, *self.intercepts_)):
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may contain large "
                "values and need to be preprocessed."
            )

    def _outputs(self, X: Any, method: str) -> tuple[Namespace, PenalizedMLP, Array]:
        """Return X's namespace, the network, and its outputs z (examples, outputs) for X."""
        check_is_fitted(self)
        X = check_X(self, X, reset=False)
        check_same_place(self, X, self.coefs_[0], method)
        place = place_of(X)
        X = _cast(place.xp, X, self.coefs_[0].dtype)
        network = self._fitted_network()
        xp = namespace_for(self.arithmetic, place, X)
        parameters = map_arrays(xp.asarray, self._parameters(network))
        with np.errstate(all="ignore"):
            z, _ = network.forward(xp, parameters, _wrapped(xp, X))
        return xp, network, z

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "coefs_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.array_api_support = True
        return tags


def _cast(xp: Namespace, X: Any, dtype: Any) -> Any:
    """Return X in the dtype of the fitted parameters."""
    if isinstance(X, SparseRows):
        return X.astype(dtype)
    return xp.astype(X, getattr(xp, dtype_name(dtype).rpartition(".")[2]), copy=False)


def _wrapped(xp: Namespace, array: Any) -> Any:
    """Return an array of the namespace; sparse rows are known to theirs as they are."""
    return array if isinstance(array, SparseRows) else xp.asarray(array)
