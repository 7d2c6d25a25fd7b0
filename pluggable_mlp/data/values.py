"""The contents of a file, and their conversion to the inputs and targets of a task.

Which columns of a table are targets is decided in `choice.py`, what training takes in `dataset.py`.

Shapes: n examples, inputs (n, ...) before and (n, features) after, targets (n,) or (n, outputs),
class labels and class indices (n,).
"""

import os
from collections.abc import Mapping
from functools import partial
from typing import Literal, NamedTuple

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.errors import DataError
from pluggable_mlp.fields import list_first
from pluggable_mlp.host.lazy import LazyArray, blocks, lazy_map

Task = Literal["classification", "multilabel", "regression"]
"""Whether targets are one class of several, yes or no for each label, or numbers."""

PIXEL_SCALE = 1 / 256
"""The value of an 8-bit pixel is integer / 256: exact, unlike integer / 255."""

LARGEST_EXACT = 2**53
"""Up to here every integer is a float64."""

BOOLEANS = ("false", "true")

FEW = 20
"""Up to so many different integers are classes."""

CHOOSE = "choose --task regression or --task classification (in Python, task='regression')"
REGRESSION = "for measurements choose --task regression (task='regression')"


Splits = Mapping[str, "Split"]
"""The examples of a file by their part: "train", perhaps "test" and "validation"."""


class Split(NamedTuple):
    """The inputs of examples, and their targets.

    Parameters
    ----------
    inputs : array, shape (n, features)
        A row for each example.
    targets : array, shape (n,) or (n, outputs)
        As for `Dataset`.

    See Also
    --------
    Dataset

    Examples
    --------
    >>> import numpy as np
    >>> from pluggable_mlp import Split
    >>> inputs, targets = Split(np.zeros((3, 2)), np.zeros(3))
    """

    inputs: Array
    targets: Array


def source_of(data: object) -> str:
    """Return the name of data for errors: a path, or the kind of a data frame."""
    if isinstance(data, str | os.PathLike):
        return os.fspath(data)
    return f"{type(data).__module__.partition('.')[0]} data frame"


def is_frame(inputs: object) -> bool:
    """Return whether inputs are the columns of a table, a data frame of polars, or an array."""
    return not isinstance(inputs, np.ndarray | LazyArray)


def check_finite(name: str, part: str, kind: str, values: Array) -> None:
    """Raise `DataError` if inputs or targets (n, …), as `kind` says, hold NaN or infinity."""
    # Both reach the smallest or the largest: no array of flags is needed.
    if values.dtype.kind == "f" and not np.isfinite([values.min(), values.max()]).all():
        before = 0
        for block in blocks(values):
            for row, *column in np.argwhere(~np.isfinite(block))[:1].tolist():
                word = "feature" if kind == "inputs" else "output"
                place = f"{word} {column[0]} of " if column else ""
                place += f"example {before + row} of the {part} {kind}"
                fault = f"{place} is {block[row, *column]} (counted from 0)"
                raise DataError(name, fault, "remove or fill such values first")
            before += len(block)


def as_floats(name: str, part: str, kind: str, values: Array) -> Array:
    """Convert numbers of any dtype and shape to float32 or float64.

    Raises
    ------
    DataError
        If they are not such numbers.
    """
    letter, size = values.dtype.kind, values.dtype.itemsize
    if letter not in "fiub" or size > 8:
        fault = f"the {part} {kind} are of dtype {values.dtype}"
        raise DataError(name, fault, "give float32 or float64, or integers; pixels as uint8")
    dtype = np.float32 if letter == "f" and size <= 4 else np.float64
    return np.require(values, dtype, ["C", "W"])


def as_inputs(name: str, part: str, values: Array) -> Array:
    """Convert inputs (n, ...) to (n, features) of uint8, float32 or float64, all finite.

    Raises
    ------
    DataError
        If they are not such numbers, or not at least one example of one feature.
    """
    if values.ndim < 2 or 0 in values.shape:
        fault = f"the {part} inputs have shape {values.shape}"
        raise DataError(name, fault, "give examples along the first axis, features along the rest")
    inputs = lazy_map(values, partial(_flatten, name, part))
    check_finite(name, part, "inputs", inputs)
    return inputs


def _flatten(name: str, part: str, values: Array) -> Array:
    """Return inputs (m, ...) as (m, features) of uint8, float32 or float64."""
    values = values.reshape(values.shape[0], -1)
    if values.dtype == np.uint8:  # writeable, for PyTorch warns of memory that is not
        return np.require(values, requirements=["C", "W"])
    return as_floats(name, part, "inputs", values)


def as_values(inputs: Array, unit: float | None = None) -> Array:
    """Return a copy of inputs as float64, 8-bit pixels times their unit."""
    values = inputs.astype(np.float64)
    return values * unit if inputs.dtype == np.uint8 and unit is not None else values


