"""From the arrays that a file holds to numbers for a network.

What can be said of raw inputs whatever their file belongs here, what of targets in `targets.py`;
the rules that a `Dataset` keeps belong in `dataset.py`, what a saved run asks of later files in
`schema.py`.

Shapes: n examples, inputs (n, ...) before and (n, features) after, targets (n,) or (n, outputs).
"""

import warnings
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.columns import Columns
from pluggable_mlp.data.dataset import (
    PIXEL_SCALE,
    DataError,
    Dataset,
    DataWarning,
    Source,
    Split,
    as_floats,
    check_finite,
)
from pluggable_mlp.data.preparation import (
    NO_SCALING,
    PIXEL_SCALING,
    Preparation,
    fit_columns,
    scaled,
)
from pluggable_mlp.data.scaling import Scaling
from pluggable_mlp.data.split import divide
from pluggable_mlp.data.streaming import in_memory, left_in_files
from pluggable_mlp.data.targets import (
    Task,
    as_task,
    class_indices,
    classes_of,
    find_task,
)
from pluggable_mlp.stored import StoredArray, blocks, mapped

__all__ = ["as_bytes", "as_inputs", "build_dataset"]

EIGHT_BITS = 128
"""Numbers from here on are large; pixels that are all below do not need their eight bits."""

STANDARDIZE = "--scaling standard (in Python, scaling='standard')"
PIXELS = "--scaling pixels"

BLOCK = 4096
"""So many rows are looked at together, which keeps temporary arrays small."""

ELEMENTS = 2**18
"""So many numbers of a table are looked at together."""


def build_dataset(
    source: Source,
    seed: int = 0,
    task: str | None = "classification",
    scaling: str | None = None,
    validation: float | None = None,
    target_scaling: str | None = None,
    block_size: int | None = 0,
    test_share: float | None = None,
) -> Dataset:
    """Convert what a file holds to a `Dataset`.

    Where the source has no split for testing, `choose_test_examples` divides it; a share of the
    examples for training is kept for validation where that is asked for.

    uint8 inputs are pixels: they stay as they are, and mean integer * `pixel_scale`.  All others
    are values: float32 and float64 stay, float16 becomes float32, other integers and booleans
    float64, exactly.  The axes after the first are flattened.

    Columns of texts, and what is missing in columns of numbers, become what `Columns` says.  Where
    a scaling is asked for, inputs of any dtype are scaled features, float64; "pixels" makes whole
    numbers from 0 to 255 of any dtype the pixels that uint8 are.  All is fitted on the training
    part.

    The classes are the labels that occur for training, in increasing order.  Numbers to predict
    become floats as inputs do.

    Parameters
    ----------
    source : Source
    seed : int
        Of the division.
    task : {"classification", "multilabel", "regression"} or None
        Whether targets are class labels (n,), labels (n, outputs) of 0 and 1, or numbers, (n,) or
        (n, outputs); None: what `find_task` says of those for training.
    scaling : {"standard", "minmax", "robust", "pixels", "none"} or None
        How features are scaled; None: "standard" for tables, else "none".
    validation : float or None
        The share of the training examples that is kept for validation; 0 or None: none, but what
        the source has.
    target_scaling : {"standard", "minmax", "robust", "none"} or None
        How numbers to predict are scaled, for the task "regression"; None: not at all.
    block_size : int or None
        Whether inputs of .npy files stay there, and categories codes, to be read a block at a
        time: 0, no; more, yes; None, if they take more than a quarter of the memory.
    test_share : float or None
        The share of the examples that is kept for testing, where the source has no split for it;
        None: `TEST_SHARE`; 0: none.

    Raises
    ------
    DataError
        If the data are of another kind, or break a rule of `Dataset`.
    ValueError
        If the task is another.
    """
    source = left_in_files(source, block_size)
    name = source.name
    task = find_task(name, source.splits["train"].targets) if task is None else as_task(task)
    splits, test_share = divide(source, seed, task, validation, test_share)
    arrays, columns = _as_arrays(source, splits)
    if source.is_table:
        _warn_of_constant(source, arrays["train"])
    kind = ("standard" if source.is_table else NO_SCALING) if scaling is None else scaling
    pixels = kind == PIXEL_SCALING
    inputs, fitted = scaled(name, kind, arrays, columns, source.pixel_scale)
    if pixels:
        inputs = _whole_pixels(name, inputs)
    inputs = in_memory(inputs, block_size)
    train = inputs["train"]
    scale = source.pixel_scale if train.dtype == np.uint8 else None
    if scale is not None:
        _warn_of_dark_pixels(source, train)
    elif scaling is None and fitted is None:
        _warn_of_large_numbers(source, train)
    targets, class_labels, of_targets = _prepared_targets(name, splits, task, target_scaling)
    return Dataset(
        {part: Split(inputs[part], targets[part]) for part in splits},
        name,
        scale,
        class_labels,
        multilabel=task == "multilabel",
        target_names=source.target_names,
        preparation=Preparation(
            columns,
            source.pixel_scale if fitted and arrays["train"].dtype == np.uint8 else None,
            fitted,
            source.feature_names,
            pixels=pixels,
            header=source.header,
            encoding=source.encoding,
        ),
        target_scaling=of_targets,
        test_share=test_share,
    )


