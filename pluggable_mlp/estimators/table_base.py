"""Code shared by the estimators for tables: columns of X, training on them, computing outputs.

`data/` makes a matrix of columns, and `runs/run.py` trains; the recipes are in
`training/recipes.py`.

Shapes: X (n, columns), y and sample_weight (n,), the matrix (n, features).
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from pluggable_mlp.arrays import Array, LibraryArrays, dtype_name, map_nested
from pluggable_mlp.arrays.shortcuts import backend_context
from pluggable_mlp.backends import Backend, get_backend
from pluggable_mlp.data.build import build_dataset
from pluggable_mlp.data.choice import convert_column, inputs_of
from pluggable_mlp.data.dataset import Dataset
from pluggable_mlp.data.preparation import Preparation
from pluggable_mlp.data.split import choose_examples, needs_blocks, number_groups
from pluggable_mlp.data.tables import open_table
from pluggable_mlp.data.values import Split, Task, as_targets, source_of
from pluggable_mlp.estimators.parameters import fits
from pluggable_mlp.estimators.saved import FilesMixin, FittedTable
from pluggable_mlp.estimators.validation import check_sample_weight, check_targets
from pluggable_mlp.fields import make, parameters_of, require, with_parameter
from pluggable_mlp.host.lazy import on_host
from pluggable_mlp.network.checks import check_parameters
from pluggable_mlp.network.mlp import MLP
from pluggable_mlp.network.parameters import first_array
from pluggable_mlp.options import Options
from pluggable_mlp.plan import Plan, options_for_reading
from pluggable_mlp.runs.exporting import need_ndonnx, write_onnx
from pluggable_mlp.runs.run import Run, are_nonzero
from pluggable_mlp.training.evaluation import predict_rows
from pluggable_mlp.training.recipes import RECIPES


class BaseTable(FilesMixin, ABC):
    """Base of the classifier and the regressor for tables: all but the parameters."""

    n_features_in_: int
    feature_names_in_: NDArray[np.object_]
    preparation_: Preparation
    network_: MLP
    parameters_: LibraryArrays
    n_iter_: int
    best_iteration_: int
    loss_curve_: list[float]
    validation_errors_: list[float]

    _saved = FittedTable
    _task: ClassVar[Task]

    @fits
    def fit(
        self,
        X: object,
        y: object,
        sample_weight: object = None,
        *,
        eval_set: tuple[object, object] | None = None,
        groups: object = None,
    ) -> Self:
        """Fit the model to a table.

        Parameters
        ----------
        X : data frame or array (n, columns)
            A frame of pandas, polars or pyarrow, with numbers, texts, booleans, categories and
            missing values; or an array of any library, NaN where a number is missing.
        y : array (n,)
            The targets; none may be missing.
        sample_weight : array (n,), optional
            The weight of each row, at least 0.
        eval_set : tuple (X, y), optional
            Rows for validation, used instead of `validation_fraction`.
        groups : array (n,), optional
            The group of each row, such as a person or a day: the validation part has whole groups.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If X or y cannot be used; the message names the column.
        """
        seed: Any = self.random_state
        if not isinstance(seed, Integral):
            seed = check_random_state(seed).randint(2**31)
        options = self._options(int(seed))
        dataset, weights = self._prepare(X, y, sample_weight, eval_set, groups, options)
        self.preparation_ = dataset.fitted_preparation
        if not needs_blocks((split.inputs for split in dataset.splits.values()), None):
            options = replace(options, block_size=0)
        place = self._place()
        with backend_context(place):
            plan = Plan.for_dataset(options, dataset)
            run = Run(plan, dataset, place, sample_weight=weights, is_certified=False)
            self._train(run)
        self.network_, self.parameters_ = plan.mlp, run.parameters
        self.n_iter_, self.best_iteration_ = len(run.history), run.kept_epoch
        self.loss_curve_ = [line["train_loss"] for line in run.history]
        self.validation_errors_ = []
        if "validation" in dataset.splits:
            self.validation_errors_ = [*map(run.error, run.history)]
        return self

    def _options(self, seed: int) -> Options:
        """Return the options that the parameters are."""
        fields = Options.__dataclass_fields__
        values: dict[str, Any] = {
            name: value for name, value in self.get_params(False).items() if name in fields
        }
        if self.hidden is not None:
            values["hidden"] = tuple(np.atleast_1d(np.asarray(self.hidden, object)).tolist())
        if isinstance(values.get("class_weight"), Mapping):
            values["class_weight"] = None
        if self.n_members is not None:
            values["recipe"] = with_parameter(self.recipe, "members", self.n_members)
        values |= {"task": self._task, "epochs": self.max_iter, "seed": seed}
        return Options(**values)

    def _place(self) -> Backend:
        name = self.backend
        return get_backend(name if self.device is None else f"{name}:{self.device}")

    def _train(self, run: Run) -> None:
        """Train until all epochs are done, or one more would end after the time limit."""
        begin = time.perf_counter()
        for progress in run.train():
            if not progress.ended:
                continue
            if self.verbose:
                line = run.history[-1]
                is_validated = "validation_loss" in line
                error = f", validation error = {run.error(line):.6g}" if is_validated else ""
                print(f"Epoch {line['epoch']}, loss = {line['train_loss']:.6g}{error}")
            seconds = (time.perf_counter() - begin) * (1 + 1 / len(run.history))
            if self.time_limit is not None and seconds > self.time_limit:
                return

    @abstractmethod
    def _targets(self, frame: Any, y: Any, *, is_new: bool) -> Array:
        """Return the targets (n,) of a frame's rows; new ones set the classes."""

    def _weigh(self, targets: Array, weights: Array | None) -> Array | None:
        """Return the weights of the training rows, multiplied by any class weights."""
        return weights

    def _labels(self) -> Sequence[int | str] | None:
        """Return the labels of the classes, if there are any."""
        classes: NDArray[Any] | None = getattr(self, "classes_", None)
        return None if classes is None else classes.tolist()

    def _prepare(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        eval_set: Any,
        groups: Any,
        options: Options,
    ) -> tuple[Dataset, dict[str, Array | None]]:
        """Return the data set with its parts, and the weights of each."""
        frame, categorical = frame_to_fit(self, X)
        if len(frame) < 2:
            raise ValueError("X has n_samples = 1, expected two rows or more")
        targets = self._targets(frame, y, is_new=True)
        checked = check_sample_weight(len(frame), sample_weight, "float64")
        rows = self._rows(targets, options.seed, groups, is_divided=eval_set is None)
        parts = {name: Split(frame.filter(mask), targets[mask]) for name, mask in rows.items()}
        weights = {name: None if checked is None else checked[mask] for name, mask in rows.items()}
        weights["train"] = self._weigh(parts["train"].targets, weights["train"])
        for name, value in weights.items():
            if value is not None and not are_nonzero(value, self.dtype).any():
                raise ValueError(
                    f"the weights are 0 in all rows of the {name} part, expected one above 0: "
                    "take another random_state, or give the validation part by eval_set"
                )
        dataset = build_dataset(
            parts,
            replace(
                options_for_reading(options),
                data="X",
                validation=None if "validation" in parts else 0.0,
                block_size=1,  # categories are codes until the fit has their rows
                test_share=0.0,
            ),
            origin={"categorical": categorical},
        )
        if eval_set is not None:
            validation = self._prepare_validation(eval_set, dataset.fitted_preparation)
            splits = {**dataset.splits, "validation": validation}
            dataset = replace(dataset, splits=splits, validation_share=None)
        return dataset, weights

    def _prepare_validation(self, eval_set: Any, preparation: Preparation) -> Split:
        """Return the rows of `eval_set`, prepared as the training rows are."""
        if not isinstance(eval_set, tuple | list) or len(eval_set) != 2:
            raise ValueError(f"eval_set is {type(eval_set).__name__}, expected a tuple (X, y)")
        X, y = eval_set
        frame = frame_like(self, X, preparation)
        targets = self._targets(frame, y, is_new=False)
        targets = as_targets("eval_set", "validation", targets, self._task)
        return preparation.apply("eval_set", Split(frame, targets), block_size=1)

    def _rows(
        self, targets: Array, seed: int, groups: Any, *, is_divided: bool
    ) -> dict[str, Array]:
        """Return which rows (n,) each part has."""
        if groups is not None:
            groups = check_targets(self, targets, groups, numeric=False, name="groups")
            if groups.ndim > 1:
                raise ValueError(f"groups has shape {groups.shape}, expected ({len(targets)},)")
            groups = number_groups(groups.tolist())
        share = float(self.validation_fraction)
        if not (is_divided and share):
            return {"train": np.ones(len(targets), np.bool_)}
        classes = targets if self._task == "classification" else np.zeros(len(targets), np.int64)
        chosen = choose_examples("X", "validation", classes, seed, share, groups, may_be_empty=True)
        return {"train": ~chosen, "validation": chosen} if chosen.any() else {"train": ~chosen}

    def _weights_to_save(self) -> Any:
        fitted, described = map(parameters_of, (self.network_, self._network()))
        names = [name for name, value in fitted.items() if value != described[name]]
        if names:
            raise ValueError(
                "the parameters describe another network than the fitted one, which differs in "
                f"{', '.join(names)}: fit it again, or set them as they were"
            )
        return self.parameters_

    def _take_weights(self, weights: Any, backend: str) -> None:
        self.set_params(backend=backend, device=None)
        self.network_, self.parameters_ = self._network(), weights
        _, networks = check_parameters(self.network_, weights)
        dtype, classes = dtype_name(first_array(weights).dtype), self._labels()
        if networks or dtype != self.dtype:
            raise ValueError(f"its weights are {dtype} of networks {networks}, not {self.dtype}")
        if classes is not None and len(classes) != self.preparation_.outputs:
            raise ValueError(f"it has {len(classes)} classes, expected {self.preparation_.outputs}")

    def _network(self) -> MLP:
        """Return the network that the parameters describe."""
        return Plan.of(self._options(0), self.preparation_).mlp

    def to_onnx(self, path: str | PathLike[str]) -> None:
        """Write the fitted model to an ONNX file in float32, including its preparation.

        Each used column is an input (N,), by name: float64 for numbers, int64 for whole numbers
        among the `categorical_features`, boolean, or text; if all are numbers and none was missing,
        the only input is "X" (N, columns).  If values were missing in training, codes are float64
        with NaN, and booleans are texts with "".  The outputs are "label" and "probabilities", or
        "prediction", with an underscore appended if a column has that name.

        Parameters
        ----------
        path : str or Path
            The file to write, such as model.onnx; an existing one is replaced.

        Raises
        ------
        ImportError
            If the extra `onnx` is not installed.
        """
        check_is_fitted(self)
        need_ndonnx()
        parameters = map_nested(on_host, self.parameters_)
        write_onnx(Path(path), self.preparation_, self.network_, parameters, self._labels())

    def _outputs(self, X: object, method: str) -> Array:
        """Return the result of the network's "predict" or "predict_proba", on the host."""
        check_is_fitted(self)
        frame = frame_like(self, X, self.preparation_)
        prepared = self.preparation_.inputs("X", frame)
        answers = predict_rows(
            self.network_,
            self.parameters_,
            prepared,
            method,
            backend=self._place(),
            arithmetic=self.arithmetic,
            dtype=self.dtype,
            batch_size=make(RECIPES, self.recipe, "recipe").rows_at_once,
        )
        return np.concatenate([*answers])

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags


