"""The classifier and the regressor for tables, and their parameters.

Their common code is in `table_base.py`.  Shapes: X (n, columns), y (n,).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY
from functools import cache
from numbers import Integral, Real
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import column_or_1d
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets

from pluggable_mlp.arrays import Array, LibraryArray, LibraryArrays
from pluggable_mlp.data.values import Task
from pluggable_mlp.estimators.base import BaseMLP
from pluggable_mlp.estimators.parameters import RandomState, describe_like, with_parameters
from pluggable_mlp.estimators.saved import FittedTableClassifier
from pluggable_mlp.estimators.table_base import BaseTable
from pluggable_mlp.estimators.validation import check_targets, move_back, weights_by_index
from pluggable_mlp.host.lazy import on_host
from pluggable_mlp.namespaces import namespace_of, unwrapped
from pluggable_mlp.runs.run import Run
from pluggable_mlp.training.recipes import DEFAULT


@with_parameters
class TableParameters(BaseEstimator):
    """The parameters of the estimators for tables, and the settings that they describe.

    A parameter named like a setting is that setting and is checked as one; None means the
    recipe's value.
    """

    recipe: Annotated[str, str] = DEFAULT
    _: KW_ONLY
    hidden: int | Sequence[int] | None = None
    activation: str | None = None
    dropout: float | None = None
    input_dropout: float = 0.0
    input_noise: float = 0.0
    norm: str | None = None
    loss: str | None = None
    optimizer: str | None = None
    learning_rate: float | None = None
    weight_decay: float | None = None
    clip_norm: float | str | None = None
    schedule: str | None = None
    warmup: int = 0
    batch_size: int | None = None
    metric: str | None = None
    early_stopping: int | str | None = None
    scaling: str | None = None
    n_members: Annotated[int | None, Interval(Integral, 1, None, closed="left"), None] = None
    max_iter: Annotated[int | None, Interval(Integral, 1, None, closed="left"), None] = None
    validation_fraction: Annotated[float, Interval(Real, 0, 0.5, closed="both")] = 0.2
    time_limit: Annotated[float | None, Interval(Real, 0, None, closed="neither"), None] = None
    categorical_features: Annotated[Sequence[int | str] | None, "array-like", None] = None
    random_state: Annotated[RandomState, "random_state"] = None
    dtype: str = "float32"
    backend: Annotated[str, str] = "numpy"
    device: Annotated[str | None, str, None] = None
    arithmetic: str = "native"
    verbose: Annotated[bool | int, "verbose"] = False


@with_parameters
class TableClassifier(ClassifierMixin, BaseTable, TableParameters):
    """A network that classifies the rows of a table, trained by a published recipe.

    Parameters
    ----------
    recipe : str, default "realmlp-td-s"
        "realmlp-td-s" or "realmlp-td": Holzmüller, Grinsztajn, Steinwart, "Better by default"
        (NeurIPS 2024), simplified or whole; "tabm-mini" or "tabm": Gorishniy, Kotelnikov, Babenko,
        "TabM" (ICLR 2025); "none": a plain network.  As an option of `train`, with parameters after
        a colon: "tabm:own_batches=true".
    hidden : int or sequence of int, optional
        The widths of the hidden layers; by default the recipe's.  This and other parameters
        named like an option of `pluggable-mlp train` are that option; see its `--help`.
    activation : str, optional
        A name such as "relu", or one per layer, separated by commas.
    dropout, input_dropout, input_noise : float, optional
        The probability of dropping an output of a hidden layer, and that of dropping an input; the
        standard deviation of noise that training adds to the inputs.
    norm : {"layer", "batch"}, optional
        The normalization of hidden layers.
    loss : str, optional
        A name in `LOSSES`.
    optimizer : str, optional
        Such as "adamw" or "sgd:momentum=0.9".
    learning_rate, weight_decay : float, optional
        By default the recipe's, or that of another `optimizer`.
    clip_norm : float or "none", optional
        The largest norm of a step's gradients.
    schedule : str, optional
        The schedule of the learning rate; "none" for a constant rate.
    warmup : int, default 0
        The number of updates of linear warm-up before the schedule.
    batch_size : int, optional
        The number of rows per update.
    metric : str, optional
        "accuracy", "log_loss", "roc_auc", "squared_error" or "absolute_error", or scikit-learn's
        name, such as "neg_log_loss": the measure of the validation part that is best in the epoch
        that is kept.  By default accuracy, for regression the loss.
    early_stopping : int or "none", optional
        Stop after this many epochs without improvement.
    scaling : str, optional
        How numbers are scaled: "standard", "quantile", ….
    n_members : int, optional
        The number of members, whose predictions are averaged: by default 32 that share weights for
        the recipes of TabM; for those of RealMLP eight networks with few rows for training, and a
        single one with more, or by L-BFGS.  A fit of eight takes eight times as long.
    max_iter : int, optional
        The maximum number of epochs; by default the recipe's.
    validation_fraction : float, default 0.2
        The share of the rows used to choose the best epoch, at most 0.5; 0 for none.
    time_limit : float, optional
        The maximum number of seconds for the epochs.
    categorical_features : sequence of int or of str, optional
        The columns that hold categories, by place or name, besides texts, booleans of frames and
        columns whose type is categorical.
    random_state : int, RandomState or None, default None
        Seeds the initial weights, the validation part, the shuffles and dropout.
    dtype : {"float32", "float64"}, default "float32"
        The dtype of the network.
    backend : str, default "numpy"
        The array library that computes.
    device : str, optional
        The device of the backend.
    arithmetic : {"native", "reproducible"}, default "native"
        "reproducible": the same bits on every library.
    verbose : bool or int, default False
        Print the loss and the validation error of each epoch.
    calibrate : bool, default False
        Divide the outputs of the network, or of each member, by the temperature, from 1/4 to 4,
        with the least log loss of the validation part.
    label_smoothing : float, optional
        The share of each target that is spread over all classes.
    class_weight : "balanced" or mapping of labels to floats, optional
        The weight of each class in training.

    Attributes
    ----------
    classes_ : array (classes,)
    preparation_ : Preparation
        How the columns become features.
    network_ : MLP
    parameters_ : list of dict of arrays
        Those of the best epoch, on the backend.
    best_iteration_, n_iter_ : int
        The best epoch, and the number of epochs.
    temperature_ : float
        That of `calibrate`, else 1.
    loss_curve_, validation_errors_ : list of float
        The training loss, and the metric of the validation part, 1 minus it for accuracy and
        roc_auc, after each epoch.
    n_features_in_ : int
    feature_names_in_ : array of str
        The names of a data frame's columns.
    parameters_sha256_ : str
        The SHA-256 of `parameters_`: the same after the same reproducible fit elsewhere.

    See Also
    --------
    TableRegressor, MLPClassifier
    sklearn.ensemble.HistGradientBoostingClassifier : Takes categories and missing values, too.

    Examples
    --------
    >>> import polars
    >>> from pluggable_mlp import TableClassifier
    >>> table = polars.DataFrame({"size": [1, 2, None, 4] * 5, "kind": list("abba") * 5})
    >>> answers = ["no", "yes", "yes", "no"] * 5
    >>> model = TableClassifier(max_iter=2, random_state=0).fit(table, answers)
    >>> model.predict_proba(table).shape
    (20, 2)
    """

    _: KW_ONLY
    calibrate: Annotated[bool, "boolean"] = False
    label_smoothing: float | None = None
    class_weight: Annotated[
        Mapping[Any, float] | str | None, StrOptions({"balanced"}), dict, None
    ] = None

    _task: ClassVar[Task] = "classification"
    _saved = FittedTableClassifier
    _metric = staticmethod(accuracy_score)
    score: ClassVar[Callable[..., float]] = BaseMLP.score  # not the mixin's

    def predict(self, X: object) -> LibraryArray:
        """Return the predicted label of each row, (n,).

        It depends on no other row: to rounding, or exactly with `arithmetic="reproducible"`.  It is
        in the library and on the device of an array X; from frames, and if labels are texts, NumPy.

        Parameters
        ----------
        X : data frame or array (n, columns)
            As for `fit`; unseen categories count as missing.  Columns of a frame are found by name,
            in any order; others are ignored.
        """
        indices = self._outputs(X, "predict")
        return move_back(self.classes_[indices], X)

    def predict_proba(self, X: object) -> LibraryArray:
        """Return the probability of each class, (n, classes), in the order of `classes_`.

        It is in the library and on the device of an array X; from frames, NumPy.

        Parameters
        ----------
        X : data frame or array (n, columns)
            As for `predict`.
        """
        return move_back(self._outputs(X, "predict_proba"), X)

    def _train(self, run: Run) -> None:
        """See `BaseTable`; then calibrate, if asked."""
        if self.calibrate and not run.plan.validates:
            raise ValueError(
                "calibrate is True, expected a validation part: validation_fraction above 0, or "
                "eval_set"
            )
        super()._train(run)
        self.temperature_: float = 1.0
        if self.calibrate:
            run.parameters, self.temperature_ = _calibrate(run)

    def _weigh(self, targets: Array, weights: Array | None) -> Array | None:
        """See `BaseTable`; "balanced" is a setting."""
        if not isinstance(self.class_weight, Mapping):
            return weights
        by_place = weights_by_index(self.class_weight, self.classes_)
        factors = np.asarray([by_place.get(k, 1.0) for k in range(len(self.classes_))])
        class_factors: Array = factors[np.searchsorted(self.classes_, targets)]
        return class_factors if weights is None else class_factors * weights

    def _targets(self, frame: Any, y: Any, *, is_new: bool) -> Array:
        if y is not None and not issparse(y):
            y = np.asarray(on_host(y) if hasattr(y, "shape") else y)  # of pandas' types, too
            for row, label in enumerate(y.ravel().tolist() if y.dtype.kind in "OmM" else (), 1):
                if not isinstance(label, str):
                    raise ValueError(
                        f"Unknown label type: y holds {label!r} in row {row}, expected only texts"
                    )
        labels = column_or_1d(check_targets(self, frame, y, numeric=False))
        check_classification_targets(labels)
        if is_new:
            self.classes_: NDArray[Any] = np.unique(labels)
            if len(self.classes_) < 2:
                raise ValueError(
                    f"y has one class, {self.classes_.tolist()[0]!r}, expected two classes or "
                    "more: give rows of another class"
                )
        return labels if labels.dtype.kind in "iufb" else labels.astype(str)


@describe_like(TableClassifier)
@with_parameters
class TableRegressor(RegressorMixin, BaseTable, TableParameters):
    """A network that predicts a number for each row of a table, trained by a published recipe.

    Parameters
    ----------
    target_scaling : {"standard", "minmax", "robust", "none"}, optional
        How y is scaled; by default "standard", or "none" with the loss "poisson".

    Attributes
    ----------
    preparation_, network_, parameters_, best_iteration_, n_iter_, loss_curve_, n_features_in_, \
