"""What a network is to answer: the task, and targets as each task takes them.

Shapes: n examples, targets (n,) or (n, outputs), class labels and class indices (n,).
"""

import warnings
from typing import Literal

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.dataset import (
    LARGEST_EXACT,
    DataError,
    DataWarning,
    as_floats,
    check_finite,
)
from pluggable_mlp.registry import choose

__all__ = [
    "BOOLEANS",
    "TASKS",
    "Task",
    "are_measurements",
    "as_targets",
    "as_task",
    "class_indices",
    "classes_of",
    "find_task",
]

Task = Literal["classification", "multilabel", "regression"]
"""Whether targets are one class of several, yes or no for each label, or numbers."""

TASKS: dict[str, Task] = {
    "classification": "classification",
    "multilabel": "multilabel",
    "regression": "regression",
}

BOOLEANS = ("false", "true")

SURELY_CLASSES, FEWEST_OF_A_CLASS = 20, 5
"""More different integers than these, with fewer examples of each on average, are measurements."""

EVEN = 5
"""The rarest of numbered classes has at least one part in so many of the average."""

MANY_OF_A_CLASS = 20
"""Where classes have so many examples on average, one of a single example may be a fault."""

REGRESSION = "to predict measurements, train with --task regression (in Python, task='regression')"


def as_task(task: str) -> Task:
    """Return the task of this name; ValueError where there is none."""
    return choose(TASKS, task, "task")


def find_task(name: str, targets: Array) -> Task:
    """Return the task that targets speak of.

    Texts and booleans are classes, numbers with fractions are numbers to predict.  Integers are
    classes if there are at most 20 different ones, or if they number the classes: from 0 or 1 on
    without a gap, the rarest with at least a fifth of the average count.  With fewer than five
    examples of each on average they are numbers to predict.  Rows of 0 and 1 are labels of which
    several may be yes; other rows are numbers.

    Parameters
    ----------
    name : str
        Of the data, for errors.
    targets : array (n,), (n, 1) or (n, outputs)
        As a file holds them.

    Raises
    ------
    DataError
        If they are integers that may be amounts or classes.
    """
    kind = targets.dtype.kind
    if targets.ndim == 2 and targets.shape[1] > 1:
        binary = kind in "iufb" and bool(np.isin(targets, (0, 1)).all())
        return "multilabel" if binary else "regression"
    if are_measurements(targets):
        return "regression"
    if kind in "iuf" and not _number_classes(targets):
        different = np.unique(targets)
        fault = (
            f"the targets are {different.size} different integers from {different[0]:.0f} to "
            f"{different[-1]:.0f} in {targets.size} examples, which may be amounts or classes"
        )
        remedy = (
            "choose --task regression or --task classification (in Python, task='regression' or "
            "task='classification')"
        )
        raise DataError(name, fault, remedy)
    return "classification"


def are_measurements(targets: Array) -> bool:
    """Return whether targets (n,) are numbers of which nobody would make classes."""
    kind = targets.dtype.kind
    if kind == "f" and not (targets == np.rint(targets)).all():
        return True
    return kind in "iuf" and _are_measurements(np.unique(targets).size, targets.size)


def _number_classes(integers: Array) -> bool:
    """Return whether integers (n,) are few, or number classes of which none is rare."""
    different, counts = np.unique(integers, return_counts=True)
    if different.size <= SURELY_CLASSES:
        return True
    without_gap = different[-1] - different[0] == different.size - 1
    even = counts.min() * EVEN * different.size >= integers.size
    return bool(different[0] in (0, 1) and without_gap and even)


def _are_measurements(different: int, examples: int) -> bool:
    return different > SURELY_CLASSES and examples < FEWEST_OF_A_CLASS * different


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
    """Return texts (n,), such as 01, as floats; DataError where one is not a number."""
    try:
        return texts.astype(np.float64)
    except ValueError as error:
        fault = f"the {part} targets hold texts: {error}"
        raise DataError(name, fault, "give numbers, or train with --task classification") from None


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
    name: str, part: str, labels: Array, class_labels: tuple[int, ...] | tuple[str, ...]
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
        listed = ", ".join(map(str, class_labels[:20])) + (", …" if known.size > 20 else "")
        fault = f"a {part} label is {unknown[0]}, which training never saw (it saw {listed})"
        raise DataError(name, fault, "leave such examples out, or train on some of them")
    return places.astype(np.int64, copy=False)


def classes_of(name: str, labels: Array) -> tuple[int, ...] | tuple[str, ...]:
    """Return the labels that occur in training (n,), increasing.

    A warning lists labels that occur once among many: a single damaged one makes a class.

    Raises
    ------
    DataError
        If they are one class alone, or evidently measurements.
    """
    occurring, counts = np.unique(labels, return_counts=True)
    if occurring.size < 2:
        fault = f"all training labels are {occurring[0]}"
        remedy = (
            "a classifier needs examples of two classes or more; labels are y, or the last column"
        )
        if labels.dtype.kind == "i":
            remedy += f"; {REGRESSION}"
        raise DataError(name, fault, remedy)
    if labels.dtype.kind == "i" and _are_measurements(occurring.size, labels.size):
        fault = f"has {occurring.size} different labels for {labels.size} training examples"
        remedy = f"these look like measurements: group them into classes; {REGRESSION}"
        raise DataError(name, fault, remedy)
    lone = occurring[counts == 1]
    if lone.size and labels.size >= MANY_OF_A_CLASS * occurring.size:
        listed = ", ".join(map(str, lone[:5])) + (", …" if lone.size > 5 else "")
        doubt = f"of {labels.size} training examples a single one has the label {listed}"
        remedy = "if it is damaged or no example, correct it or leave it out"
        warnings.warn(f"{name}: {doubt}; {remedy}", DataWarning, stacklevel=3)
    return tuple(occurring.tolist())
