"""The classifier and the regressor for arrays.

Their common code is in `base.py`, the encoding of labels in `labels.py`.
"""

from collections.abc import Callable
from dataclasses import KW_ONLY
from typing import Annotated, Any, ClassVar, Self

import numpy as np
import sklearn.neural_network
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils import Tags
from sklearn.utils._param_validation import HasMethods, StrOptions

from pluggable_mlp.arrays import Array, LibraryArray, Namespace, array_namespace
from pluggable_mlp.backends import Backend
from pluggable_mlp.estimators.base import BaseMLP, takes_steps
from pluggable_mlp.estimators.labels import ClassifierBase
from pluggable_mlp.estimators.objective import scale_loss
from pluggable_mlp.estimators.parameters import ClassWeight, describe_like, fits, with_parameters
from pluggable_mlp.estimators.saved import FittedClassifier, FittedRegressor
from pluggable_mlp.estimators.validation import computed_at_X
from pluggable_mlp.network.loss import Loss
from pluggable_mlp.network.losses import LOSSES

_NUMERIC = [name for name, loss in LOSSES.items() if loss.targets in ("numbers", "counts")]


@with_parameters
class MLPClassifier(ClassifierMixin, ClassifierBase):
    """A multilayer perceptron that classifies, on arrays of any library.

    It has the parameters, attributes and methods of scikit-learn's `MLPClassifier`, and more.
    It computes in the library, on the device and in the dtype of X, and predicts arrays of that
    library.  The same seed gives scikit-learn's model, to rounding.

    Parameters
    ----------
    hidden_layer_sizes : array-like of int, default (100,)
        The widths of the hidden layers; empty for none.
    activation : str, activation, pair of functions, or list of these, default "relu"
        The activation of the hidden layers, one for all or one per layer: "identity", "logistic",
        "tanh", "relu", or any other that `MLP` accepts.
    solver : str or optimizer, default "adam"
        "lbfgs", "sgd", "adam", or another optimizer of `make_optimizer`, by name or as an object,
        which has its own learning rate.
    alpha : float, default 0.0001
        The strength of the penalty alpha/2 |W|² / n in the loss of n examples.
    batch_size : int or "auto", default "auto"
        Examples per step, for all solvers except lbfgs; "auto" means min(200, examples).
    learning_rate : {"constant", "invscaling", "adaptive"} or schedule, default "constant"
        The names as in scikit-learn ("invscaling" and "adaptive" only for sgd), a schedule from
        `make_schedule`, or a function of the count of updates.
    learning_rate_init : float, default 0.001
        The rate, unless there is a schedule.
    power_t : float, default 0.5
        The exponent of "invscaling".
    max_iter : int, default 200
        The maximum number of epochs, or of iterations of lbfgs.
    shuffle : bool, default True
        Take the examples in a new order in each epoch.
    random_state : int, RandomState or None, default None
        Seeds the initial weights, the held-out part, the shuffles, dropout and noise.
    tol : float, default 0.0001
        The smallest improvement of the loss, or of the held-out score, that counts; lbfgs stops
        when no derivative is larger.
    verbose : bool or int, default False
        Print the loss of each iteration.
    warm_start : bool, default False
        Start `fit` from the last solution.
    momentum : float, default 0.9
        For sgd, at least 0 and below 1.
    nesterovs_momentum : bool, default True
        Only for sgd with a momentum above 0.
    early_stopping : bool, default False
        Hold out a part of the examples, stop when its score stops improving, and keep the best
        parameters.
    validation_fraction : float, default 0.1
        The part that is held out.
    beta_1, beta_2, epsilon : float, default 0.9, 0.999, 1e-08
        Parameters of adam.
    n_iter_no_change : int, default 10
        How many epochs in a row may fail to improve.
    max_fun : int, default 15000
        The maximum number of evaluations of the loss by lbfgs.
    dropout : float, default 0.0
        The probability with which training drops an output of a hidden layer.
    input_dropout : float, default 0.0
        The probability with which training drops an input.
    input_noise : float, default 0.0
        The standard deviation, in the unit of X, of the uniform noise that training adds to X.
    norm : {"layer", "batch"}, LayerNorm, BatchNorm or None, default None
        A normalization before each activation.
    clip_norm : float or None, default None
        The largest norm of a step's gradients; not with lbfgs.
    n_members : int, default 1
        How many networks are trained on the same batches, from different initial weights; their
        predictions are averaged.  Not with lbfgs.
    callbacks : callable or list of callables, optional
        Each is called after each iteration with the model so far, a copy of the estimator; one that
        returns True ends the fit.
    backend : str or None, default None
        Train with this array library, "torch" or "torch:cuda", instead of X's.  Attributes and
        predictions still belong to X's library.
    device : str or None, default None
        Train on this device of the library: "cuda".
    arithmetic : {"native", "reproducible"}, default "native"
        With "reproducible" the model has the same bits on every library.
    loss : "log_loss" or Loss, default "log_loss"
        An object such as `SoftmaxCrossEntropy(label_smoothing=0.1)`, or your own.
    class_weight : "balanced", dict, list or None, default None
        As elsewhere in scikit-learn: {label: weight}; for multilabel targets a list of dicts.

    Attributes
    ----------
    classes_ : array (classes,)
        The labels in ascending order.
    coefs_ : list of array (in, out) or (members, in, out)
        The weights of each layer, in X's library.
    intercepts_ : list of array (out,) or (members, out)
        The biases of each layer.
    norms_ : list of dict of arrays
        The parameters and buffers of each normalization.
    loss_ : float
        The loss of the last iteration.
    best_loss_ : float or None
        The least loss; None with early stopping.
    loss_curve_ : list of float
        The loss of each epoch.
    validation_scores_, validation_loss_curve_ : list of float or None
        The accuracy and the loss of the held-out part after each epoch.
    best_validation_score_ : float or None
        The best of these scores.
    parameters_sha256_ : str
        The SHA-256 of the fitted parameters: the same after the same reproducible fit elsewhere.
    t_ : int
        The number of examples seen in training.
    n_iter_, n_layers_, n_outputs_, n_features_in_ : int
    feature_names_in_ : array of str
        The names of a frame's columns.
    out_activation_ : str
        "softmax", or "logistic" for two classes and for multilabel targets.

    See Also
    --------
    sklearn.neural_network.MLPClassifier : The same model on NumPy.
    TableClassifier : For tables with texts and missing values.

    Examples
    --------
    >>> from pluggable_mlp import MLPClassifier
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> MLPClassifier(random_state=0, max_iter=500).fit(X, y).score(X, y) > 0.95
    True
    """

    _: KW_ONLY
    loss: Annotated[str | Loss, StrOptions({"log_loss"}), HasMethods(["predict_proba"])] = (
        "log_loss"
    )
    class_weight: Annotated[ClassWeight, StrOptions({"balanced"}), dict, list, None] = None

    _counterpart = sklearn.neural_network.MLPClassifier
    _saved = FittedClassifier

    @takes_steps
    @fits
    def partial_fit(
        self, X: object, y: object, sample_weight: object = None, classes: object = None
    ) -> Self:
        """Take one epoch over the data, from where the last call left off.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        classes : array (classes,), optional
            All labels of all calls; required in the first.

        Returns
        -------
        self
        """
        self._learn_classes(y, classes)
        self._fit(X, y, sample_weight, incremental=True)
        return self

    @computed_at_X
    def predict(self, X: object) -> LibraryArray:
        """Return the predicted labels: (examples,), or an indicator (examples, labels).

        Parameters
        ----------
        X : array (examples, features)
            In the library and on the device of the X of `fit`.
        """
        return self._labels(self._outputs(X, "predict"))

    @computed_at_X
    def predict_proba(self, X: object) -> LibraryArray:
        """Return the probability of each class, (examples, classes), in the order of `classes_`.

        Parameters
        ----------
        X : array (examples, features)
            In the library and on the device of the X of `fit`.
        """
        return self._probabilities(X)

    @computed_at_X
    def predict_log_proba(self, X: object) -> LibraryArray:
        """Return the logarithm of `predict_proba`, (examples, classes).

        Parameters
        ----------
        X : array (examples, features)
            In the library and on the device of the X of `fit`.
        """
        probabilities = self._probabilities(X, "predict_log_proba")
        with np.errstate(divide="ignore"):
            return array_namespace(probabilities).log(probabilities)

    score: ClassVar[Callable[..., float]] = BaseMLP.score  # not the mixin's

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