feature_names_in_
        As in `TableClassifier`.
    validation_errors_ : list of float
        The loss of the validation part, of standardized targets, or the metric, by epoch.

    See Also
    --------
    TableClassifier, MLPRegressor
    sklearn.ensemble.HistGradientBoostingRegressor : Takes categories and missing values, too.

    Examples
    --------
    >>> import polars
    >>> from pluggable_mlp import TableRegressor
    >>> table = polars.DataFrame({"size": [1, 2, None, 4] * 5, "kind": list("abba") * 5})
    >>> model = TableRegressor(max_iter=2, random_state=0).fit(table, [1.0, 2.0, 2.0, 1.0] * 5)
    >>> model.predict(table).shape
    (20,)
    """

    _: KW_ONLY
    target_scaling: str | None = None

    _task: ClassVar[Task] = "regression"
    _metric = staticmethod(r2_score)
    score: ClassVar[Callable[..., float]] = BaseMLP.score  # not the mixin's

    def predict(self, X: object) -> LibraryArray:
        """Return the predicted number of each row, (n,), in the units of y.

        It depends on no other row: to rounding, or exactly with `arithmetic="reproducible"`.  It is
        in the library and on the device of an array X; from frames, NumPy.

        Parameters
        ----------
        X : data frame or array (n, columns)
            As for `fit`; unseen categories count as missing.
        """
        scaled = self._outputs(X, "predict")[:, 0]
        return move_back(self.preparation_.in_own_units(scaled), X)

    def _targets(self, frame: Any, y: Any, *, is_new: bool) -> Array:
        return column_or_1d(check_targets(self, frame, y, numeric=True), dtype=np.float64)


def _calibrate(run: Run) -> tuple[LibraryArrays, float]:
    """Return the parameters with the last layer divided by the best temperature, and this.

    Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural networks" (ICML 2017).  The log
    loss of members' mean may have several minima: the best of a grid is where the search begins.
    It takes steps by a factor, keeps the best, and goes on with the factor's root, so that all
    from 1/4 to 4 are in reach.
    """
    *hidden, last = run.parameters
    xp = namespace_of(run.plan.options.arithmetic, run.backend)

    def divide(temperature: float) -> LibraryArrays:
        factor = 1.0 / temperature
        return [*hidden, {name: unwrapped(xp.asarray(last[name]) * factor) for name in last}]

    @cache
    def log_loss(temperature: float) -> float:
        return run.validate(divide(temperature), metric="log_loss")["log_loss"]

    grid = [2.0 ** (power / 2.0) for power in (0, -1, 1, -2, 2, -3, 3)]
    temperature, factor = min(grid, key=log_loss), 2.0**0.25
    while factor > 1.001:
        candidates = temperature, temperature * factor, temperature / factor
        temperature, factor = min(candidates, key=log_loss), math.sqrt(factor)
    return divide(temperature), temperature
