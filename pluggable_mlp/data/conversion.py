"""From the arrays that a file holds to numbers for a network.

What can be said of raw arrays whatever their file belongs here, of labels in `labels.py`; the
rules that a `Dataset` keeps belong in `dataset.py`, what a saved run asks of later files in
`schema.py`.

Shapes: n examples, inputs (n, ...) before and (n, features) after, labels (n,).
"""

import warnings

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.dataset import Dataset, check_finite
from pluggable_mlp.data.errors import DataError, DataWarning
from pluggable_mlp.data.labels import LARGEST_EXACT, as_labels, class_indices, classes_of
from pluggable_mlp.data.source import PIXEL_SCALE, Examples, Source, choose_test_examples

__all__ = ["as_bytes", "as_inputs", "build_dataset", "matched"]

EIGHT_BITS = 128
"""From here on a whole number up to 255 needs all eight bits of a pixel."""

BLOCK = 4096
"""So many rows are looked at together, which keeps temporary arrays small."""


def build_dataset(source: Source, seed: int = 0) -> Dataset:
    """Convert what a file holds to a `Dataset`.

    Where the source has no test part, `choose_test_examples` divides it.

    uint8 inputs are pixels: they stay as they are, and mean integer * `pixel_scale`.  Inputs of
    any other dtype are pixels, too, if all are whole numbers from 0 to 255 and one is at least
    128; a warning says so.  All others are taken as they are: float32 and float64 stay, float16
    becomes float32, other integers and booleans float64, exactly.  The axes after the first are
    flattened.

    The classes are the labels that occur in the training part, in increasing order.

    Parameters
    ----------
    source : Source
    seed : int
        Of the division.

    Raises
    ------
    DataError
        If the data are of another kind, or break a rule of `Dataset`.
    """
    name = source.name
    parts = {"train": source.train, "test": source.test, "validation": source.validation}
    raw = {part: matched(name, part, *given) for part, given in parts.items() if given is not None}
    if "test" not in raw:
        x, y = raw["train"]
        test = choose_test_examples(name, y, seed)
        raw |= {"train": (x[~test], y[~test]), "test": (x[test], y[test])}
    class_labels = classes_of(name, raw["train"][1])
    inputs = {f"{part}_inputs": as_inputs(name, part, x) for part, (x, _) in raw.items()}
    inputs, scale = _scaled(source, inputs)
    labels = {
        f"{part}_labels": class_indices(name, part, y, class_labels) for part, (_, y) in raw.items()
    }
    return Dataset(name=name, scale=scale, class_labels=class_labels, **inputs, **labels)


def matched(name: str, part: str, inputs: Array, labels: Array) -> Examples:
    """Return inputs (n, ...) as they are, and labels (n,) as int64.

    Raises
    ------
    DataError
        If there is not one whole number for each example.
    """
    labels = as_labels(name, part, labels)
    if inputs.ndim == 0 or len(inputs) != len(labels):
        fault = f"the {part} inputs have shape {inputs.shape}, the labels {labels.shape}"
        raise DataError(name, fault, "give one label for each example")
    return inputs, labels


def as_inputs(name: str, part: str, values: Array) -> Array:
    """Convert inputs (n, ...) to (n, features) of uint8, float32 or float64, all finite.

    Raises
    ------
    DataError
        If they are no such numbers, or not at least one example of one feature.
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
    inputs = np.require(values.reshape(values.shape[0], -1), dtype, ["C", "W"])
    check_finite(name, part, inputs)
    return inputs


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
    """Return all parts as pixels with their scale, or as they are without one."""
    train = inputs["train_inputs"]
    pixels = {name: as_bytes(values) for name, values in inputs.items()}
    if train.dtype == np.uint8:
        if train.max() * source.pixel_scale < EIGHT_BITS * PIXEL_SCALE:
            _tell(
                source,
                f"8-bit pixels are worth {_part(source.pixel_scale)} of their number, and here run "
                f"to {train.max()} alone; if they are no pixels, or of fewer bits, save floats",
            )
        # A part that holds no pixels stays, and `Dataset` refuses it.
        return inputs | {k: v for k, v in pixels.items() if v is not None}, source.pixel_scale
    low, high = float(train.min()), float(train.max())
    if high >= EIGHT_BITS and all(values is not None for values in pixels.values()):
        _tell(
            source,
            f"whole numbers from {low:g} to {high:g} are taken for 8-bit pixels, worth "
            f"{_part(source.pixel_scale)} of their number; if they are none, standardise them "
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