def frame_to_fit(estimator: Any, X: Any) -> tuple[Any, set[str]]:
    """Return the columns of X (polars.DataFrame), and the names of those that hold categories.

    This sets `n_features_in_` and `feature_names_in_` of the estimator.

    Raises
    ------
    ValueError, TypeError
        If X is not a table, or a column holds infinity or lists; the message names it.
    """
    from polars.exceptions import PolarsError

    is_frame = _is_frame(X)
    source, table = _open(estimator, X, is_frame, reset=True)
    chosen = estimator.categorical_features
    listed = [] if chosen is None else list(chosen)
    try:
        is_mask = np.asarray(listed).dtype == np.bool_
        keys = [listed] if is_mask else [[column] for column in listed]  # which may be repeated
        names = {name for key in keys for name in table[:, np.asarray(key)].columns}
    except (IndexError, TypeError, ValueError, PolarsError) as error:
        raise ValueError(
            f"categorical_features is {chosen!r}, expected names or places of columns: {error}"
        ) from None
    if is_frame:
        import narwhals

        kinds = narwhals.from_native(X, eager_only=True).schema.values()
        categorical = (narwhals.Categorical, narwhals.Enum)
        names |= {table.columns[k] for k, kind in enumerate(kinds) if kind in categorical}
    columns = [convert_column(source, column, column.name in names or None) for column in table]
    return type(table)(columns), names


