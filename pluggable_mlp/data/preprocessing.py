"""From the arrays that a file holds to numbers for a network.

What can be said of raw inputs and targets whatever their file belongs here; the rules that a
`Dataset` keeps belong in `dataset.py`, what a saved run asks of later files in `schema.py`.

Shapes: n examples, inputs (n, ...) before and (n, features) after, labels (n,), other targets
(n,) or (n, outputs).
"""

import warnings
from typing import Literal, get_args

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.dataset import (
    PIXEL_SCALE,
    DataError,
    Dataset,
    DataWarning,
    Source,
    Split,
    check_finite,
)
from pluggable_mlp.randomness import permutation

__all__ = [
    "LARGEST_EXACT",
    "TEST_PERIOD",
    "Task",
    "as_bytes",
    "as_inputs",
    "build_dataset",
    "choose_test_examples",
    "class_indices",
    "matched",
]

Task = Literal["classification", "regression"]
"""Whether targets are labels of classes or numbers."""

EIGHT_BITS = 128
"""From here on a whole number up to 255 needs all eight bits of a pixel."""

BLOCK = 4096
"""So many rows are looked at together, which keeps temporary arrays small."""

TEST_PERIOD = 7
"""One example of so many is for testing, where a source has no test part of its own."""

LARGEST_EXACT = 2**53
"""Up to here every integer is a float64."""

SURELY_CLASSES, FEWEST_OF_A_CLASS = 20, 5
"""More different labels than these, with fewer examples of each on average, are measurements."""

MANY_OF_A_CLASS = 20
"""Where classes have so many examples on average, one of a single example may be a fault."""

REGRESSION = (
    "to predict measurements, load them in Python with load_dataset(…, task='regression') and "
    "train with a loss of regression"
)


def build_dataset(source: Source, seed: int = 0, task: Task = "classification") -> Dataset:
    """Convert what a file holds to a `Dataset`.

    Where the source has no split for testing, `choose_test_examples` divides it.

    uint8 inputs are pixels: they stay as they are, and mean integer * `pixel_scale`.  Inputs of
    any other dtype are pixels, too, if all are whole numbers from 0 to 255 and one is at least
    128; a warning says so.  All others are taken as they are: float32 and float64 stay, float16
    becomes float32, other integers and booleans float64, exactly.  The axes after the first are
    flattened.

    The classes are the labels that occur for training, in increasing order.  Numbers to predict
    become floats as inputs do.

    Parameters
    ----------
    source : Source
    seed : int
        Of the division.
    task : {"classification", "regression"}
        Whether targets are labels of classes, or numbers, (n,) or (n, outputs).

    Raises
    ------
    DataError
        If the data are of another kind, or break a rule of `Dataset`.
    ValueError
        If the task is another.
    """
    if task not in get_args(Task):
        raise ValueError(f"task is {task!r}, expected 'classification' or 'regression'")
    name = source.name
    splits = {part: matched(name, part, given, task) for part, given in source.splits.items()}
    if "test" not in splits:
        splits |= _divided(name, splits["train"], seed, task)
    inputs = {part: as_inputs(name, part, given.inputs) for part, given in splits.items()}
    inputs, scale = _scaled(source, inputs)
    targets = {part: given.targets for part, given in splits.items()}
    class_labels = None
    if task == "classification":
        class_labels = classes_of(name, targets["train"])
        targets = {
            part: class_indices(name, part, labels, class_labels)
            for part, labels in targets.items()
        }
    splits = {part: Split(inputs[part], targets[part]) for part in splits}
    return Dataset(splits, name, scale, class_labels)


def matched(name: str, part: str, split: Split, task: Task = "classification") -> Split:
    """Return inputs (n, ...) as they are, labels (n,) as int64 or numbers as floats.

    Raises
    ------
    DataError
        If there is not one target for each example.
    """
    inputs, targets = split
    as_targets = as_labels if task == "classification" else _as_numbers
    targets = as_targets(name, part, targets)
    if inputs.ndim == 0 or len(inputs) != len(targets):
        kind = "labels" if task == "classification" else "targets"
        fault = f"the {part} inputs have shape {inputs.shape}, the {kind} {targets.shape}"
        raise DataError(name, fault, f"give one of the {kind} for each example")
    return Split(inputs, targets)


def _divided(name: str, train: Split, seed: int, task: Task) -> dict[str, Split]:
    """Return the splits that `choose_test_examples` makes of one."""
    inputs, targets = train
    classes = targets if task == "classification" else np.zeros(len(targets), np.int64)
    test = choose_test_examples(name, classes, seed)
    return {
        "train": Split(inputs[~test], targets[~test]),
        "test": Split(inputs[test], targets[test]),
    }


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
    values = values.reshape(values.shape[0], -1)
    if values.dtype == np.uint8:  # writeable, for PyTorch warns of memory that is not
        return np.require(values, requirements=["C", "W"])
    return _as_floats(name, part, "inputs", values)


def _as_numbers(name: str, part: str, values: Array) -> Array:
    """Convert targets (n,) or (n, outputs) to float32 or float64, all finite."""
    if values.ndim not in (1, 2) or 0 in values.shape:
        fault = f"the {part} targets have shape {values.shape}"
        raise DataError(name, fault, "give a number, or a row of them, for each example")
    return _as_floats(name, part, "targets", values)


