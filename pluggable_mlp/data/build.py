"""Building a `Dataset` from the contents of a file: splitting it, fitting on the training part.

How rows are prepared belongs in `preparation.py`, the rules that a `Dataset` keeps in `dataset.py`.

Shapes: n examples, inputs (n, ...) before and (n, features) after, targets (n,) or (n, outputs).
"""

from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data import scaling, values
from pluggable_mlp.data.columns import Column, EncodedArray, Order, encode, fit_columns
from pluggable_mlp.data.dataset import Dataset
from pluggable_mlp.data.errors import DataError, warn
from pluggable_mlp.data.preparation import Preparation
from pluggable_mlp.data.scaling import QuantileTransform, Scaling
from pluggable_mlp.data.split import block_of, divide, in_memory, keep_on_disk, needs_blocks
from pluggable_mlp.data.values import (
    PIXEL_SCALE,
    Split,
    Splits,
    Task,
    as_inputs,
    as_values,
    is_frame,
    source_of,
)
from pluggable_mlp.lazy import StoredArray, blocks, lazy_map
from pluggable_mlp.options import DataOptions
from pluggable_mlp.registry import choose
from pluggable_mlp.training.recipes import NONE, Recipe, make_recipe
from pluggable_mlp.wording import listed

NO_SCALING, PIXEL_SCALING = "none", "pixels"

EIGHT_BITS = 128
"""Numbers from here on are large."""

STANDARDIZE = "--scaling standard (in Python, scaling='standard')"
PIXELS = "--scaling pixels"

_UNKNOWN: Mapping[str, Any] = {}


def build_dataset(
    splits: Splits,
    options: DataOptions,
    preparation: Preparation | None = None,
    origin: Mapping[str, Any] = _UNKNOWN,
    *,
    in_files: bool = False,
) -> Dataset:
    """Convert the contents of a file to a `Dataset`.

    If there is no test split, `choose_examples` makes one; a share of the training
    examples is kept for validation if requested.

    uint8 inputs are pixels: they stay as they are, and mean integer * `pixel_scale`.  All others
    are values: float32 and float64 stay, float16 becomes float32, other integers and booleans
    float64, exactly.  The axes after the first are flattened.

    `fit_columns` encodes texts and missing numbers.  With a scaling, inputs of any dtype become
    scaled features, float64; "pixels" makes whole numbers from 0 to 255 of any dtype pixels, as
    uint8 are.  Everything is fitted on the training part, unless a preparation is given, which also
    determines the task.  Columns that a recipe embeds are not scaled: none of their numbers is
    between 0.1 and 0.9.

    The classes are the labels of the training part, in increasing order.  Numbers to predict
    become floats as inputs do.

    Parameters
    ----------
    splits : mapping of str to Split
        Inputs and targets as a file holds them, neither converted nor checked.
    options : DataOptions
        Their `data` are the name for errors.
    preparation : Preparation, optional
    origin : mapping
        What else is known: `scale`, the value of one unit of a pixel; of a table the `target_names`
        and the `header` as in `Preparation`, `categorical`, columns of numbers that are
        categories, and `groups` (n,), the group of each row, which is not divided.
    in_files : bool, default False
        As for `load_dataset`.

    Raises
    ------
    DataError
        If the data are of another kind, or break a rule of `Dataset`.
    ValueError
        If there is no such task.
    """
    block_size, name = options.block_size, source_of(options.data)
    needed = needs_blocks((split.inputs for split in splits.values()), block_size)
    splits = keep_on_disk(splits, block_size, in_files)
    task = options.task if preparation is None else preparation.task
    if task is None:
        task = values.find_task(name, splits["train"].targets)
    recipe = make_recipe(options.recipe or NONE)
    if preparation is None and not is_frame(splits["train"].inputs):
        # Before they are divided: errors count examples as the file does.
        splits = {part: Split(as_inputs(name, part, x), y) for part, (x, y) in splits.items()}
    splits, shares = divide(splits, options, task, recipe.validation, origin.get("groups"))
    if preparation is None:
        splits, preparation = _fit(splits, task, options, recipe, origin)
    else:
        splits = {
            part: preparation.apply(name, split, block_size) for part, split in splits.items()
        }
    return Dataset(
        splits,
        name,
        preparation.scale_of(splits["train"].inputs),
        preparation.class_labels,
        multilabel=preparation.task == "multilabel",
        preparation=preparation,
        test_share=shares["test"],
        validation_share=shares["validation"],
        block_size=block_of(splits["train"].inputs, needed),
    )