@with_parameters
class _WithLoss(BaseEstimator):
    """Makes `loss` the first parameter, as in scikit-learn."""

    loss: Annotated[str | Loss, StrOptions(set(_NUMERIC)), HasMethods(["predict"])] = (
        "squared_error"
    )


@describe_like(MLPClassifier)
@with_parameters
class MLPRegressor(RegressorMixin, BaseMLP, _WithLoss):
    """A multilayer perceptron that predicts numbers, on arrays of any library.

    It extends scikit-learn's `MLPRegressor` as our `MLPClassifier` extends scikit-learn's.

    Parameters
    ----------
    loss : str or Loss, default "squared_error"
        "squared_error" (half of it, summed over the outputs), "poisson" (which predicts exp of the
        outputs, for targets of at least 0), or another regression loss in `LOSSES`, by name or as
        an object such as `HuberLoss(delta=2.0)`.

    Attributes
    ----------
    validation_scores_, best_validation_score_
        R² of the held-out part, and the best.
    out_activation_ : str
        "identity", or "exp" with the loss poisson.
    others
        As in `MLPClassifier`, except classes_.

    See Also
    --------
    sklearn.neural_network.MLPRegressor : The same model on NumPy.
    TableRegressor : For tables with texts and missing values.

    Examples
    --------
    >>> from pluggable_mlp import MLPRegressor
    >>> from sklearn.datasets import make_regression
    >>> X, y = make_regression(100, 2, random_state=0)
    >>> model = MLPRegressor(activation="identity", solver="lbfgs", random_state=0)
    >>> model.fit(X, y).score(X, y) > 0.99
    True
    """

    _metric = staticmethod(r2_score)
    _counterpart = sklearn.neural_network.MLPRegressor
    _saved = FittedRegressor

    @takes_steps
    @fits
    def partial_fit(self, X: object, y: object, sample_weight: object = None) -> Self:
        """Take one epoch over the data, from where the last call left off.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.

        Returns
        -------
        self
        """
        self._fit(X, y, sample_weight, incremental=True)
        return self

    @computed_at_X
    def predict(self, X: object) -> LibraryArray:
        """Return the predicted numbers, (examples,) or (examples, outputs).

        Parameters
        ----------
        X : array (examples, features)
            In the library and on the device of the X of `fit`.
        """
        predicted = self._outputs(X, "predict")
        return predicted[:, 0] if self.n_outputs_ == 1 else predicted

    score: ClassVar[Callable[..., float]] = BaseMLP.score  # not the mixin's

    def _encode(self, y: NDArray[Any], home: Backend, dtype: str) -> NDArray[Any]:
        self._outputs_of_y = 1 if y.ndim == 1 else y.shape[1]
        if self._loss_and_outputs()[0].targets == "counts" and (y < 0).any():
            raise ValueError(f"y holds negative numbers, expected none with loss={self.loss!r}")
        return y.astype(dtype).reshape(len(y), -1)

    def _loss_and_outputs(self) -> tuple[Loss, int]:
        outputs, loss = self._outputs_of_y, self.loss
        if not isinstance(loss, str):
            if loss.targets == "classes":
                raise ValueError(f"loss is {loss!r}, which is not a loss of numbers")
            return loss, outputs
        # scikit-learn sums over the outputs, and halves squares.
        factors = {"squared_error": 0.5 * outputs, "poisson": 1.0 * outputs}
        return scale_loss(LOSSES[loss], factors.get(loss, 1.0)), outputs

    def _graph_outputs(self, xp: Namespace, loss: Loss, z: Array) -> dict[str, Array]:
        predicted = loss.predict(xp, z)
        return {"prediction": predicted[:, 0] if self.n_outputs_ == 1 else predicted}

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
