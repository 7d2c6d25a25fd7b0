"""Building a `Dataset` from the contents of a file: splitting it, fitting on the training part.

How rows are prepared belongs in `preparation.py`, the rules that a `Dataset` keeps in `dataset.py`.

Shapes: n examples, inputs (n, ...) before and (n, features) after, targets (n,) or (n, outputs).
"""

from dataclasses import replace
from functools import partial

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data import scaling, values
from pluggable_mlp.data.columns import Column, EncodedArray, Order, encode, fit_columns
from pluggable_mlp.data.dataset import Dataset
from pluggable_mlp.data.errors import DataError, warn
from pluggable_mlp.data.preparation import Preparation
from pluggable_mlp.data.scaling import QuantileTransform, Scaling
from pluggable_mlp.data.split import block_of, divide, in_memory, keep_on_disk, needs_blocks
from pluggable_mlp.data.values import Source, Split, Task, as_inputs, as_values
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

_DEFAULTS = DataOptions()


def build_dataset(
    source: Source,
    options: DataOptions = _DEFAULTS,
    preparation: Preparation | None = None,
    *,
    in_files: bool = False,
) -> Dataset:
    """Convert the contents of a file to a `Dataset`.

    If the source has no test split, `choose_examples` makes one; a share of the training
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

    Raises
    ------
    DataError
        If the data are of another kind, or break a rule of `Dataset`.
    ValueError
        If there is no such task.
    """
    block_size = options.block_size
    needed = needs_blocks((split.inputs for split in source.splits.values()), block_size)
    source = keep_on_disk(source, block_size, in_files)
    name = source.name
    if preparation is not None:
        task = preparation.task
    elif options.task is None:
        task = values.find_task(name, source.splits["train"].targets)
    else:
        task = values.as_task(options.task)
    recipe = make_recipe(options.recipe or NONE)
    if preparation is None and not source.is_table:  # errors count examples as the source does
        source = _with_features(source)
    splits, shares = divide(source, options, task, recipe.validation)
    if preparation is None:
        splits, preparation = _fit(source, splits, task, options, recipe)
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


def _with_features(source: Source) -> Source:
    """Return a source of arrays with inputs (n, features)."""
    splits = {
        part: Split(as_inputs(source.name, part, inputs), targets)
        for part, (inputs, targets) in source.splits.items()
    }
    return replace(source, splits=splits)


def _fit(
    source: Source, splits: dict[str, Split], task: Task, options: DataOptions, recipe: Recipe
) -> tuple[dict[str, Split], Preparation]:
    """Return all splits prepared, and the preparation fitted on the training part."""
    name = source.name
    arrays, columns = _as_arrays(source, splits, recipe)
    kind = options.scaling or recipe.scaling or ("standard" if source.is_table else NO_SCALING)
    inputs, fitted = _scaled_inputs(source, kind, arrays, options.seed, recipe.embedded)
    inputs = in_memory(inputs, options.block_size)
    train = inputs["train"]
    scale = source.pixel_scale if train.dtype == np.uint8 else None
    unit = scale or 1.0
    if scale is None and options.scaling is None and fitted is None:
        _warn_of_large_numbers(source, train)
    targets, class_labels, of_targets = _prepared_targets(
        name, splits, task, options.target_scaling
    )
    were_pixels = arrays["train"].dtype == np.uint8
    preparation = Preparation(
        features=train.shape[1],
        scale=source.pixel_scale if scale or were_pixels else None,
        input_range=(float(train.min()) * unit, float(train.max()) * unit),
        class_labels=class_labels,
        task=task,
        target_names=_target_names(source, task, targets["train"]),
        target_scaling=of_targets,
        columns=columns,
        plain=not isinstance(arrays["train"], EncodedArray),
        scaling=fitted if isinstance(fitted, Scaling) else None,
        quantiles=fitted if isinstance(fitted, QuantileTransform) else None,
        order=_order(recipe) if source.is_table else (False, None),
        edges=_edges(arrays["train"], train, unit, recipe.bins),
        target_range=_ends(targets["train"], task) if recipe.keeps_range else None,
        pixels=kind == PIXEL_SCALING,
        header=source.header,
        encoding=options.encoding,
        decimal=options.decimal,
        examples={part: len(split.targets) for part, split in splits.items()},
    )
    return {part: Split(inputs[part], targets[part]) for part in splits}, preparation


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


def _ends(targets: Array, task: Task) -> tuple[float, float] | None:
    """Return the least and the largest target; None if there are several per example."""
    if task != "regression" or (targets.ndim > 1 and targets.shape[1] > 1):
        return None
    return float(targets.min()), float(targets.max())


def _as_arrays(
    source: Source, splits: dict[str, Split], recipe: Recipe
) -> tuple[dict[str, Array], tuple[Column, ...] | None]:
    """Return the inputs of all splits as arrays, and the fitted columns of a table."""
    name = source.name
    if not source.is_table:
        return {part: split.inputs for part, split in splits.items()}, None
    frame = splits["train"].inputs
    columns = fit_columns(name, frame, categorical=source.categorical, pairs=recipe.pairs)
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
    source: Source, kind: str, inputs: dict[str, Array], seed: int, embedded: int | None
) -> tuple[dict[str, Array], Scaling | QuantileTransform | None]:
    """Return the scaled inputs of all splits, 8-bit pixels times their unit, and the scaling.

    The smooth clip scales all features except those of `embedded` columns; other scalings only
    the numbers of a table.
    """
    name = source.name
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
        to_values = partial(as_values, unit=source.pixel_scale)
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


def _prepared_targets(
    name: str, splits: dict[str, Split], task: Task, asked: str | None
) -> tuple[dict[str, Array], tuple[int, ...] | tuple[str, ...] | None, Scaling | None]:
    """Return the targets of all splits as a task takes them, the classes, and the scaling."""
    targets = {part: split.targets for part, split in splits.items()}
    if task == "classification":
        classes = values.classes_of(name, targets["train"])
        places = partial(values.class_indices, name, class_labels=classes)
        return {part: places(part, labels=of) for part, of in targets.items()}, classes, None
    kind = asked or NO_SCALING
    choose(scaling.LINEAR | dict.fromkeys([NO_SCALING]), kind, "target_scaling")
    if task == "multilabel" or kind == NO_SCALING:
        return targets, None, None
    train = targets["train"]
    fitted = scaling.fit_scaling(f"{name}, target", kind, as_values(train).reshape(len(train), -1))
    return {part: fitted.apply(of) for part, of in targets.items()}, None, fitted


def _target_names(source: Source, task: Task, targets: Array) -> tuple[str, ...] | None:
    """Return the names of the target columns; numbers without names are y, or y1, y2, …."""
    if source.target_names is not None or task == "classification":
        return source.target_names
    if targets.ndim == 1 or targets.shape[1] == 1:
        return ("y",)
    return tuple(f"y{place + 1}" for place in range(targets.shape[1]))


def _warn_of_large_numbers(source: Source, train: Array) -> None:
    low, high = float(train.min()), float(train.max())
    if max(-low, high) >= EIGHT_BITS:
        warn(
            source.name,
            f"the inputs run from {low:g} to {high:g}, and training works best on numbers near 0; "
            f"{STANDARDIZE} makes them so, {PIXELS} divides 8-bit pixels by 256",
        )
