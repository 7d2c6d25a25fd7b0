"""Preparing the rows of a file for a network, and converting its outputs back.

A `Preparation` is fitted once, on the training part (`build.py`), shown, saved with the model, and
applied to every later file without fitting again: the same row gives the same numbers in training,
evaluation and prediction.

Shapes: n examples, inputs (n, ...) before and (n, features) after, targets (n,) or (n, outputs).
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property, partial
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta, convert, to_builtins

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.data.columns import (
    IN_SEQUENCE,
    MOST_COLUMNS,
    Block,
    Column,
    Described,
    EncodedArray,
    Order,
    encode,
)
from pluggable_mlp.data.errors import DataError, warn
from pluggable_mlp.data.scaling import QuantileTransform, Scaling, whole_pixels
from pluggable_mlp.data.split import needs_blocks
from pluggable_mlp.data.values import Split, Task, as_inputs, as_values, class_indices, is_frame
from pluggable_mlp.fields import Count, Positive, align, list_first, pluralize
from pluggable_mlp.host.lazy import lazy_map
from pluggable_mlp.training.recipes import TableForm

MOST_FEATURES = 10_000_000
"""More are refused, since every one takes memory before any example is read."""


@dataclass(frozen=True)
class Preparation:
    """How inputs and targets are prepared, in training and later.

    Parameters
    ----------
    features : int
        How many numbers an example has.
    scale : float or None
        The factor of a pixel's integer; None if training saw no pixels.
    input_range : tuple of two floats
        The smallest and the largest number of the training inputs, pixels times their scale.
    class_labels : tuple of int or of str, or None
        The label of each output of a classification, increasing.
    task : {"classification", "multilabel", "regression"}
    target_names : tuple of str or None
        The name of each output of any other task; of a classification, the table's name for it.
    target_scaling : Scaling or None
        The scaling of numbers to predict.
    columns : tuple of Column, or None
        The fitted columns of a table, in its order; None for arrays.
    plain : bool
        Whether the inputs were numbers, and no part of them, test part included, lacked one.
    scaling : Scaling or None
        The scaling of the features, pixels times their scale.
    quantiles : QuantileTransform or None
        The transform of the features, used instead of a scaling.
    order : Order
        The order of a table's blocks of features.
    edges : tuple of tuple of float
        The edges of the bins of each number, for a network that embeds them.
    target_range : tuple of float or None
        The least and the largest scaled target, for a network that clips predictions to it.
    pixels : bool
        Whether numbers of any dtype were declared 8-bit pixels; later ones then are, too.
    header : bool or None
        Whether the first line of a text named the columns; None for other sources.
    encoding : str or None
        The encoding of a text file; None means UTF-8.
    decimal : {"point", "comma"}
        The decimal mark of numbers in a text file.
    examples : mapping of str to int
        How many examples each part had: "train", "test", ….
    """

    features: Annotated[int, Meta(ge=1, le=MOST_FEATURES)]
    scale: Positive | None
    input_range: tuple[float, float]
    class_labels: tuple[int | str, ...] | None
    task: Task = "classification"
    target_names: tuple[str, ...] | None = None
    target_scaling: Scaling | None = None
    columns: Annotated[tuple[Column, ...], Meta(max_length=MOST_COLUMNS)] | None = None
    plain: bool = True
    scaling: Scaling | None = None
    quantiles: QuantileTransform | None = None
    order: Order = IN_SEQUENCE
    edges: tuple[tuple[float, ...], ...] = ()
    target_range: tuple[float, float] | None = None
    pixels: bool = False
    header: bool | None = None
    encoding: str | None = None
    decimal: Literal["point", "comma"] = "point"
    examples: Mapping[str, Count] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Preparation":
        """Return the preparation that `to_dict` wrote, ignoring other entries.

        Raises
        ------
        KeyError, ValueError
            If a value is missing or wrong.
        """
        content = {field.name: values[field.name] for field in fields(cls)}
        preparation = convert(content, cls)
        for name in preparation._unfit():
            raise ValueError(f"its {name} do not fit its other values")
        return preparation

    def _unfit(self) -> Iterator[str]:
        """Yield the names of the values that no fit could have made beside the others."""
        labels, names = [*(self.class_labels or ())], [*(self.target_names or ())]
        columns, is_classification = self.columns, self.task == "classification"
        kinds = {*map(type, labels)}
        if is_classification != (len(labels) > 1) or len(kinds) > 1 or sorted({*labels}) != labels:
            yield "class_labels"
        if not (is_classification or names):
            yield "target_names"
        if 0 in self.examples.values():
            yield "examples"
        if columns is None and not self.plain:
            yield "columns"
        if columns is not None and (
            len({column.name for column in columns}) < len(columns)
            or not all(column.is_possible for column in columns)
            or self.features != sum(len(block.features) for block in self._blocks)
            or (self.plain and any(column.kind != "number" for column in columns))
        ):
            yield "columns"
        for name, scaling, count in (
            ("scaling", self.scaling, self.features),
            ("target_scaling", self.target_scaling, self.outputs),
        ):
            if scaling is not None and {count} != {len(scaling.offsets), len(scaling.divisors)}:
                yield name
        quantiles = None if self.quantiles is None else self.quantiles.quantiles
        if quantiles is not None and (
            len(quantiles) != self.features or any(len(one) == 1 for one in quantiles)
        ):
            yield "quantiles"
        widths = [*map(len, self.edges)]
        if widths and (len(widths) != self.form.numbers or min(widths) < 2):
            yield "edges"

    def to_dict(self) -> dict[str, Any]:
        """Return the preparation as JSON data."""
        content: dict[str, Any] = to_builtins(self)
        return content

    def derivation(self) -> dict[str, Any]:
        """Return, as JSON data, how numbers were computed from others; empty if none were."""
        parts = {
            "columns": None if self.plain else self.used_columns,
            "scaling": self.scaling,
            "quantiles": self.quantiles,
            "target_scaling": self.target_scaling,
        }
        return {name: to_builtins(part) for name, part in parts.items() if part is not None}

    @property
    def outputs(self) -> int:
        """The number of outputs of the network."""
        return len(self.class_labels or self.target_names or ())

    @property
    def has_text_labels(self) -> bool:
        """Whether the classes have texts as labels."""
        return self.class_labels is not None and isinstance(self.class_labels[0], str)

    @property
    def transform(self) -> Scaling | QuantileTransform | None:
        """The transform that scales the features, if any."""
        return self.scaling or self.quantiles

    @property
    def scaling_kind(self) -> str:
        """The name of the scaling, as options have it."""
        if self.transform is None:
            return "pixels" if self.pixels else "none"
        return self.transform.kind

    @property
    def is_named(self) -> bool:
        """Whether the columns of training's table had names."""
        return self.columns is not None and self.header is not False

    @cached_property
    def used_columns(self) -> list[Column]:
        """The columns that become features; empty for arrays."""
        return [column for column in self.columns or () if column.is_used]

    @property
    def used_names(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(column.name for column in self.used_columns)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the features; empty if they have none."""
        if self.plain and not self.is_named:
            return ()
        return tuple(feature for block in self._blocks for feature in block.features)

    @cached_property
    def _blocks(self) -> list[Block]:
        """The blocks of all columns, in the order of the features."""
        blocks = [block for column in self.columns or () for block in column.blocks]
        return sorted(blocks, key=lambda block: block.rank(self.order))

    @property
    def form(self) -> TableForm:
        """The form of the inputs, from which a network is made."""
        if self.columns is None:
            ones = (1,) * self.features
            return TableForm(ones, self.edges, self.features, (), self.target_range)
        widths = tuple(len(block.features) for block in self._blocks)
        return TableForm(
            widths,
            self.edges,
            sum(block.kind == "number" for block in self._blocks),
            tuple(
                width
                for width, block in zip(widths, self._blocks, strict=True)
                if block.is_embedded(self.order)
            ),
            self.target_range,
        )

    def describe(self) -> list[Described]:
        """Return a row for each column of a table; one for all inputs of other data."""
        if self.columns is not None:
            return [column.describe() for column in self.columns]
        limits = "{:g} to {:g}".format(*self.input_range)
        return [Described("all inputs", 0, limits, self._features_in_words())]

    def in_words(self) -> list[str]:
        """Return lines on the columns that are not plain numbers, and `facts`, unless obvious."""
        if self.plain and self.transform is None and self.class_labels is not None:
            return []
        rows = [] if self.plain else [(row.column, row.becomes) for row in self.describe()]
        return [*align(rows), *self.facts()]

    def facts(self) -> list[str]:
        """Return in lines the features, the task, and how many examples each part had."""
        parts = ", ".join(f"{count} {part}" for part, count in self.examples.items())
        return [self._features_in_words(), self._targets_in_words(), f"examples: {parts}"]

    def _features_in_words(self) -> str:
        count = pluralize(self.features, "feature")
        if self.transform is not None:
            return f"{count}, {self.scaling_kind} scaling"
        if self.scale is not None:
            return f"{count}, 8-bit pixels divided by {1 / self.scale:g}"
        return f"{count}, not scaled"

    def _targets_in_words(self) -> str:
        if self.class_labels is not None:
            return f"{self.task} of {self.outputs} classes: {list_first(self.class_labels)}"
        scaled = "" if self.target_scaling is None else f", {self.target_scaling.kind} scaling"
        return f"{self.task}: {list_first(self.target_names or ())}{scaled}"

    def apply(
        self, name: str, split: Split, block_size: int | None = None, part: str = "new"
    ) -> Split:
        """Return examples prepared as in training, by `inputs` and `targets`.

        Raises
        ------
        DataError
            If they do not fit.
        """
        inputs = self.inputs(name, split.inputs, block_size, part)
        return Split(inputs, self.targets(name, split.targets, part))

    def inputs(
        self, name: str, values: Any, block_size: int | None = None, part: str = "new"
    ) -> Array:
        """Return inputs (n, ...) of any file, prepared as in training, (n, features).

        uint8 inputs are pixels if training saw pixels, and so are all numbers if training used
        `--scaling pixels`.  Others are values.  A warning lists values far outside the range that
        training saw.

        Parameters
        ----------
        name : str
            Where they come from, for errors.
        values : array (n, ...) or polars.DataFrame
            For a table, the columns that training used, in its order.
        block_size : int, optional
            As for `load_dataset`.
        part : str, default "new"
            Their part of a data set, for errors.

        Returns
        -------
        array (n, features)
            uint8 pixels, or float32 or float64 values, not yet rounded to the dtype of the
            network: the arithmetic does that.

        Raises
        ------
        DataError
            If they do not fit.
        """
        array = self.as_array(name, values)
        inputs = array if isinstance(array, EncodedArray) else as_inputs(name, part, array)
        if inputs.shape[1] != self.features:
            fault = f"the {part} examples have {pluralize(inputs.shape[1], 'feature')}"
            raise DataError(name, fault, f"give {self.features} as in training, without labels")
        if self.pixels:
            inputs = whole_pixels(name, part, inputs)
        if self.transform is not None:
            if not isinstance(inputs, EncodedArray):  # whose rows are made when they are asked for
                inputs = lazy_map(inputs, partial(as_values, unit=self.scale_of(inputs)))
            inputs = lazy_map(inputs, self.transform.apply_in_place)
        if isinstance(inputs, EncodedArray) and not needs_blocks([inputs], block_size):
            inputs = inputs[:]
        self._compare_range(name, inputs)
        is_value = self.scale is None and inputs.dtype == np.uint8
        return lazy_map(inputs, as_values) if is_value else inputs

    def as_array(self, name: str, values: Any) -> Array:
        """Return the encoded columns of a table; arrays are returned as they are."""
        if not is_frame(values):
            if not self.plain:
                fault = "holds no table, as the network was trained on"
                raise DataError(name, fault, f"give the columns {', '.join(self.used_names)}")
            return values
        if self.columns is None:  # trained on an array; check_finite names missing numbers
            return values.to_numpy()
        encoded = encode(name, self.columns, values, self.order)
        return encoded[:] if self.plain else encoded

    def scale_of(self, inputs: Array) -> float | None:
        """Return the factor still to be applied to the result of `inputs`; None for values."""
        return self.scale if inputs.dtype == np.uint8 else None

    def targets(self, name: str, targets: Array, part: str = "new") -> Array:
        """Return targets, made by `as_targets`, as the network was trained on them.

        Raises
        ------
        DataError
            If training never saw a label, or the outputs are not the network's.
        """
        if self.class_labels is not None:
            return class_indices(name, part, targets, self.class_labels)
        outputs = math.prod(targets.shape[1:])
        if outputs != self.outputs:
            fault = f"its targets have {outputs} columns, the network answers with {self.outputs}"
            raise DataError(name, fault, f"give {', '.join(self.target_names or ())}")
        return targets if self.target_scaling is None else self.target_scaling.apply(targets)

    def in_own_units(self, numbers: Array, xp: Namespace = np) -> Array:
        """Undo the scaling of targets or of network outputs, (n,) or (n, outputs)."""
        return numbers if self.target_scaling is None else self.target_scaling.undo(xp, numbers)

    def _compare_range(self, name: str, inputs: Array) -> None:
        """Warn of inputs further outside the training range than that range is wide."""
        unit = self.scale_of(inputs) or 1.0
        low, high = float(inputs.min()) * unit, float(inputs.max()) * unit
        least, most = self.input_range
        width = most - least
        if least - width <= low and high <= most + width:
            return
        scaled = "scaled as in training, " if self.transform else ""
        fault = f"{scaled}the inputs run from {low:g} to {high:g}"
        expected = f"training saw {least:g} to {most:g}; prepare them as the training inputs were"
        warn(name, f"{fault}, {expected}")
