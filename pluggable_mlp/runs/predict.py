"""A saved run: its network, predictions for data, and how good they are."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from array_api_compat import is_array_api_obj

from pluggable_mlp.arrays import Array, LibraryArrays
from pluggable_mlp.arrays.shortcuts import backend_context
from pluggable_mlp.backends import Backend, get_backend
from pluggable_mlp.data.load import load_for_testing, load_inputs
from pluggable_mlp.data.preparation import Preparation
from pluggable_mlp.data.split import block_of, in_file, needs_blocks
from pluggable_mlp.data.values import Split
from pluggable_mlp.host.lazy import on_host
from pluggable_mlp.network.mlp import MLP
from pluggable_mlp.plan import Plan
from pluggable_mlp.runs.saved import at_place, load_own_data, read_parameters, read_run, zeros_of
from pluggable_mlp.training.evaluation import Counts, measure, predict_rows


@dataclass(frozen=True)
class SavedRun:
    """A run with its parameters, loaded by `load_run` from the folder of `train --output`.

    Parameters
    ----------
    config : dict
        All of `config.json`.
    summary : dict
        All of `summary.json`.
    plan : Plan
    preparation : Preparation
        How inputs and targets are prepared for the network.
    parameters : list of dict of arrays
        On the backend.
    backend : Backend
    folder : Path
        Where it was saved.
    """

    config: dict[str, Any] = field(repr=False)
    summary: dict[str, Any] = field(repr=False)
    plan: Plan
    preparation: Preparation
    parameters: LibraryArrays = field(repr=False)
    backend: Backend
    folder: Path

    @property
    def mlp(self) -> MLP:
        """The network."""
        return self.plan.mlp

    def predict(self, data: Any) -> Array:
        """Return the network's prediction for each example, prepared as in training.

        Parameters
        ----------
        data : str, path, array or data frame
            Examples without targets: what `pluggable-mlp predict` takes, an array
            (examples, features) of any library, or a data frame of pandas, polars or pyarrow.
            Columns of tables are found by their names.

        Returns
        -------
        numpy.ndarray
            Classes, as the data name them (examples,); labels 0 and 1 (examples, labels); or
            numbers in the units of the data, (examples,) or (examples, outputs).

        Raises
        ------
        DataError
            If the data cannot be read, or do not fit the network.
        """
        parts = map(self._predict, self._answers(self._prepare(data)))
        predicted = np.concatenate([*parts])
        return predicted[:, 0] if predicted.shape[1] == 1 else predicted

    def predict_proba(self, data: Any) -> Array:
        """Return the probability of each class, or of each label, for each example.

        Parameters
        ----------
        data
            As for `predict`.

        Returns
        -------
        numpy.ndarray (examples, classes)
            In the order of `preparation.class_labels`; or (examples, labels).

        Raises
        ------
        ValueError
            If the task is regression.
        DataError
            As for `predict`.
        """
        if self.preparation.task == "regression":
            raise ValueError("the task is regression, which has no probabilities; use predict")
        return np.concatenate([*self._answers(self._prepare(data))])

    def evaluate(self, data: Any = None) -> dict[str, float]:
        """Return how good the predictions are: the loss, and the measures of the task.

        Parameters
        ----------
        data : str, path or data frame, optional
            As for `load_dataset`: their test part, or all examples if they have none.  By
            default the test part of the run's data.

        Returns
        -------
        dict
            The count of "examples", "loss", and accuracy or errors, in the units of the data.

        Raises
        ------
        DataError
            If the data cannot be read, do not fit the network, hold a label that training never
            saw, or have changed since the run was trained.
        """
        return self.evaluate_classes(data)[0]

    def evaluate_classes(self, data: Any = None) -> tuple[dict[str, float], Counts | None]:
        """Return the result of `evaluate`, and the counts by class or label, None for numbers."""
        preparation = self.preparation
        part = self._own_test_part(None) if data is None else load_for_testing(preparation, data)
        size = self.plan.options.block_size or block_of(part.inputs)
        arguments = self.plan.evaluation(preparation, self.backend)
        with backend_context(self.backend):
            examples = self.plan.make_examples(
                part, preparation, self.backend, block_size=size or None
            )
            measures, counts = measure(self.mlp, self.parameters, examples, **arguments)
        return {"examples": len(examples), **measures}, counts

    def _own_test_part(self, data: str | None) -> Split:
        """Return the test part of the run's data, perhaps from another place."""
        options = at_place(self.plan.options, data)
        return load_own_data(options, self.config["data_sha256"], self.preparation).test

    def header(self) -> list[str]:
        """Return the names of the columns of `rows`, all different.

        Probabilities have the name of their class or label after "p", or after "p_", "p__", …
        if that is the name of another column.
        """
        preparation = self.preparation
        names = list(preparation.target_names or ())
        answers = (
            ["prediction"] if preparation.class_labels is not None or len(names) == 1 else names
        )
        if preparation.task == "regression":
            return answers
        prefix, outputs = "p", preparation.class_labels or names
        while not {f"{prefix}{name}" for name in outputs}.isdisjoint(answers):
            prefix = f"{prefix}_"
        return [*answers, *(f"{prefix}{name}" for name in outputs)]

    def rows(self, data: Any) -> Iterator[list[Any]]:
        """Return a row for every example.

        For classification it is [label, probability of each class …], for multilabel data [0 or 1
        for each label …, probability of each label …], for regression [number for each output …].
        All data are read and checked before the first, so that a fault leaves old output alone.

        Parameters
        ----------
        data
            As for `predict`.

        Raises
        ------
        DataError
            As for `predict`.
        """
        answers = self._answers(self._prepare(data))
        return (row for part in answers for row in self._rows(part))

    def _prepare(self, data: Any) -> Array:
        """Return inputs (examples, features) prepared as in training."""
        name = os.fspath(data) if isinstance(data, str | os.PathLike) else "data"
        is_array = is_array_api_obj(data)
        examples = on_host(data) if is_array else load_inputs(data, self.preparation)
        examples = in_file(examples) if needs_blocks([examples], None) else examples
        return self.preparation.inputs(name, examples)

    def answers_on_test_part(self, data: str | None = None) -> tuple[Array, Array]:
        """Return the answers on the test part of the run's data, and the targets there.

        Answers are probabilities (n, outputs), or the numbers of a regression.  `data` says where
        the data are, by default where they were.

        Raises
        ------
        DataError
            If the data cannot be read, or have changed since the run was trained.
        """
        inputs, targets = self._own_test_part(data)
        return np.concatenate([*self._answers(inputs)]), self.preparation.in_own_units(targets)

    def _answers(self, inputs: Array) -> Iterator[Array]:
        """Return the answers (…, outputs) for prepared inputs, some at a time."""
        is_regression = self.preparation.task == "regression"
        answers = predict_rows(
            self.mlp,
            self.parameters,
            inputs,
            "predict" if is_regression else "predict_proba",
            backend=self.backend,
            arithmetic=self.plan.options.arithmetic,
            dtype=self.plan.options.dtype,
            scale=self.preparation.scale_of(inputs) or 1.0,
        )
        return map(self.preparation.in_own_units, answers)

    def _predict(self, answers: Array) -> Array:
        """Return what answers (n, outputs) predict: a class (n, 1), or (n, outputs)."""
        if self.preparation.class_labels is not None:
            return np.asarray(self.preparation.class_labels)[answers.argmax(axis=1)][:, None]
        if self.preparation.task == "multilabel":
            return (answers > 0.5).astype(np.int64)
        return answers.astype(np.float64)

    def _rows(self, answers: Array) -> list[list[Any]]:
        """Return the rows of examples, of their probabilities or their numbers (n, outputs)."""
        rows: list[list[Any]] = answers.tolist()
        if self.preparation.task == "regression":
            return rows
        predicted = self._predict(answers).tolist()
        return [[*first, *row] for first, row in zip(predicted, rows, strict=True)]


def load_run(folder: str | os.PathLike[str], backend: Backend | str = "numpy") -> SavedRun:
    """Return the run that `pluggable-mlp train --output` saved in a folder.

    Parameters
    ----------
    folder : str or path
        The folder named by `--output`.
    backend : Backend or str, default "numpy"
        The backend of its parameters and its network; a name as for `get_backend`.

    Returns
    -------
    SavedRun
        With `predict`, `predict_proba` and `evaluate`, which prepare data as training did.

    Raises
    ------
    ValueError
        If a file is missing or damaged, or is not that of the run by its hash.
    BackendUnavailable
        If the backend is not available.

    See Also
    --------
    train

    Examples
    --------
    >>> run = load_run("run")  # doctest: +SKIP
    >>> run.predict("new.csv")  # doctest: +SKIP
    """
    folder = Path(folder)
    backend = get_backend(backend) if isinstance(backend, str) else backend
    config, summary, plan, preparation = read_run(folder, ended=True)
    zeros = zeros_of(plan.mlp, plan.options.dtype)
    model = folder / "model.safetensors"
    parameters = read_parameters(model, backend, summary["parameters_sha256"], zeros)
    return SavedRun(config, summary, plan, preparation, parameters, backend, folder)
