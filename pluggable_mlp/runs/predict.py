"""What a saved network makes of data: examples to measure it on, predictions as rows."""

import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.backends import Backend
from pluggable_mlp.data.dataset import (
    DataError,
    Dataset,
    DataWarning,
    Source,
    Split,
    no_data_warnings,
)
from pluggable_mlp.data.load import dataset_of, examples_like, load_inputs, load_source_like
from pluggable_mlp.data.preparation import Preparation
from pluggable_mlp.data.streaming import block_of, left_in_file, left_in_files
from pluggable_mlp.namespaces import namespace_of, unwrapped
from pluggable_mlp.runs.saved import SavedRun, load_own_data
from pluggable_mlp.runs.scores import measure
from pluggable_mlp.training.examples import examples_in_blocks

__all__ = [
    "answers_on_test_part",
    "evaluate_run",
    "predict_rows",
    "prediction_header",
    "predictions_alone",
]

_EXAMPLES_AT_ONCE = 1000


def evaluate_run(run: SavedRun, data: str | None, backend: Backend) -> dict[str, float]:
    """Return how good a saved run is: `measure`, and the count of the examples.

    Parameters
    ----------
    run : SavedRun
    data : str or None
        As for `load_dataset`: their test part, or all examples where they have none.  None: the
        test part of what the run was trained on.
    backend : Backend

    Raises
    ------
    DataError
        If the data cannot be read, do not fit the network, hold a label that training never saw,
        or are no longer what the run was trained on.
    """
    if data is None:
        own = _own_data(run)
        (inputs, targets), scale = own.test, own.scale
    else:
        source = load_source_like(run.schema, data, run.settings.target)
        inputs, targets = _other_examples(run, left_in_files(source, None))
        scale = run.schema.scale_of(inputs)
    arithmetic = run.settings.arithmetic
    examples = examples_in_blocks(
        run.mlp,
        inputs,
        targets,
        run.settings.block_size or block_of(inputs) or None,
        backend=backend,
        dtype=run.settings.dtype,
        scale=scale,
        arithmetic=arithmetic,
    )
    measured = measure(
        run.mlp,
        run.parameters,
        examples,
        backend=backend,
        arithmetic=arithmetic,
        units=run.schema.target_units,
    )
    return {"examples": len(examples), **measured}


def _other_examples(run: SavedRun, source: Source) -> Split:
    """Return the examples of other data, as training would have had them."""
    if "test" not in source.splits and _is_what_it_was_trained_on(run, source):
        doubt = "the run was trained on all of these examples"
        if run.settings.test_share:
            doubt = (
                "the run was trained on most of these examples; without --data, those that were "
                "kept for testing are measured"
            )
        warnings.warn(f"{source.name}: {doubt}", DataWarning, stacklevel=3)
    return examples_like(run.schema, source, run.settings.dtype)


def _is_what_it_was_trained_on(run: SavedRun, source: Source) -> bool:
    try:
        with no_data_warnings():
            dataset = dataset_of(source, **run.settings.data_options())
    except DataError:  # one class alone, too few examples: it was not
        return False
    return bool(dataset.sha256() == run.config["data_sha256"])


def _own_data(run: SavedRun, data: str | None = None) -> Dataset:
    """Return what the run was trained on, maybe from another place than then."""
    return load_own_data(
        run.settings if data is None else replace(run.settings, data=data),
        run.config["data_sha256"],
        missing="say with --data where they are",
        changed="to measure the run on these, name them with --data",
    )


def prediction_header(schema: Preparation) -> list[str]:
    """Return the names of the columns of `predict_rows`, all different.

    Probabilities have the name of their class or label after "p", or after "p_", "p__", … where
    that is the name of another column.
    """
    names = list(schema.target_names or ())
    answers = ["prediction"] if schema.class_labels is not None or len(names) == 1 else names
    if schema.task == "regression":
        return answers
    prefix, of = "p", schema.class_labels or names
    while not {f"{prefix}{name}" for name in of}.isdisjoint(answers):
        prefix = f"{prefix}_"
    return [*answers, *(f"{prefix}{name}" for name in of)]


def predictions_alone(schema: Preparation, rows: Iterator[list[Any]]) -> Array:
    """Return the answers of `predict_rows` without probabilities: (n,), or (n, outputs)."""
    width = 1 if schema.class_labels is not None else schema.outputs
    answers = np.asarray([row[:width] for row in rows])
    return answers[:, 0] if width == 1 else answers


def predict_rows(run: SavedRun, path: Path, backend: Backend) -> Iterator[list[Any]]:
    """Return a row for every example of a file, as asked for.

    Of a classification [label, probability of each class …], of a multilabel one [0 or 1 for each
    label …, probability of each label …], of a regression [number for each output …].  The file is
    read and checked before the first: a fault in it leaves an old output alone.

    Parameters
    ----------
    run : SavedRun
        Its parameters are on the backend.
    path : Path
        Examples without targets; see `load_inputs`.
    backend : Backend

    Raises
    ------
    DataError
        If the file does not hold what the network takes.
    """
    settings = run.settings
    schema = run.schema
    examples = left_in_file(load_inputs(path, schema, schema.target_names or ()))
    inputs = schema.inputs(str(path), examples, settings.dtype)
    scale = run.schema.scale_of(inputs) or 1.0
    return (_row(run.schema, row) for part in _answers(run, inputs, scale, backend) for row in part)


def answers_on_test_part(
    run: SavedRun, backend: Backend, data: str | None = None
) -> tuple[Array, Array]:
    """Return what a network answers on the test part of its data, and the targets there.

    Answers are probabilities (n, outputs), or the numbers of a regression.  `data` says where the
    data are, by default where they were.

    Raises
    ------
    DataError
        If the data cannot be read, or are no longer what the run was trained on.
    """
    own = _own_data(run, data)
    parts = [*_answers(run, own.test.inputs, own.scale or 1.0, backend)]
    return np.concatenate(parts), run.schema.in_own_units(own.test.targets)


def _answers(run: SavedRun, inputs: Array, scale: float, backend: Backend) -> Iterator[Array]:
    """Return the answers (…, outputs) for inputs, times the scale, some at a time."""
    settings = run.settings
    xp = namespace_of(settings.arithmetic, backend)
    dtype = getattr(xp, settings.dtype)
    of_task = run.mlp.predict if run.schema.task == "regression" else run.mlp.predict_proba

    def answers_of(part: Array) -> Array:
        x = unwrapped(xp.astype(xp.asarray(backend.asarray(part * scale)), dtype, copy=False))
        answers = backend.to_numpy(of_task(run.parameters, x, arithmetic=settings.arithmetic))
        return run.schema.in_own_units(answers)

    starts = range(0, inputs.shape[0], _EXAMPLES_AT_ONCE)
    return (answers_of(inputs[start : start + _EXAMPLES_AT_ONCE]) for start in starts)


def _row(schema: Preparation, answers: Array) -> list[Any]:
    """Return the row of one example, of its probabilities or its numbers (outputs,)."""
    listed: list[Any] = answers.tolist()
    if schema.class_labels is not None:
        return [schema.class_labels[answers.argmax()], *listed]
    if schema.task == "multilabel":
        return [*(int(p > 0.5) for p in listed), *listed]
    return listed
