"""What the estimators for tables share: from a table to a trained network, and to its outputs.

How X becomes columns is in `table_inputs.py`, how columns become a matrix in `data/`, the loop in
`table_fitting.py`, the recipes in `training/recipes.py`.

Shapes: X (n, columns), y and sample_weight (n,), the matrix (n, features).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import Tags, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from pluggable_mlp.arrays import Array, map_nested
from pluggable_mlp.backends import Backend, get_backend
from pluggable_mlp.data.build import build_dataset
from pluggable_mlp.data.choice import NUMBERS, TEXTS
from pluggable_mlp.data.columns import Column
from pluggable_mlp.data.dataset import Dataset, Source, Split
from pluggable_mlp.data.errors import DataError
from pluggable_mlp.data.split import choose_usual_validation, needs_blocks
from pluggable_mlp.data.targets import REGRESSION, Task
from pluggable_mlp.estimators.apart import fitted_apart
from pluggable_mlp.estimators.base import checks_parameters
from pluggable_mlp.estimators.certificate import certify
from pluggable_mlp.estimators.parameters import RandomState
from pluggable_mlp.estimators.table_convert import TableConversionMixin
from pluggable_mlp.estimators.table_fitting import Part, fit_network
from pluggable_mlp.estimators.table_inputs import frame_of, kind_of
from pluggable_mlp.estimators.validation import check_sample_weight
from pluggable_mlp.executor import one_by_one
from pluggable_mlp.files import to_json
from pluggable_mlp.lazy import blocks, on_host
from pluggable_mlp.namespaces import ARITHMETICS
from pluggable_mlp.options import DataOptions
from pluggable_mlp.registry import parameters_of
from pluggable_mlp.settings import Settings
from pluggable_mlp.training.loop import Epoch
from pluggable_mlp.training.recipes import DEFAULT, NONE, RECIPES, Facts


class BaseTable(TableConversionMixin, BaseEstimator, ABC):
    """What the classifier and the regressor of tables share."""

    recipe: str
    n_members: int
    max_iter: int | None
    validation_fraction: float
    time_limit: float | None
    categorical_features: Sequence[int | str] | None
    random_state: RandomState
    dtype: str
    backend: str
    device: str | None
    arithmetic: str
    verbose: bool | int

    n_features_in_: int
    feature_names_in_: NDArray[np.object_]
    n_iter_: int
    best_iteration_: int
    loss_curve_: list[float]
    validation_errors_: list[float]

    _task: ClassVar[Task]
    _parameter_constraints: ClassVar[dict[str, list[object]]] = {
        "recipe": [StrOptions(set(RECIPES) - {NONE})],
        "n_members": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left"), None],
        "validation_fraction": [Interval(Real, 0, 0.5, closed="both")],
        "time_limit": [Interval(Real, 0, None, closed="neither"), None],
        "categorical_features": ["array-like", None],
        "random_state": ["random_state"],
        "dtype": [StrOptions({"float32", "float64"})],
        "backend": [str],
        "device": [str, None],
        "arithmetic": [StrOptions(set(ARITHMETICS))],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        recipe: str = DEFAULT,
        *,
        n_members: int = 32,
        max_iter: int | None = None,
        validation_fraction: float = 0.2,
        time_limit: float | None = None,
        categorical_features: Sequence[int | str] | None = None,
        random_state: RandomState = None,
        dtype: str = "float32",
        backend: str = "numpy",
        device: str | None = None,
        arithmetic: str = "native",
        verbose: bool | int = False,
    ) -> None:
        self.recipe = recipe
        self.n_members = n_members
        self.max_iter = max_iter
        self.validation_fraction = validation_fraction
        self.time_limit = time_limit
        self.categorical_features = categorical_features
        self.random_state = random_state
        self.dtype = dtype
        self.backend = backend
        self.device = device
        self.arithmetic = arithmetic
        self.verbose = verbose

    @checks_parameters
    def fit(
        self,
        X: object,
        y: object,
        sample_weight: object = None,
        *,
        eval_set: tuple[object, object] | None = None,
    ) -> Self:
        """Fit the model to a table.

        Parameters
        ----------
        X : data frame or array (n, columns)
            A frame of pandas, polars or pyarrow, with numbers, texts, booleans, categories and
            missing values; or an array of any library, NaN where a number is missing.
        y : array (n,)
            What to predict: none may be missing.
        sample_weight : array (n,), optional
            How much each row counts, at least 0.
        eval_set : tuple (X, y), optional
            Rows for validation, in the place of `validation_fraction`.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If X or y cannot be used: the message names the column.
        """
        with fitted_apart(self) as model:
            model._fit(X, y, sample_weight, eval_set)
        return self

    def _fit(self, X: Any, y: Any, sample_weight: Any, eval_set: Any) -> None:
        """Fit, setting attributes on the way."""
        seed = _seed_of(self.random_state)
        dataset, weights = self._prepare(X, y, sample_weight, eval_set, seed)
        preparation = dataset.preparation
        assert preparation is not None  # `build_dataset` fits one
        self.preparation_ = preparation
        in_blocks = needs_blocks((split.inputs for split in dataset.splits.values()), None)
        train, validation = (
            self._part(dataset, name, weights, in_memory=not in_blocks)
            for name in ("train", "validation")
        )
        assert train is not None
        self._set_network()
        # Other tables may become the same matrix: the preparation counts, too.
        known = to_json([preparation.to_dict(), self._labels()])
        fitted = fit_network(
            self._settings(seed, None if in_blocks else 0).for_dataset(dataset),
            self.network_,
            train,
            validation,
            self._place(),
            time_limit=self.time_limit,
            tell=self._tell if self.verbose else None,
        )
        self.parameters_ = fitted.parameters
        self.n_iter_, self.best_iteration_ = len(fitted.losses), fitted.epoch
        self.loss_curve_, self.validation_errors_ = fitted.losses, fitted.errors
        self.__dict__.pop("certificate_", None)
        if self.arithmetic == "reproducible":
            data = [np.frombuffer(known.encode(), np.uint8)]
            data += [of for part in (train, validation) for of in part or () if of is not None]
            parameters = map_nested(on_host, fitted.parameters)
            self.certificate_ = certify(self, data, self._place(), parameters)

    @abstractmethod
    def _targets(self, y: NDArray[Any], *, is_new: bool) -> Array:
        """Return labels or numbers (n,) for `build_dataset`; set or hold the classes."""

    def _prepare(
        self, X: Any, y: Any, sample_weight: Any, eval_set: Any, seed: int
    ) -> tuple[Dataset, dict[str, Array | None]]:
        """Return the data set with its parts, and the weights of each."""
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the target y "
                "is None."
            )
        frame, categorical = frame_of(self, X, categorical_features=self.categorical_features)
        if len(frame) < 2:
            raise ValueError("X has n_samples = 1, expected two rows or more")
        targets = self._targets_of(frame, y, is_new=True)
        host = get_backend("numpy")
        given = check_sample_weight(len(frame), sample_weight, host, "float64")
        if given is not None and given.min() < 0.0:
            raise ValueError(f"sample_weight holds {given.min():g}, expected numbers of at least 0")
        weights: dict[str, Array | None] = {"train": given}
        parts = {"train": Split(frame, targets)}
        if eval_set is not None:
            parts["validation"] = self._evaluated(eval_set, frame, categorical)
        else:
            chosen = self._chosen(targets, seed)
            if chosen.any():
                of_parts = {"train": ~chosen, "validation": chosen}
                parts = {
                    name: Split(frame.filter(of), targets[of]) for name, of in of_parts.items()
                }
                weights = {n: None if given is None else given[of] for n, of in of_parts.items()}
                self._refuse_zeros(weights)
        try:
            dataset = build_dataset(
                Source("X", parts, categorical=categorical),
                DataOptions(
                    seed=seed,
                    task=self._task,
                    validation=None if "validation" in parts else 0.0,
                    target_scaling="standard" if self._task == "regression" else None,
                    block_size=1,  # categories are codes until `_part` or a block has their rows
                    test_share=0.0,
                    recipe=self._recipe(),
                ),
            )
        except DataError as error:  # whose remedy is one of the command line
            source, fault, remedy = error.args
            own = remedy.replace(REGRESSION, "to predict measurements, take TableRegressor")
            raise DataError(source, fault, own) from None
        return dataset, weights

    def _evaluated(self, eval_set: Any, like: Any, categorical: set[str]) -> Split:
        """Return the rows for validation that were given, with columns like those of training."""
        if not isinstance(eval_set, tuple | list) or len(eval_set) != 2:
            raise ValueError(f"eval_set is {type(eval_set).__name__}, expected a tuple (X, y)")
        X, y = eval_set
        kinds = [
            (of.name, NUMBERS if of.dtype.is_numeric() and of.name not in categorical else TEXTS)
            for of in like
        ]
        frame, _ = frame_of(self, X, kinds=kinds)
        return Split(frame, self._targets_of(frame, y, is_new=False))

    def _targets_of(self, frame: Any, y: Any, *, is_new: bool) -> Array:
        """Return the targets of the rows of a frame, as `_targets` does."""
        given = np.asarray(on_host(y) if hasattr(y, "shape") else y)
        check_consistent_length(np.empty(len(frame)), given)
        return self._targets(given, is_new=is_new)

    def _chosen(self, targets: Array, seed: int) -> Array:
        """Return which rows (n,) are kept for validation."""
        share, rows = float(self.validation_fraction), len(targets)
        if not share:
            return np.zeros(rows, np.bool_)
        classes = targets if self._task == "classification" else np.zeros(rows, np.int64)
        return choose_usual_validation("X", classes, seed, share)

    def _refuse_zeros(self, weights: dict[str, Array | None]) -> None:
        """Raise ValueError where no row of a part counts."""
        for name, of in weights.items():
            if of is not None and not (of >= np.finfo(self.dtype).smallest_normal).any():
                part = {"train": "training"}.get(name, name)
                raise ValueError(
                    f"sample_weight is 0 in all {len(of)} rows of the {part} part "
                    f"(validation_fraction={self.validation_fraction}), expected one above 0; take "
                    "another random_state or validation_fraction=0, or give rows by eval_set"
                )

    @property
    def _columns(self) -> tuple[Column, ...]:
        """What became of all columns."""
        return self.preparation_.columns or ()

    def _part(
        self, dataset: Dataset, name: str, weights: dict[str, Array | None], *, in_memory: bool
    ) -> Part | None:
        """Return a part of the data set; of features in memory, those of codes are made here."""
        if name not in dataset.splits:
            return None
        inputs, targets = dataset.splits[name]
        if self._task == "regression":
            targets = targets.reshape(-1, 1)
        if in_memory:
            made, start = np.empty(inputs.shape, self.dtype), 0
            for rows in blocks(inputs):
                made[start : start + len(rows)] = rows
                start += len(rows)
            inputs = made
        return Part(inputs, targets, weights.get(name))

    def _set_network(self) -> None:
        """Set the network for the table of the preparation."""
        form, outputs = self.preparation_.form, self.preparation_.outputs
        settings = self._settings(0).completed(Facts(self._task, bool(form.edges), False))
        self.network_ = settings.make_mlp(form, outputs)

    def _settings(self, seed: int, block_size: int | None = None) -> Settings:
        """Return the settings that the parameters describe."""
        names = "dtype", "arithmetic"
        given: dict[str, Any] = {name: getattr(self, name) for name in names}
        given |= {"epochs": self.max_iter, "recipe": self._recipe(), "task": self._task}
        return Settings(**given, seed=seed, block_size=block_size)

    def _recipe(self) -> str:
        """Return the recipe as text."""
        has_members = "members" in parameters_of(RECIPES[self.recipe])
        return f"{self.recipe}:members={self.n_members}" if has_members else self.recipe

    def _place(self) -> Backend:
        name = self.backend
        return get_backend(name if self.device is None else f"{name}:{self.device}")

    def _tell(self, epoch: Epoch, error: float | None) -> None:
        measured = "" if error is None else f", validation error = {error:.6g}"
        print(f"Epoch {epoch.epoch}, loss = {epoch.train_loss:.6g}{measured}")

    def _outputs(self, X: object, method: str) -> Array:
        """Return what a method of the network, "predict" or "predict_proba", gives, on the host."""
        check_is_fitted(self)
        kinds = [(of.name, kind_of(of) if of.is_used else None) for of in self._columns]
        frame, _ = frame_of(self, X, kinds=kinds)
        prepared = self.preparation_.inputs("X", frame, "float64")
        compute, place = getattr(self.network_, method), self._place()
        at_once = RECIPES[self.recipe].rows_at_once

        def outputs(start: int) -> Array:
            rows = np.ascontiguousarray(prepared[start : start + at_once], self.dtype)
            z = compute(self.parameters_, place.asarray(rows), arithmetic=self.arithmetic)
            return place.to_numpy(z)

        run_all = getattr(place, "run_all", one_by_one)
        return np.concatenate(run_all(outputs, range(0, len(prepared), at_once)))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "parameters_")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags


def _seed_of(random_state: RandomState) -> int:
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31))