def frame_like(estimator: BaseEstimator, X: Any, preparation: Preparation) -> Any:
    """Return the columns of X (polars.DataFrame) that a fit used.

    A frame's columns are found by name if the fit's columns had names, else by position.

    Raises
    ------
    ValueError, TypeError
        As for `frame_to_fit`, or if X lacks columns.
    """
    is_frame = _is_frame(X)
    source, table = _open(estimator, X, is_frame, reset=False)
    header = None if is_frame and hasattr(estimator, "feature_names_in_") else False
    return inputs_of(source, table, header, preparation)


def _open(estimator: BaseEstimator, X: Any, is_frame: bool, *, reset: bool) -> tuple[str, Any]:
    """Return X's name for errors, and X as columns of polars; those of an array are x0, x1, …."""
    if is_frame:
        table, _ = open_table(X)
        if reset or not hasattr(estimator, "feature_names_in_"):
            validate_data(estimator, X, reset=reset, skip_check_array=True)
        return source_of(X), table
    import polars

    X = X if issparse(X) else on_host(X) if hasattr(X, "shape") else X
    array = validate_data(estimator, X, reset=reset, dtype=None, ensure_all_finite="allow-nan")
    are_numbers = array.dtype.kind in "iufb"
    columns = np.ascontiguousarray(array.T, np.float64) if are_numbers else array.T.tolist()
    return "X", polars.DataFrame({f"x{k}": one for k, one in enumerate(columns)}, strict=False)


def _is_frame(X: Any) -> bool:
    require("polars", "tables", "reading tables")
    from narwhals.dependencies import is_into_dataframe

    if hasattr(X, "collect"):
        raise ValueError(f"X is a {type(X).__name__}, expected a data frame: give X.collect()")
    return bool(is_into_dataframe(X))