def _as_arrays(source: Source, splits: dict[str, Split]) -> tuple[dict[str, Array], Columns | None]:
    """Return the inputs of all splits as arrays, and what became of the columns of a table.

    Errors count examples as the source does, before it was divided.
    """
    name = source.name
    arrays, columns = fit_columns(name, {part: given.inputs for part, given in splits.items()})
    if columns is not None:
        return arrays, columns
    with suppress(DataError):
        return {part: as_inputs(name, part, inputs) for part, inputs in arrays.items()}, columns
    arrays = {part: given.inputs for part, given in source.splits.items()}
    return {part: as_inputs(name, part, inputs) for part, inputs in arrays.items()}, columns


def _warn_of_constant(source: Source, inputs: Array) -> None:
    """Warn where all training inputs (n, features) are alike."""
    rows = max(1, ELEMENTS // inputs.shape[1])
    starts = range(0, len(inputs), rows)
    if all((inputs[start : start + rows] == inputs[:1]).all() for start in starts):
        doubt = "all training inputs are alike, and nothing can be learned from them; give features"
        _warn(source, f"{doubt} that vary")


def _prepared_targets(
    name: str, splits: dict[str, Split], task: Task, scaling: str | None
) -> tuple[dict[str, Array], tuple[int, ...] | tuple[str, ...] | None, Scaling | None]:
    """Return the targets of all splits as a task takes them, the classes, and the scaling."""
    targets = {part: split.targets for part, split in splits.items()}
    if task == "classification":
        return *_as_class_indices(name, targets), None
    if task == "regression":
        scaled_targets, fitted = _scaled_targets(name, scaling, targets)
        return scaled_targets, None, fitted
    return targets, None, None


def _as_class_indices(
    name: str, labels: dict[str, Array]
) -> tuple[dict[str, Array], tuple[int, ...] | tuple[str, ...]]:
    """Return the labels of all splits as indices of the classes in training, and the classes."""
    classes = classes_of(name, labels["train"])
    return {part: class_indices(name, part, of, classes) for part, of in labels.items()}, classes


def _scaled_targets(
    name: str, kind: str | None, targets: dict[str, Array]
) -> tuple[dict[str, Array], Scaling | None]:
    """Return the numbers to predict of all splits, scaled as was asked for, and how."""
    rows = {part: values.reshape(len(values), -1) for part, values in targets.items()}
    values, fitted = scaled(name, kind or NO_SCALING, rows, what="target_scaling")
    return {part: values[part].reshape(of.shape) for part, of in targets.items()}, fitted


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
    inputs = mapped(values, partial(_flattened, name, part))
    check_finite(name, part, "inputs", inputs)
    return inputs


def _flattened(name: str, part: str, values: Array) -> Array:
    """Return inputs (m, ...) as (m, features) of uint8, float32 or float64."""
    values = values.reshape(values.shape[0], -1)
    if values.dtype == np.uint8:  # writeable, for PyTorch warns of memory that is not
        return np.require(values, requirements=["C", "W"])
    return as_floats(name, part, "inputs", values)


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
    if isinstance(values, StoredArray):
        as_own: Any = partial(as_bytes, unit=unit)
        stored = all(as_own(block) is not None for block in blocks(values))
        return values.map(as_own) if stored else None
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


def _whole_pixels(name: str, inputs: dict[str, Array]) -> dict[str, Array]:
    """Return all splits as uint8; DataError where one does not hold whole numbers of 8 bits."""
    pixels = {part: as_bytes(values) for part, values in inputs.items()}
    for part, values in pixels.items():
        if values is None:
            low, high = float(inputs[part].min()), float(inputs[part].max())
            fault = f"the {part} inputs, from {low:g} to {high:g}, are not 8-bit pixels"
            raise DataError(name, fault, f"give whole numbers from 0 to 255, or {STANDARDIZE}")
    return {part: values for part, values in pixels.items() if values is not None}


def _warn_of_dark_pixels(source: Source, train: Array) -> None:
    """Warn of uint8 inputs that are small for pixels of eight bits."""
    if train.max() * source.pixel_scale < EIGHT_BITS * PIXEL_SCALE:
        _warn(
            source,
            f"8-bit pixels are worth 1/{1 / source.pixel_scale:g} of their number, and here run "
            f"to {train.max()} alone; if they are not pixels, or of fewer bits, save floats",
        )


def _warn_of_large_numbers(source: Source, train: Array) -> None:
    low, high = float(train.min()), float(train.max())
    if max(-low, high) >= EIGHT_BITS:
        _warn(
            source,
            f"the inputs run from {low:g} to {high:g}, and training works best on numbers near 0; "
            f"{STANDARDIZE} makes them so, {PIXELS} divides 8-bit pixels by 256",
        )


def _warn(source: Source, doubt: str) -> None:
    warnings.warn(f"{source.name}: {doubt}", DataWarning, stacklevel=4)
