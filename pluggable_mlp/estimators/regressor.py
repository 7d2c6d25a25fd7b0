"""The regressor: numbers, one or several for each example."""

from typing import Annotated, Self

from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils import Tags
from sklearn.utils._param_validation import HasMethods, StrOptions

from pluggable_mlp.arrays import Array, DType, LibraryArray, Namespace
from pluggable_mlp.backends import Backend
from pluggable_mlp.estimators.base import BaseMLP, checks_parameters, takes_steps
from pluggable_mlp.estimators.fitted import fitted_apart
from pluggable_mlp.estimators.objective import scaled
from pluggable_mlp.estimators.parameters import with_parameters
from pluggable_mlp.estimators.validation import computed_at_X, moved
from pluggable_mlp.namespaces import unwrapped
from pluggable_mlp.network.loss import Loss
from pluggable_mlp.network.losses import LOSSES
from pluggable_mlp.training.metrics import r2

_NAMES = [name for name, loss in LOSSES.items() if loss.targets in ("numbers", "counts")]


@with_parameters
class _WithLoss(BaseEstimator):
    """The first parameter, as in scikit-learn."""

    loss: Annotated[str | Loss, StrOptions(set(_NAMES)), HasMethods(["predict"])] = "squared_error"


@with_parameters
class MLPRegressor(RegressorMixin, BaseMLP, _WithLoss):
    """A multilayer perceptron that predicts numbers, on arrays of any library.

    scikit-learn's `MLPRegressor` with its parameters, attributes and methods, and more of them.
    The model is computed in the library and on the device of X, in its dtype; it predicts arrays
    of that library.  The same seed gives scikit-learn's model, to rounding.

    Parameters
    ----------
    loss : str or Loss, default "squared_error"
        "squared_error" (half of it, summed over the outputs), "poisson" (which predicts exp of the
        outputs, and takes targets of at least 0), or another of numbers in `LOSSES`, by its name or
        with its parameters, `HuberLoss(delta=2.0)`.
    **others
        As `MLPClassifier` has them; there is no class_weight.

    Attributes
    ----------
    validation_scores_, best_validation_score_
        R² of the held-out part, and the best.
    out_activation_ : str
        "identity", or "exp" with the loss poisson.
    others
        As `MLPClassifier` has them; there are no classes_.

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

    @takes_steps
    @checks_parameters
    @computed_at_X
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
        with fitted_apart(self) as model:
            model._fit(X, y, sample_weight, incremental=True)
        return self

    @computed_at_X
    def predict(self, X: object) -> LibraryArray:
        """Return the predicted numbers, (examples,) or (examples, outputs).

        Parameters
        ----------
        X : array (examples, features)
            Of the library and on the device of those that the model was fitted on.
        """
        xp, loss, z = self._outputs(X, "predict")
        predicted = unwrapped(loss.predict(xp, z))
        return predicted[:, 0] if self.n_outputs_ == 1 else predicted

    @computed_at_X
    def score(self, X: object, y: object, sample_weight: object = None) -> float:
        """Return R² of `predict(X)`, the mean over the outputs.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        """
        return self._score(self.predict(X), y, sample_weight)

    def _encoded(self, y: Array, home: Backend, dtype: str) -> Array:
        xp = home.xp
        y = xp.astype(moved(y, home), getattr(xp, dtype))
        self._outputs_of_y = 1 if y.ndim == 1 else y.shape[1]
        if self._loss_and_outputs()[0].targets == "counts" and bool(xp.any(y < 0)):
            raise ValueError(f"y holds negative numbers, expected none with loss={self.loss!r}")
        return y[:, None] if y.ndim == 1 else y

    def _loss_and_outputs(self) -> tuple[Loss, int]:
        outputs, loss = self._outputs_of_y, self.loss
        if not isinstance(loss, str):
            if loss.targets == "classes":
                raise ValueError(f"loss is {loss!r}, which is not a loss of numbers")
            return loss, outputs
        # scikit-learn sums over the outputs, and halves squares.
        factors = {"squared_error": 0.5 * outputs, "poisson": 1.0 * outputs}
        return scaled(LOSSES[loss], factors.get(loss, 1.0)), outputs

    def _graph_outputs(self, xp: Namespace, loss: Loss, z: Array) -> dict[str, Array]:
        predicted = loss.predict(xp, z)
        return {"prediction": predicted[:, 0] if self.n_outputs_ == 1 else predicted}

    def _score_of(
        self,
        xp: Namespace,
        predicted: Array,
        targets: Array,
        sample_weight: Array | None,
        dtype: DType,
    ) -> float:
        """Return R², the mean over the outputs; in the dtype of the predictions."""
        predicted = xp.reshape(predicted, (predicted.shape[0], -1))
        targets = xp.astype(targets, predicted.dtype, copy=False)
        if sample_weight is not None:
            sample_weight = xp.astype(sample_weight, predicted.dtype, copy=False)
        return float(r2(xp, predicted, targets, sample_weight))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
