"""From the arrays that a file holds to numbers for a network.

What can be said of raw inputs whatever their file belongs here, what of targets in `targets.py`;
the rules that a `Dataset` keeps belong in `dataset.py`, what a saved run asks of later files in
`schema.py`.

Shapes: n examples, inputs (n, ...) before and (n, features) after, targets (n,) or (n, outputs).
"""

import math
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
from pluggable_mlp.data.division import (
    TEST_SHARE,
    choose_test_examples,
    choose_validation_examples,
)
from pluggable_mlp.data.preparation import NO_SCALING, Preparation, fit_columns, scaled
from pluggable_mlp.data.scaling import Scaling
from pluggable_mlp.data.streaming import left_in_files
from pluggable_mlp.data.targets import (
    Task,
    as_targets,
    as_task,
    class_indices,
    classes_of,
    find_task,
)
from pluggable_mlp.registry import as_number
from pluggable_mlp.stored import StoredArray, blocks, mapped

__all__ = ["as_bytes", "as_inputs", "build_dataset", "matched"]

EIGHT_BITS = 128
"""From here on a whole number up to 255 needs all eight bits of a pixel."""

STANDARDIZE = "--scaling standard (in Python, scaling='standard')"

BLOCK = 4096
"""So many rows are looked at together, which keeps temporary arrays small."""


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

    uint8 inputs are pixels: they stay as they are, and mean integer * `pixel_scale`.  Inputs of
    any other dtype are pixels, too, if all are whole numbers from 0 to 255 and one is at least
    128; a warning says so.  All others are taken as they are: float32 and float64 stay, float16
    becomes float32, other integers and booleans float64, exactly.  The axes after the first are
    flattened.

    Columns of texts, and what is missing in columns of numbers, become what `Columns` says.  Where
    a scaling is asked for, inputs of any dtype are scaled features, float64.  Both are fitted on
    the training part.

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
    scaling : {"standard", "minmax", "robust", "none"} or None
        How features are scaled; None: "standard" for tables, unless they hold the pixels of
        square images alone, else "none".
    validation : float or None
        The share of the training examples that is kept for validation; 0 or None: none, but what
        the source has.
    target_scaling : {"standard", "minmax", "robust", "none"} or None
        How numbers to predict are scaled, for the task "regression"; None: not at all.
    block_size : int or None
        Whether inputs of .npy files stay there, to be read a block at a time: 0, no; more, yes;
        None, if they take more than a quarter of the memory.
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
    splits, test_share = _parts(source, seed, task, validation, test_share)
    arrays, columns = _as_arrays(source, splits)
    if source.is_table:
        _tell_constant(source, arrays["train"])
    kind = _usual_scaling(source, arrays, columns) if scaling is None else scaling
    inputs, fitted = scaled(name, kind, arrays, columns, source.pixel_scale)
    scale = None
    if fitted is None and columns is None:
        inputs, scale = _pixels(source, inputs, asked=scaling is not None)
    targets = {part: given.targets for part, given in splits.items()}
    class_labels = None
    if task == "classification":
        class_labels = classes_of(name, targets["train"])
        targets = {
            part: class_indices(name, part, labels, class_labels)
            for part, labels in targets.items()
        }
    of_targets = None
    if task == "regression":
        targets, of_targets = _scaled_targets(name, target_scaling, targets)
    splits = {part: Split(inputs[part], targets[part]) for part in splits}
    bytes_given = arrays["train"].dtype == np.uint8
    return Dataset(
        splits,
        name,
        scale,
        class_labels,
        multilabel=task == "multilabel",
        target_names=source.target_names,
        preparation=Preparation(
            columns,
            source.pixel_scale if bytes_given and fitted is not None else None,
            fitted,
            source.feature_names,
            whole_pixels=scale is not None and not bytes_given,
            header=source.header,
            encoding=source.encoding,
        ),
        target_scaling=of_targets,
        test_share=test_share,
    )


def _parts(
    source: Source, seed: int, task: Task, validation: float | None, test_share: float | None
) -> tuple[dict[str, Split], float | None]:
    """Return all splits, and the share that was drawn for testing; None where it was not."""
    name = source.name
    splits = {part: matched(name, part, given, task) for part, given in source.splits.items()}
    if "test" not in splits:
        test_share = TEST_SHARE if test_share is None else test_share
        splits |= _tested(name, splits, seed, task, test_share)
    elif test_share is not None:
        raise DataError(name, "has a test part of its own", "leave --test-share out")
    if validation:
        splits |= _validation(name, splits, seed, task, validation)
    return splits, test_share


def _as_arrays(source: Source, splits: dict[str, Split]) -> tuple[dict[str, Array], Columns | None]:
    """Return the inputs of all splits as arrays, and what became of the columns of a table.

    Errors count examples as the source does, before it was divided.
    """
    name = source.name
    arrays, columns = fit_columns(name, {part: given.inputs for part, given in splits.items()})
    with suppress(DataError):
        return {part: as_inputs(name, part, inputs) for part, inputs in arrays.items()}, columns
    if columns is None:
        arrays = {part: given.inputs for part, given in source.splits.items()}
    return {part: as_inputs(name, part, inputs) for part, inputs in arrays.items()}, columns


def _tell_constant(source: Source, inputs: Array) -> None:
    """Warn where all training inputs (n, features) are alike."""
    starts = range(0, len(inputs), BLOCK)
    if all((inputs[start : start + BLOCK] == inputs[0]).all() for start in starts):
        doubt = "all training inputs are alike, and nothing can be learned from them; give features"
        _tell(source, f"{doubt} that vary")