def _as_floats(name: str, part: str, kind: str, values: Array) -> Array:
    """Convert numbers to float32 or float64 exactly; refuse what is not finite."""
    letter, size = values.dtype.kind, values.dtype.itemsize
    if letter in "iu" and size > 4:
        largest = max(abs(int(values.min())), int(values.max()))
        if largest > LARGEST_EXACT:
            fault = f"the {part} {kind} hold integers beyond 2**53"
            raise DataError(name, fault, "scale them down first")
    if values.dtype.name in ("float32", "float64"):
        dtype = values.dtype.newbyteorder("=")
    elif values.dtype.name == "float16":
        dtype = np.dtype(np.float32)
    elif letter in "iub":
        dtype = np.dtype(np.float64)
    else:
        fault = f"the {part} {kind} are of dtype {values.dtype}"
        raise DataError(name, fault, "give float32 or float64, or integers; pixels as uint8")
    converted = np.require(values, dtype, ["C", "W"])
    check_finite(name, part, kind, converted)
    return converted


def as_bytes(values: Array, unit: float = 1.0) -> Array | None:
    """Return the uint8 array whose entries times `unit` are `values`, or None if there is none.

    Parameters
    ----------
    values : array (n, ...) of floats or uint8
        uint8 values are returned as they are, whatever the unit.
    unit : float
        A power of two.
    """
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind != "f" or values.ndim == 0:
        return None
    found = np.empty(values.shape, dtype=np.uint8)
    for start in range(0, len(values), BLOCK):
        block = values[start : start + BLOCK]
        if not ((block >= 0) & (block <= 255 * unit)).all():  # False for NaN, too
            return None
        in_units = block / unit
        found[start : start + BLOCK] = in_units
        if not np.array_equal(found[start : start + BLOCK], in_units):
            return None
    return found


def _scaled(source: Source, inputs: dict[str, Array]) -> tuple[dict[str, Array], float | None]:
    """Return all splits as pixels with their scale, or as they are without one."""
    train = inputs["train"]
    pixels = {part: as_bytes(values) for part, values in inputs.items()}
    if train.dtype == np.uint8:
        if train.max() * source.pixel_scale < EIGHT_BITS * PIXEL_SCALE:
            _tell(
                source,
                f"8-bit pixels are worth {_part(source.pixel_scale)} of their number, and here run "
                f"to {train.max()} alone; if they are not pixels, or of fewer bits, save floats",
            )
        # A split that holds no pixels stays, and `Dataset` refuses it.
        return inputs | {k: v for k, v in pixels.items() if v is not None}, source.pixel_scale
    low, high = float(train.min()), float(train.max())
    if high >= EIGHT_BITS and all(values is not None for values in pixels.values()):
        _tell(
            source,
            f"whole numbers from {low:g} to {high:g} are taken for 8-bit pixels, worth "
            f"{_part(source.pixel_scale)} of their number; if they are not, standardise them "
            "first",
        )
        return pixels, source.pixel_scale
    if max(-low, high) >= EIGHT_BITS:
        _tell(
            source,
            f"the inputs run from {low:g} to {high:g}, and training works best on numbers near 0; "
            "standardise each feature first (subtract its mean, divide by its standard deviation)",
        )
    return inputs, None


def _part(scale: float) -> str:
    return f"1/{1 / scale:g}"


def _tell(source: Source, doubt: str) -> None:
    warnings.warn(f"{source.name}: {doubt}", DataWarning, stacklevel=3)


def choose_test_examples(name: str, classes: Array, seed: int) -> Array:
    """Return which examples are for testing: one of seven, in the same share of every class.

    The examples are shuffled by the seed, sorted by class, and every seventh of this order is
    for testing.  A class of one example is left to training.  Only the raw words of a
    counter-based generator and stable sorts are used: the same on every platform.

    Parameters
    ----------
    name : str
        Of the source, for errors.
    classes : array of int64, shape (n,)
        All the same where there are no classes.
    seed : int

    Returns
    -------
    array of bool, shape (n,)

    Raises
    ------
    DataError
        If there are too few examples.
    """
    _, places, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    order = permutation(seed, "split", 0, classes.shape[0])
    order = order[sizes[places[order]] > 1]
    if order.shape[0] < TEST_PERIOD:
        fault = f"holds {classes.shape[0]} examples"
        if order.shape[0] < classes.shape[0]:
            fault += f", {order.shape[0]} of them in classes of two or more"
        remedy = f"give at least {TEST_PERIOD} of these: one of {TEST_PERIOD} is kept for testing"
        raise DataError(name, fault, remedy)
    order = order[np.argsort(places[order], kind="stable")]
    chosen = np.zeros(classes.shape, dtype=np.bool_)
    chosen[order[TEST_PERIOD - 1 :: TEST_PERIOD]] = True
    return chosen


def as_labels(name: str, part: str, values: Array) -> Array:
    """Convert class labels (n,) or (n, 1), integers, booleans or whole floats, to int64 (n,).

    Raises
    ------
    DataError
        If they are anything else.
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
