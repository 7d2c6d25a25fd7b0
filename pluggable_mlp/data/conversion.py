"""From the arrays that a file holds to a `Dataset`: conversion, division, number of classes.

What can be said of raw arrays whatever their file belongs here; the rules that the result
keeps belong in `dataset.py`, the formats in the readers.

Shapes: n examples, inputs (n, ...) before and (n, features) after, labels (n,).
"""

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.dataset import Dataset
from pluggable_mlp.data.errors import DataError

__all__ = ["PIXEL_SCALE", "TEST_PERIOD", "Examples", "as_inputs", "build_dataset", "divide"]

Examples = tuple[Array, Array]
"""Inputs (n, ...) and labels (n,) as a file holds them."""

PIXEL_SCALE = 1 / 256
"""The value of an 8-bit pixel is integer / 256: exact, unlike integer / 255."""

TEST_PERIOD = 7
"""Every seventh example is for testing.  A prime, so that rows that repeat with another period
(the digits begin 0 1 2 ... 9 0 1 2 ... 9) still give examples of every class to both parts."""

LARGEST_EXACT = 2**53
"""Up to here every integer is a float64."""


def divide(inputs: Array, labels: Array) -> tuple[Examples, Examples]:
    """Divide examples into a training and a test part: examples 6, 13, 20, ... are for testing.

    Parameters
    ----------
    inputs : array, shape (n, ...)
    labels : array, shape (n, ...)

    Returns
    -------
    train, test
        Each with its inputs and its labels.
    """
    test = np.arange(len(inputs)) % TEST_PERIOD == TEST_PERIOD - 1
    return (inputs[~test], labels[~test]), (inputs[test], labels[test])


def build_dataset(
    name: str,
    train: Examples,
    test: Examples,
    validation: Examples = (None, None),
    scale: float = PIXEL_SCALE,
) -> Dataset:
    """Convert what a file holds to a `Dataset`.

    uint8 inputs stay as they are, and mean integer * `scale`; float32 and float64 stay;
    float16 becomes float32, other integers and booleans float64, exactly.  The axes after the
    first are flattened.  Labels may be integers or floats that hold integers.  The number of
    classes is the largest label + 1; if fewer than half of the classes occur, the labels are
    taken to be out of range (a damaged file, or numbers that are no classes).

    Parameters
    ----------
    name : str
        The source, for errors and for `Dataset.name`.
    train, test, validation
        Inputs (n, ...) and labels (n,) of each part.
    scale : float
        The value of one unit of uint8 inputs, a power of two.

    Raises
    ------
    DataError
        If the data are of another kind, or break a rule of `Dataset`.
    """
    parts = {"train": train, "test": test, "validation": validation}
    arrays = {}
    for part, (inputs, labels) in parts.items():
        if inputs is not None:
            arrays[f"{part}_inputs"] = as_inputs(name, part, inputs)
            arrays[f"{part}_labels"] = _as_labels(name, part, labels)
    pixels = arrays["train_inputs"].dtype == np.uint8
    classes = _count_classes(
        name, {part: arrays[f"{part}_labels"] for part in parts if f"{part}_labels" in arrays}
    )
    return Dataset(name=name, scale=scale if pixels else None, classes=classes, **arrays)


def as_inputs(name: str, part: str, values: Array) -> Array:
    """Convert inputs (n, ...) to (n, features), as `build_dataset` says; not yet checked for NaN.

    Raises
    ------
    DataError
        If they are no numbers, or not at least one example of one feature.
    """
    if values.ndim < 2 or 0 in values.shape:
        fault = f"the {part} inputs have shape {values.shape}"
        raise DataError(name, fault, "give examples along the first axis, features along the rest")
    kind, size = values.dtype.kind, values.dtype.itemsize
    if kind in "iu" and size > 4 and max(abs(int(values.min())), int(values.max())) > LARGEST_EXACT:
        fault = f"the {part} inputs hold integers beyond 2**53"
        raise DataError(name, fault, "scale them down first")
    if values.dtype.name in ("uint8", "float32", "float64"):
        dtype = values.dtype.newbyteorder("=")
    elif values.dtype.name == "float16":
        dtype = np.dtype(np.float32)
    elif kind in "iub":
        dtype = np.dtype(np.float64)
    else:
        fault = f"the {part} inputs are of dtype {values.dtype}"
        raise DataError(name, fault, "give uint8, float32 or float64")
    # Writeable, for PyTorch warns of memory that is not.
    return np.require(values.reshape(values.shape[0], -1), dtype, ["C", "W"])


def _as_labels(name: str, part: str, values: Array) -> Array:
    remedy = "number the classes from 0"
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1 or values.size == 0 or values.dtype.kind not in "iufb":
        fault = f"the {part} labels have shape {values.shape} and dtype {values.dtype}"
        raise DataError(name, fault, "give one integer for each example")
    if values.dtype.kind == "f" and not np.array_equal(values, np.rint(values)):
        bad = values[values != np.rint(values)][0]
        raise DataError(name, f"the {part} label {bad} is not an integer", remedy)
    smallest, largest = float(values.min()), float(values.max())
    if smallest < 0 or largest > LARGEST_EXACT:
        fault = f"the {part} labels go from {smallest:g} to {largest:g}, which is out of range"
        raise DataError(name, fault, remedy)
    return values.astype(np.int64)


def _count_classes(name: str, parts: dict[str, Array]) -> int:
    occurring = np.unique(np.concatenate(list(parts.values())))
    largest = int(occurring[-1])
    if 2 * occurring.size < largest + 1:
        part = max(parts, key=lambda part: parts[part].max())
        raise DataError(
            name,
            f"a {part} label is {largest}, but only {occurring.size} different labels occur: "
            "it is out of range",
            "get a new copy of the file if it is damaged, else number the classes from 0",
        )
    return largest + 1
