"""Building a `Dataset` from the contents of a file: splitting it, fitting on the training part.

How rows are prepared belongs in `preparation.py`.

Shapes: n examples, inputs (n, ...) before and (n, features) after, targets (n,) or (n, outputs).
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data import scaling, values
from pluggable_mlp.data.columns import IN_SEQUENCE, Column, EncodedArray, Order, fit_columns
from pluggable_mlp.data.dataset import Dataset
from pluggable_mlp.data.errors import DataError, warn
from pluggable_mlp.data.preparation import MOST_FEATURES, Preparation
from pluggable_mlp.data.scaling import QuantileTransform, Scaling
from pluggable_mlp.data.split import block_of, divide, keep_on_disk, needs_blocks
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
from pluggable_mlp.fields import list_first, make
from pluggable_mlp.host.lazy import StoredArray, blocks, lazy_map
from pluggable_mlp.options import DataOptions
from pluggable_mlp.training.recipes import NONE, RECIPES, Recipe

NO_SCALING, PIXEL_SCALING = "none", "pixels"
LARGE = 128
"""Inputs of at least this magnitude slow training down."""


def build_dataset(
    splits: Splits,
    options: DataOptions,
    preparation: Preparation | None = None,
    origin: Mapping[str, Any] = {},
) -> Dataset:
    """Convert the contents of a file to a `Dataset`.

    Without a test split, `choose_examples` makes one; a share of the training examples is kept
    for validation if requested.

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

    Raises
    ------
    DataError
        If the data are of another kind.
    ValueError
        If the task is unknown.
    """
    block_size, name = options.block_size, source_of(options.data)
    splits = keep_on_disk(splits, block_size)
    task = options.task if preparation is None else preparation.task
    if task is None:
        task = values.find_task(name, splits["train"].targets)
    recipe = make(RECIPES, options.recipe or NONE, "recipe")
    if preparation is None and not is_frame(splits["train"].inputs):
        # Before they are divided: errors count examples as the file does.
        splits = {part: Split(as_inputs(name, part, x), y) for part, (x, y) in splits.items()}
    splits, shares = divide(splits, options, task, recipe.validation, origin.get("groups"))
    prepared = preparation or _fit(splits, task, options, recipe, origin)
    rows = sum(len(split.targets) for split in splits.values())
    in_blocks = needs_blocks([np.broadcast_to(0.0, (rows, prepared.features))], block_size)
    splits = {
        part: prepared.apply(name, split, int(in_blocks), part if preparation is None else "new")
        for part, split in splits.items()
    }
    if preparation is None:
        prepared = _with_ranges(prepared, splits["train"], recipe)
        if (options.scaling, prepared.scaling_kind, prepared.scale) == (None, NO_SCALING, None):
            _warn_of_large_inputs(name, *prepared.input_range)
    return Dataset(
        splits,
        name,
        prepared.scale_of(splits["train"].inputs),
        prepared.class_labels,
        multilabel=prepared.task == "multilabel",
        preparation=prepared,
        test_share=shares["test"],
        validation_share=shares["validation"],
        block_size=block_of(splits["train"].inputs),
    )


def _fit(
    splits: Splits, task: Task, options: DataOptions, recipe: Recipe, origin: Mapping[str, Any]
) -> Preparation:
    """Return the preparation fitted on the training part, but for its ranges."""
    name, (inputs, targets) = source_of(options.data), splits["train"]
    is_table, columns, plain, features = is_frame(inputs), None, True, inputs.shape[1]
    if is_table:
        columns = _columns(name, inputs, recipe, origin.get("categorical", ()))
        lacks = any(column.null_count() for split in splits.values() for column in split.inputs)
        plain = not lacks and all(item.kind == "number" for item in columns)
        features = sum(len(block.features) for item in columns for block in item.blocks)
    if features > MOST_FEATURES:
        fault = f"has {features:,} features, expected at most {MOST_FEATURES:,}"
        raise DataError(name, fault, "leave some of them out")
    kind = options.scaling or recipe.scaling or ("standard" if is_table else NO_SCALING)
    are_pixels = kind == PIXEL_SCALING or (not is_table and inputs.dtype == np.uint8)
    preparation = Preparation(
        features=features,
        scale=origin.get("scale", PIXEL_SCALE) if are_pixels else None,
        input_range=(-math.inf, math.inf),
        class_labels=values.classes_of(name, targets) if task == "classification" else None,
        task=task,
        target_names=origin.get("target_names") or _target_names(task, targets),
        target_scaling=_target_scaling(name, targets, task, options.target_scaling),
        columns=columns,
        plain=plain,
        order=Order(recipe.pairs is not None, recipe.embedded) if is_table else IN_SEQUENCE,
        pixels=kind == PIXEL_SCALING,
        header=origin.get("header"),
        encoding=options.encoding,
        decimal=options.decimal,
        examples={part: len(split.targets) for part, split in splits.items()},
    )
    if kind in (NO_SCALING, PIXEL_SCALING):
        return preparation
    fitted = _fit_scaling(name, kind, inputs, preparation, options.seed)
    if isinstance(fitted, QuantileTransform):
        return replace(preparation, quantiles=fitted)
    return replace(preparation, scaling=fitted)


def _columns(
    name: str, frame: Any, recipe: Recipe, categorical: Collection[str]
) -> tuple[Column, ...]:
    """Return the fitted columns of a table, with a warning of those that are left out."""
    columns = fit_columns(name, frame, categorical=categorical, pairs=recipe.pairs)
    left_out = [f"{column.name!r} ({column.note})" for column in columns if not column.is_used]
    if left_out:
        warn(name, f"columns that are not used: {list_first(left_out)}")
    return columns


def _with_ranges(preparation: Preparation, train: Split, recipe: Recipe) -> Preparation:
    """Return a preparation with what follows from the prepared training part."""
    unit, (inputs, targets) = preparation.scale_of(train.inputs) or 1.0, train
    ends: tuple[float, float] | None = None
    edges: tuple[tuple[float, ...], ...] = ()
    is_single = targets.ndim == 1 or targets.shape[1] == 1
    if recipe.keeps_range and preparation.task == "regression" and is_single:
        ends = float(targets.min()), float(targets.max())
    if recipe.bins and (numbers := preparation.form.numbers):
        # In float32, in which a network may be: different edges stay so.
        floats = np.concatenate([rows[:, :numbers].astype(np.float32) for rows in blocks(inputs)])
        edges = scaling.bin_edges(floats * np.float32(unit), recipe.bins)
    limits = float(inputs.min()) * unit, float(inputs.max()) * unit
    return replace(preparation, input_range=limits, edges=edges, target_range=ends)


def _fit_scaling(
    name: str, kind: str, inputs: Any, preparation: Preparation, seed: int
) -> Scaling | QuantileTransform:
    """Return the scaling of the training inputs, 8-bit pixels times their unit.

    The smooth clip scales all features except those of embedded blocks; other scalings only the
    numbers of a table.
    """
    train, features = preparation.as_array(name, inputs), None
    if kind in scaling.SORTING and isinstance(train, StoredArray):
        fault = f"is read in blocks, and {kind} scaling sorts all examples"
        raise DataError(name, fault, "take --scaling standard, or --block-size 0")
    if not isinstance(train, EncodedArray):
        train = lazy_map(train, partial(as_values, unit=preparation.scale))
    elif kind == scaling.SMOOTH_CLIP:
        train, features = train.only(lambda block: not block.is_embedded(preparation.order))
    else:
        numbers, features = train.only(lambda block: block.kind == "number")
        train = numbers[:]
    if kind == scaling.QUANTILE:
        return scaling.fit_quantiles(train, seed, features)
    return scaling.fit_scaling(name, kind, train, features)


def _target_scaling(name: str, targets: Array, task: Task, kind_name: str | None) -> Scaling | None:
    """Return the scaling of the training targets (n, …); None if they are not scaled."""
    kind = kind_name or NO_SCALING
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


def _warn_of_large_inputs(name: str, low: float, high: float) -> None:
    if max(-low, high) >= LARGE:
        warn(
            name,
            f"the inputs run from {low:g} to {high:g}, and training works best near 0; choose "
            "--scaling standard (scaling='standard'), or --scaling pixels for 8-bit pixels",
        )