def as_bytes(values: Array, unit: float = 1.0) -> Array | None:
    """Return the uint8 array (n, ...) whose entries times `unit`, a power of two, are `values`.

    None if it does not exist; uint8 values are returned as they are, whatever the unit.
    """
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind != "f":
        return None
    for block in blocks(values):
        units = block / unit
        if not ((units >= 0) & (units <= 255) & (units == np.floor(units))).all():
            return None
    return lazy_map(values, lambda rows: (rows / unit).astype(np.uint8))


def find_task(name: str, targets: Array) -> Task:
    """Return the task of targets if none was given.

    Texts and booleans are classes, floats are numbers to predict.  Integers are classes if there
    are at most 20 different ones, or if they number the classes: from 0 or 1 on without a gap.
    Rows of 0 and 1 are multilabel targets; other rows are numbers.

    Parameters
    ----------
    name : str
        The name of the data, for errors.
    targets : array (n,), (n, 1) or (n, outputs)
        As a file holds them.

    Raises
    ------
    DataError
        If they are other integers, which may be amounts or classes.
    """
    kind = targets.dtype.kind
    if targets.ndim == 2 and targets.shape[1] > 1:
        binary = kind in "iufb" and bool(np.isin(targets, (0, 1)).all())
        return "multilabel" if binary else "regression"
    if kind == "f":
        return "regression"
    if kind in "iu":
        different = np.unique(targets)
        ends = different[[0, -1]].astype(object) if different.size else np.zeros(2, object)
        numbered = ends[0] in (0, 1) and ends[1] - ends[0] == different.size - 1
        if different.size > FEW and not numbered:
            fault = f"the targets are {different.size} different integers"
            raise DataError(name, f"{fault}, which may be amounts or classes", CHOOSE)
    return "classification"


def as_targets(name: str, part: str, values: Array, task: Task) -> Array:
    """Return class labels as int64 or texts (n,), labels of 0 and 1 as int64, numbers as floats.

    Raises
    ------
    DataError
        If they are not what the task takes.
    """
    if task == "classification":
        return _as_labels(name, part, values)
    if values.ndim not in (1, 2) or 0 in values.shape:
        fault = f"the {part} targets have shape {values.shape}"
        raise DataError(name, fault, "give a number, or a row of them, for each example")
    numbers = as_floats(name, part, "targets", values)
    check_finite(name, part, "targets", numbers)
    if task == "regression":
        return numbers
    wrong = numbers[(numbers != 0) & (numbers != 1)]
    if wrong.size:
        fault = f"the {part} targets hold {wrong[0]:g}"
        raise DataError(name, fault, "for task multilabel give 0 for no and 1 for yes")
    return numbers.astype(np.int64)


def _as_labels(name: str, part: str, values: Array) -> Array:
    """Convert texts, integers, booleans or whole floats (n,) or (n, 1) to texts or int64 (n,)."""
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1 or values.size == 0 or values.dtype.kind not in "iufbU":
        fault = f"the {part} labels have shape {values.shape} and dtype {values.dtype}"
        remedy = "give one number or text for each example; of one-hot rows y.argmax(axis=1)"
        raise DataError(name, fault, remedy)
    if values.dtype.kind == "U":
        return values
    if values.dtype.kind == "f":
        bad = values[~(values == np.rint(values)) | np.isinf(values)]
        if bad.size:
            fault = f"the {part} label {bad[0]} is not a whole number"
            raise DataError(name, fault, f"classes are whole numbers or texts; {REGRESSION}")
    low, high = int(values.min()), int(values.max())
    if max(-low, high) > LARGEST_EXACT:
        fault = f"the {part} labels go from {low} to {high}"
        raise DataError(name, fault, "scale them to at most 2**53, or write them as texts")
    return values.astype(np.int64)


def class_indices(
    name: str, part: str, labels: Array, class_labels: tuple[int | str, ...]
) -> Array:
    """Return the place of each label (n,) among the increasing class labels, int64 (n,).

    Raises
    ------
    DataError
        If one is not among them.
    """
    classes = np.asarray(class_labels)
    is_text = labels.dtype.kind == "U"
    if is_text != (classes.dtype.kind == "U"):
        fault = f"the {part} labels are {'texts' if is_text else 'whole numbers'}"
        raise DataError(name, fault, "write them as training's are")
    if classes.dtype.kind == "U" and tuple(np.char.lower(classes)) == BOOLEANS:
        labels, classes = np.char.lower(labels), np.asarray(BOOLEANS)
    places = np.minimum(np.searchsorted(classes, labels), classes.size - 1)
    unknown = labels[classes[places] != labels]
    if unknown.size:
        saw = list_first(class_labels, 20)
        fault = f"a {part} label is {unknown[0]}, which training never saw (it saw {saw})"
        raise DataError(name, fault, "leave such examples out, or train on some of them")
    return places.astype(np.int64, copy=False)


def classes_of(name: str, labels: Array) -> tuple[int, ...] | tuple[str, ...]:
    """Return the labels that occur in training (n,), increasing.

    Raises
    ------
    DataError
        If there is only one class.
    """
    occurring = np.unique(labels)
    if occurring.size < 2:
        fault = f"all training labels are {occurring[0]}"
        raise DataError(name, fault, f"give two classes or more; {REGRESSION}")
    return tuple(occurring.tolist())