def _fit(
    splits: Splits, task: Task, options: DataOptions, recipe: Recipe, origin: Mapping[str, Any]
) -> tuple[Splits, Preparation]:
    """Return all splits prepared, and the preparation fitted on the training part."""
    name, targets = source_of(options.data), splits["train"].targets
    is_table, unit = is_frame(splits["train"].inputs), origin.get("scale", PIXEL_SCALE)
    arrays, columns = _as_arrays(name, splits, recipe, origin.get("categorical", ()))
    kind = options.scaling or recipe.scaling or ("standard" if is_table else NO_SCALING)
    inputs, fitted = _scaled_inputs(name, kind, arrays, unit, options.seed, recipe.embedded)
    inputs = in_memory(inputs, options.block_size)
    train = inputs["train"]
    scale = unit if train.dtype == np.uint8 else None
    if scale is None and options.scaling is None and fitted is None:
        _warn_of_large_numbers(name, train)
    of_targets = _target_scaling(name, targets, task, options.target_scaling)
    preparation = Preparation(
        features=train.shape[1],
        scale=unit if scale or arrays["train"].dtype == np.uint8 else None,
        input_range=(float(train.min()) * (scale or 1.0), float(train.max()) * (scale or 1.0)),
        class_labels=values.classes_of(name, targets) if task == "classification" else None,
        task=task,
        target_names=origin.get("target_names") or _target_names(task, targets),
        target_scaling=of_targets,
        columns=columns,
        plain=not isinstance(arrays["train"], EncodedArray),
        scaling=fitted if isinstance(fitted, Scaling) else None,
        quantiles=fitted if isinstance(fitted, QuantileTransform) else None,
        order=_order(recipe) if is_table else (False, None),
        edges=_edges(arrays["train"], train, scale or 1.0, recipe.bins),
        target_range=_ends(targets, task, of_targets) if recipe.keeps_range else None,
        pixels=kind == PIXEL_SCALING,
        header=origin.get("header"),
        encoding=options.encoding,
        decimal=options.decimal,
        examples={part: len(split.targets) for part, split in splits.items()},
    )
    return {
        part: Split(inputs[part], preparation.targets(name, split.targets, part))
        for part, split in splits.items()
    }, preparation


def _edges(encoded: Array, inputs: Array, unit: float, bins: int) -> tuple[tuple[float, ...], ...]:
    """Return the edges of bins of the training inputs (n, features) that are numbers."""
    numbers = inputs.shape[1]
    if isinstance(encoded, EncodedArray):
        _, are_numbers = encoded.only(_is_number)
        numbers = int(are_numbers.sum())
    if not (bins and numbers):
        return ()
    # In float32, in which a network may be: different edges stay so.
    floats = np.concatenate([rows[:, :numbers].astype(np.float32) for rows in blocks(inputs)])
    return scaling.bin_edges(floats * np.float32(unit), bins)


def _is_number(column: Column) -> bool:
    return column.kind == "number"


def _order(recipe: Recipe) -> Order:
    return recipe.pairs is not None, recipe.embedded


def _ends(targets: Array, task: Task, scaled: Scaling | None) -> tuple[float, float] | None:
    """Return the least and the largest scaled target; None if there are several per example."""
    if task != "regression" or (targets.ndim > 1 and targets.shape[1] > 1):
        return None
    targets = targets if scaled is None else scaled.apply(targets)
    return float(targets.min()), float(targets.max())


