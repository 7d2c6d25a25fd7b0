"""What a saved network makes of data: examples to measure it on, predictions as rows."""

import warnings
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from pluggable_mlp.arrays import Array
from pluggable_mlp.data import DataError, DataWarning, Split, load_dataset
from pluggable_mlp.data.dataset import Source, told_already
from pluggable_mlp.data.loading import load_inputs, load_source
from pluggable_mlp.data.preprocessing import build_dataset, matched
from pluggable_mlp.namespaces import namespace_of, unwrapped
from pluggable_mlp.runs import SavedRun
from pluggable_mlp.training.batches import Examples
from pluggable_mlp.training.train import make_examples

__all__ = ["measured_examples", "predict_rows"]

_EXAMPLES_AT_ONCE = 1000


def measured_examples(run: SavedRun, data: str | None, backend: Any) -> Examples:
    """Return the examples that tell how good a saved run is, on the backend.

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
        name, (inputs, labels) = run.settings.data, _own_test_part(run)
    else:
        source = load_source(data)
        measured = source.splits.get("test", source.splits["train"])
        if "test" not in source.splits and _is_what_it_was_trained_on(run, source):
            warnings.warn(
                f"{data}: the run was trained on most of these examples; without --data, those "
                "that were kept for testing are measured",
                DataWarning,
                stacklevel=2,
            )
        name, (inputs, labels) = source.name, matched(source.name, "new", measured)
    inputs = run.schema.inputs(name, inputs, run.settings.dtype)
    return make_examples(
        run.mlp,
        inputs,
        run.schema.class_indices(name, labels),
        backend=backend,
        dtype=run.settings.dtype,
        scale=run.schema.scale_of(inputs),
        arithmetic=run.settings.arithmetic,
    )


def _is_what_it_was_trained_on(run: SavedRun, source: Source) -> bool:
    try:
        with told_already():
            dataset = build_dataset(source, run.settings.seed)
    except DataError:  # one class alone, too few examples: it was not
        return False
    return bool(dataset.sha256() == run.config["data_sha256"])


def _own_test_part(run: SavedRun) -> Split:
    """Return the inputs and the labels that training kept for testing."""
    try:
        with told_already():
            dataset = load_dataset(run.settings.data, run.settings.seed)
    except DataError as error:
        raise error.or_else("say with --data where they are") from None
    if dataset.sha256() != run.config["data_sha256"]:
        raise DataError(
            dataset.name,
            "holds other data than the run was trained on (their SHA-256 differ)",
            "to measure the run on these, name them with --data",
        )
    return Split(dataset.test.inputs, dataset.labels_of(dataset.test.targets))


def predict_rows(run: SavedRun, path: Path, backend: Any) -> Iterator[list[Any]]:
    """Return [label, probability of each class …] for every example of a file, as asked for.

    The file is read and checked before the first: a fault in it leaves an old output alone.

    Parameters
    ----------
    run : SavedRun
        Its parameters are on the backend.
    path : Path
        Examples without labels; see `load_inputs`.
    backend : Backend

    Raises
    ------
    DataError
        If the file does not hold what the network takes.
    """
    settings, labels = run.settings, run.schema.class_labels
    inputs = run.schema.inputs(str(path), load_inputs(path), settings.dtype)
    scale = run.schema.scale_of(inputs) or 1.0
    xp = namespace_of(settings.arithmetic, backend)
    dtype = getattr(xp, settings.dtype)

    def rows_of(part: Array) -> Iterator[list[Any]]:
        x = unwrapped(xp.astype(xp.asarray(backend.asarray(part * scale)), dtype, copy=False))
        proba = run.mlp.predict_proba(run.parameters, x, arithmetic=settings.arithmetic)
        return ([labels[row.argmax()], *row.tolist()] for row in backend.to_numpy(proba))

    starts = range(0, inputs.shape[0], _EXAMPLES_AT_ONCE)
    parts = (inputs[start : start + _EXAMPLES_AT_ONCE, :] for start in starts)
    return chain.from_iterable(map(rows_of, parts))
