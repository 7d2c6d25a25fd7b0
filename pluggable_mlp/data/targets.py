"""What a network is to answer: the task, and targets as each task takes them.

Shapes: n examples, targets (n,) or (n, outputs), class labels and class indices (n,).
"""

from typing import Literal

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.dataset import LARGEST_EXACT, as_floats, check_finite
from pluggable_mlp.data.errors import DataError
from pluggable_mlp.registry import choose
from pluggable_mlp.wording import listed

Task = Literal["classification", "multilabel", "regression"]
"""Whether targets are one class of several, yes or no for each label, or numbers."""

TASKS: dict[str, Task] = {
    "classification": "classification",
    "multilabel": "multilabel",
    "regression": "regression",
}

BOOLEANS = ("false", "true")

FEW = 20
"""Up to so many different integers are classes."""

FEWEST_OF_A_CLASS = 5
"""More classes than `FEW`, with fewer examples of each on average, are measurements."""

CHOOSE = (
    "choose --task regression or --task classification (in Python, task='regression' or "
    "task='classification')"
)

REGRESSION = (
    "to predict measurements, train with --task regression (in Python, task='regression' or "
    "TableRegressor)"
)


def as_task(task: str) -> Task:
    """Return the task of this name; ValueError where there is none."""
    return choose(TASKS, task, "task")


def find_task(name: str, targets: Array) -> Task:
    """Return the task of targets of which nobody said it.

    Texts and booleans are classes, floats are numbers to predict.  Integers are classes if there
    are at most 20 different ones, or if they number the classes: from 0 or 1 on without a gap.
    Rows of 0 and 1 are labels of which several may be yes; other rows are numbers.

    Parameters
    ----------
    name : str
        Of the data, for errors.
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
            fault = (
                f"the targets are {different.size} different integers from {ends[0]} to {ends[1]} "
                f"in {targets.size} examples, which may be amounts or classes"
            )
            raise DataError(name, fault, CHOOSE)
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
    if values.dtype.kind == "U":
        values = _as_numbers(name, part, values)
    numbers = as_floats(name, part, "targets", values)
    check_finite(name, part, "targets", numbers)
    if task == "regression":
        return numbers
    wrong = numbers[(numbers != 0) & (numbers != 1)]
    if wrong.size:
        fault = f"the {part} targets hold {wrong[0]:g}"
        raise DataError(name, fault, "for task multilabel give 0 for no and 1 for yes")
    return numbers.astype(np.int64)


def _as_numbers(name: str, part: str, texts: Array) -> Array:
    """Return texts (n, ...), such as 01, as floats; DataError where one is not a number."""
    try:
        return texts.astype(np.float64)
    except ValueError as error:
        fault = f"the {part} targets hold texts: {error}"
        remedy = "give numbers, or train with --task classification"
        raise DataError(name, fault, remedy) from None


def _as_labels(name: str, part: str, values: Array) -> Array:
    """Convert texts, integers, booleans or whole floats (n,) or (n, 1) to texts or int64 (n,)."""
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1 or values.size == 0 or values.dtype.kind not in "iufbU":
        fault = f"the {part} labels have shape {values.shape} and dtype {values.dtype}"
        remedy = (
            "give one whole number or text for each example; for one-hot rows, y.argmax(axis=1); "
            "for rows of 0 and 1 of which several may be 1, task multilabel"
        )
        raise DataError(name, fault, remedy)
    if values.dtype.kind == "U":
        return values
    if values.dtype.kind == "f":
        bad = values[~(values == np.rint(values)) | np.isinf(values)]
        if bad.size:
            remedy = f"classes are whole numbers or texts; {REGRESSION}"
            raise DataError(name, f"the {part} label {bad[0]} is not a whole number", remedy)
    smallest, largest = int(values.min()), int(values.max())
    if max(-smallest, largest) > LARGEST_EXACT:
        fault = f"the {part} labels go from {smallest} to {largest}"
        raise DataError(name, fault, "give labels of at most 2**53")
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
    known = np.asarray(class_labels)
    if (labels.dtype.kind == "U") != (known.dtype.kind == "U"):
        kinds = ["texts" if each.dtype.kind == "U" else "whole numbers" for each in (labels, known)]
        fault = f"the {part} labels are {kinds[0]}, training's are {kinds[1]}"
        raise DataError(name, fault, "write them alike")
    if known.dtype.kind == "U" and tuple(np.char.lower(known)) == BOOLEANS:
        labels, known = np.char.lower(labels), np.asarray(BOOLEANS)
    places = np.minimum(np.searchsorted(known, labels), known.size - 1)
    unknown = labels[known[places] != labels]
    if unknown.size:
        saw = listed(class_labels, 20)
        fault = f"a {part} label is {unknown[0]}, which training never saw (it saw {saw})"
        raise DataError(name, fault, "leave such examples out, or train on some of them")
    return places.astype(np.int64, copy=False)


def classes_of(name: str, labels: Array) -> tuple[int, ...] | tuple[str, ...]:
    """Return the labels that occur in training (n,), increasing.

    Raises
    ------
    DataError
        If they are one class alone, or evidently measurements.
    """
    occurring = np.unique(labels)
    if occurring.size < 2:
        fault = f"all training labels are {occurring[0]}"
        remedy = (
            "a classifier needs examples of two classes or more; labels are y, or the last column"
        )
        if labels.dtype.kind == "i":
            remedy += f"; {REGRESSION}"
        raise DataError(name, fault, remedy)
    many = occurring.size > FEW and labels.size < FEWEST_OF_A_CLASS * occurring.size
    if labels.dtype.kind == "i" and many:
        fault = f"has {occurring.size} different labels for {labels.size} training examples"
        remedy = f"these look like measurements: group them into classes; {REGRESSION}"
        raise DataError(name, fault, remedy)
    return tuple(occurring.tolist())