def _as_arrays(
    name: str, splits: Splits, recipe: Recipe, categorical: Collection[str]
) -> tuple[dict[str, Array], tuple[Column, ...] | None]:
    """Return the inputs of all splits as arrays, and the fitted columns of a table."""
    frame = splits["train"].inputs
    if not is_frame(frame):
        return {part: split.inputs for part, split in splits.items()}, None
    columns = fit_columns(name, frame, categorical=categorical, pairs=recipe.pairs)
    left_out = [f"{of.name!r} ({of.note})" for of in columns if not of.is_used]
    if left_out:
        warn(name, f"columns that are not used: {listed(left_out)}")
    order = _order(recipe)
    arrays = {part: encode(name, columns, of.inputs, order) for part, of in splits.items()}
    lacks = any(column.null_count() for split in splits.values() for column in split.inputs)
    if lacks or any(of.kind != "number" for of in columns):
        return arrays, columns
    return {part: encoded[:] for part, encoded in arrays.items()}, columns


def _scaled_inputs(
    name: str, kind: str, inputs: dict[str, Array], unit: float, seed: int, embedded: int | None
) -> tuple[dict[str, Array], Scaling | QuantileTransform | None]:
    """Return the scaled inputs of all splits, 8-bit pixels times their unit, and the scaling.

    The smooth clip scales all features except those of `embedded` columns; other scalings only
    the numbers of a table.
    """
    choose(dict.fromkeys([*scaling.NAMES, NO_SCALING, PIXEL_SCALING]), kind, "scaling")
    if kind == PIXEL_SCALING:
        return {part: scaling.whole_pixels(name, part, of) for part, of in inputs.items()}, None
    if kind == NO_SCALING:
        return inputs, None
    train, features = inputs["train"], None
    if kind in scaling.SORTING and isinstance(train, StoredArray):
        fault = f"is read in blocks, and {kind} scaling sorts all examples"
        raise DataError(name, fault, "take --scaling standard, or --block-size 0")
    if not isinstance(train, EncodedArray):
        to_values = partial(as_values, unit=unit)
        inputs = {part: lazy_map(of, to_values) for part, of in inputs.items()}
        scaled = inputs["train"]
    elif kind == scaling.SMOOTH_CLIP:
        scaled, features = train.only(lambda column: not column.is_embedded((True, embedded)))
    else:
        numbers, features = train.only(_is_number)
        scaled = numbers[:]
    fitted: Scaling | QuantileTransform
    if kind == scaling.QUANTILE:
        fitted = scaling.fit_quantiles(scaled, seed, features)
    else:
        fitted = scaling.fit_scaling(name, kind, scaled, features)
    return {part: lazy_map(of, fitted.apply_in_place) for part, of in inputs.items()}, fitted


def _target_scaling(name: str, targets: Array, task: Task, asked: str | None) -> Scaling | None:
    """Return the scaling of the training targets (n, …); None if they are not scaled."""
    kind = asked or NO_SCALING
    choose(scaling.LINEAR | dict.fromkeys([NO_SCALING]), kind, "target_scaling")
    if task != "regression" or kind == NO_SCALING:
        return None
    rows = as_values(targets).reshape(len(targets), -1)
    return scaling.fit_scaling(f"{name}, target", kind, rows)


def _target_names(task: Task, targets: Array) -> tuple[str, ...] | None:
    """Return names for numbers to predict that have none: y, or y1, y2, …."""
    if task == "classification":
        return None
    if targets.ndim == 1 or targets.shape[1] == 1:
        return ("y",)
    return tuple(f"y{place + 1}" for place in range(targets.shape[1]))


def _warn_of_large_numbers(name: str, train: Array) -> None:
    low, high = float(train.min()), float(train.max())
    if max(-low, high) >= EIGHT_BITS:
        warn(
            name,
            f"the inputs run from {low:g} to {high:g}, and training works best on numbers near 0; "
            f"{STANDARDIZE} makes them so, {PIXELS} divides 8-bit pixels by 256",
        )
