"""Class labels: the whole numbers that a source calls its classes, and the places they stand for.

Shapes: n examples, labels (n,).
"""

import warnings

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.errors import DataError, DataWarning

__all__ = ["LARGEST_EXACT", "as_labels", "class_indices", "classes_of"]

LARGEST_EXACT = 2**53
"""Up to here every integer is a float64."""

SURELY_CLASSES, FEWEST_OF_A_CLASS = 20, 5
"""More different labels than these, with fewer examples of each on average, are measurements."""

MANY_OF_A_CLASS = 20
"""Where classes have so many examples on average, one of a single example may be no class."""

REGRESSION = (
    "to predict measurements, load them in Python with load_dataset(…, task='regression') and "
    "train with a loss of regression"
)


def as_labels(name: str, part: str, values: Array) -> Array:
    """Convert class labels (n,) or (n, 1), integers, booleans or whole floats, to int64 (n,).

    Raises
    ------
    DataError
        If they are none of these.
    """
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1 or values.size == 0 or values.dtype.kind not in "iufb":
        fault = f"the {part} labels have shape {values.shape} and dtype {values.dtype}"
        remedy = "give one whole number for each example; for one-hot rows, y.argmax(axis=1)"
        raise DataError(name, fault, remedy)
    if values.dtype.kind == "f":
        bad = values[~(values == np.rint(values)) | np.isinf(values)]
        if bad.size:
            remedy = f"classes are whole numbers; {REGRESSION}"
            raise DataError(name, f"the {part} label {bad[0]} is not a whole number", remedy)
    smallest, largest = int(values.min()), int(values.max())
    if max(-smallest, largest) > LARGEST_EXACT:
        fault = f"the {part} labels go from {smallest} to {largest}"
        raise DataError(name, fault, "give labels of at most 2**53")
    return values.astype(np.int64)


def class_indices(name: str, part: str, labels: Array, class_labels: tuple[int, ...]) -> Array:
    """Return the place of each label (n,) among the increasing class labels, int64 (n,).

    Raises
    ------
    DataError
        If one is not among them.
    """
    known = np.asarray(class_labels, dtype=np.int64)
    places = np.minimum(np.searchsorted(known, labels), known.size - 1)
    unknown = labels[known[places] != labels]
    if unknown.size:
        listed = ", ".join(map(str, class_labels[:20])) + (", …" if known.size > 20 else "")
        fault = f"a {part} label is {unknown[0]}, which training never saw (it saw {listed})"
        raise DataError(name, fault, "leave such examples out, or train on some of them")
    return places.astype(np.int64, copy=False)


def classes_of(name: str, labels: Array) -> tuple[int, ...]:
    """Return the labels that occur in training (n,), increasing.

    A warning tells of labels that occur once among many: a single damaged one makes a class.

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
        raise DataError(name, fault, remedy)
    if occurring.size > SURELY_CLASSES and labels.size < FEWEST_OF_A_CLASS * occurring.size:
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