def _usual_scaling(source: Source, arrays: dict[str, Array], columns: Columns | None) -> str:
    """Return how features are scaled where no one says so: those of tables, but not of images."""
    may_be_images = columns is None and _may_be_image(arrays["train"].shape[1])
    if not source.is_table or (may_be_images and _as_pixels(arrays) is not None):
        return NO_SCALING
    return "standard"


def _may_be_image(features: int) -> bool:
    """Return whether features may be a square image from 8 x 8 on, gray or of three colors."""
    squares = (channels * math.isqrt(features // channels) ** 2 for channels in (1, 3))
    return features >= 64 and features in squares


def _scaled_targets(
    name: str, kind: str | None, targets: dict[str, Array]
) -> tuple[dict[str, Array], Scaling | None]:
    """Return the numbers to predict of all splits, scaled as was asked for, and how."""
    rows = {part: values.reshape(len(values), -1) for part, values in targets.items()}
    values, fitted = scaled(name, kind or NO_SCALING, rows, what="target_scaling")
    return {part: values[part].reshape(of.shape) for part, of in targets.items()}, fitted


def matched(name: str, part: str, split: Split, task: Task = "classification") -> Split:
    """Return inputs (n, ...) as they are, and targets as `as_targets` makes them.

    Raises
    ------
    DataError
        If there is not one target for each example.
    """
    inputs, targets = split
    targets = as_targets(name, part, targets, task)
    if inputs.ndim == 0 or len(inputs) != len(targets):
        kind = "labels" if task == "classification" else "targets"
        fault = f"the {part} inputs have shape {inputs.shape}, the {kind} {targets.shape}"
        raise DataError(name, fault, f"give one of the {kind} for each example")
    return Split(inputs, targets)


def _classes(splits: dict[str, Split], task: Task) -> Array:
    """Return the classes of the training examples (n,); all 0 where there are none."""
    targets = splits["train"].targets
    return targets if task == "classification" else np.zeros(len(targets), np.int64)


def _tested(
    name: str, splits: dict[str, Split], seed: int, task: Task, share: float
) -> dict[str, Split]:
    """Return the training split without a share of it, and that for testing."""
    as_number("test_share", share, at_least=0.0, below=1.0)
    if not share:
        return {}
    chosen = choose_test_examples(name, _classes(splits, task), seed, share)
    return _divided(splits["train"], chosen, "test")


def _validation(
    name: str, splits: dict[str, Split], seed: int, task: Task, share: float
) -> dict[str, Split]:
    """Return the training split without a share of it, and that as validation."""
    if "validation" in splits:
        remedy = "leave --validation out, or give 0 to leave that part alone"
        raise DataError(name, "has a validation part of its own", remedy)
    chosen = choose_validation_examples(name, _classes(splits, task), seed, share)
    return _divided(splits["train"], chosen, "validation")


def _divided(train: Split, chosen: Array, part: str) -> dict[str, Split]:
    """Return the training split without the chosen examples, and these as another."""
    inputs, targets = train
    return {
        "train": Split(inputs[~chosen], targets[~chosen]),
        part: Split(inputs[chosen], targets[chosen]),
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


def _pixels(
    source: Source, inputs: dict[str, Array], asked: bool
) -> tuple[dict[str, Array], float | None]:
    """Return all splits as pixels with their scale, or as they are without one.

    A warning tells of pixels that may be none, and of large numbers, if it was not asked for them.
    """
    train = inputs["train"]
    if train.dtype == np.uint8:
        if train.max() * source.pixel_scale < EIGHT_BITS * PIXEL_SCALE:
            _tell(
                source,
                f"8-bit pixels are worth {_part(source.pixel_scale)} of their number, and here run "
                f"to {train.max()} alone; if they are not pixels, or of fewer bits, save floats",
            )
        # A split that holds no pixels stays, and `Dataset` refuses it.
        own = {part: as_bytes(values) for part, values in inputs.items()}
        return inputs | {k: v for k, v in own.items() if v is not None}, source.pixel_scale
    low, high = float(train.min()), float(train.max())
    pixels = _as_pixels(inputs)
    if pixels is not None:
        if not asked:
            _tell(
                source,
                f"whole numbers from {low:g} to {high:g} are taken for 8-bit pixels, worth "
                f"{_part(source.pixel_scale)} of their number; if they are not, {STANDARDIZE}",
            )
        return pixels, source.pixel_scale
    if max(-low, high) >= EIGHT_BITS and not asked:
        _tell(
            source,
            f"the inputs run from {low:g} to {high:g}, and training works best on numbers near 0; "
            f"{STANDARDIZE} makes them so",
        )
    return inputs, None


def _as_pixels(inputs: dict[str, Array]) -> dict[str, Array] | None:
    """Return all splits as uint8, if they hold whole numbers of 8 bits; None if one does not."""
    if not EIGHT_BITS <= inputs["train"].max() <= 255:
        return None
    pixels = {part: as_bytes(values) for part, values in inputs.items()}
    return None if any(values is None for values in pixels.values()) else pixels


def _part(scale: float) -> str:
    return f"1/{1 / scale:g}"


def _tell(source: Source, doubt: str) -> None:
    warnings.warn(f"{source.name}: {doubt}", DataWarning, stacklevel=3)
