"""What a trained network takes and answers: kept with its run, and asked of every later file.

Training, evaluation and prediction prepare their inputs here, so that the same file means the
same numbers to all three.

Shapes: n examples, inputs (n, ...) before and (n, features) after, targets (n,) or (n, outputs).
"""

import math
import warnings
from dataclasses import dataclass, field
from functools import partial
from operator import mul
from typing import Any

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.build import as_bytes, as_inputs
from pluggable_mlp.data.dataset import LARGEST_EXACT, DataError, Dataset, DataWarning
from pluggable_mlp.data.encoded import EncodedArray
from pluggable_mlp.data.preparation import Preparation, as_values
from pluggable_mlp.data.scaling import Scaling
from pluggable_mlp.data.streaming import in_memory
from pluggable_mlp.data.targets import Task, as_task, class_indices
from pluggable_mlp.stored import mapped

__all__ = ["Schema"]

LARGEST_VALUE = 8.0
"""Where training saw pixels, whose values are below 1, floats beyond this one were not scaled."""

_SAW_PIXELS = "where training saw 8-bit pixels"
_PIXELS = "give pixels, from 0 to 255, or save floats that are scaled as .npy"


@dataclass(frozen=True)
class Schema:
    """The inputs and the targets of a network's training.

    Parameters
    ----------
    features : int
        How many numbers an example has.
    scale : float or None
        What a pixel's integer was multiplied by; None where training saw no pixels.
    input_range : tuple of two floats
        The smallest and the largest number of the training inputs, pixels times their scale.
    class_labels : tuple of int or of str, or None
        The label of each output of a classification, increasing.
    task : {"classification", "multilabel", "regression"}
    target_names : tuple of str or None
        The name of each output of any other task; of a classification, the table's name for it.
    preparation : Preparation
        What training made of its inputs before the network saw them.
    target_scaling : Scaling or None
        What it made of numbers to predict.

    Raises
    ------
    ValueError
        If a value is anything else: the message names it.
    """

    features: int
    scale: float | None
    input_range: tuple[float, float]
    class_labels: tuple[int, ...] | tuple[str, ...] | None
    task: Task = "classification"
    target_names: tuple[str, ...] | None = None
    preparation: Preparation = field(default_factory=Preparation)
    target_scaling: Scaling | None = None

    def __post_init__(self) -> None:
        if type(self.features) is not int or self.features < 1:
            raise ValueError(f"features is {self.features!r}, expected an integer of at least 1")
        if self.scale is not None and not (isinstance(self.scale, float) and 0 < self.scale <= 1):
            raise ValueError(f"scale is {self.scale!r}, expected a number in (0, 1], or null")
        if not (
            len(self.input_range) == 2
            and all(type(end) is float and math.isfinite(end) for end in self.input_range)
            and self.input_range[0] <= self.input_range[1]
        ):
            raise ValueError(
                f"input_range is {self.input_range!r}, expected two increasing numbers"
            )
        as_task(self.task)
        names, classes = self.target_names, self.task == "classification"
        if classes:
            self._check_class_labels()
        if not (names or classes) or not all(isinstance(name, str) for name in names or ()):
            raise ValueError(f"target_names is {self.target_names!r}, expected a text per output")

    def _check_class_labels(self) -> None:
        known: Any = self.class_labels or ()
        whole = all(type(n) is int and abs(n) <= LARGEST_EXACT for n in known)
        texts = all(isinstance(n, str) for n in known)
        if len(known) < 2 or not (whole or texts) or list(known) != sorted(set(known)):
            raise ValueError(
                f"class_labels is {known!r}, expected increasing integers, or texts in order"
            )

    @property
    def outputs(self) -> int:
        """How many numbers the network answers with."""
        return len(self.class_labels or self.target_names or ())

    @classmethod
    def of(cls, dataset: Dataset) -> "Schema":
        """Return what training on a data set fixes."""
        inputs, unit = dataset.train.inputs, dataset.scale or 1.0
        names = dataset.target_names
        if dataset.class_labels is None and names is None:
            numbered = tuple(f"y{k}" for k in range(1, dataset.outputs + 1))
            names = numbered if dataset.outputs > 1 else ("y",)
        preparation = dataset.preparation or Preparation()
        return cls(
            dataset.features,
            dataset.scale or preparation.pixel_scale,
            (float(inputs.min()) * unit, float(inputs.max()) * unit),
            dataset.class_labels,
            dataset.task,
            names,
            preparation,
            dataset.target_scaling,
        )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Schema":
        """Return the schema that `to_dict` wrote, whatever else stands beside it.

        Raises
        ------
        KeyError, TypeError, ValueError
            If a value is missing or wrong.
        """
        of_targets = values["target_scaling"]
        return cls(
            values["features"],
            values["scale"],
            tuple(values["input_range"]),
            _tuple_or_none(values["class_labels"]),
            values["task"],
            _tuple_or_none(values["target_names"]),
            Preparation.from_dict(values),
            None if of_targets is None else Scaling.from_dict(of_targets),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the schema as JSON knows it."""
        of_targets = None if self.target_scaling is None else self.target_scaling.to_dict()
        return {
            "features": self.features,
            "scale": self.scale,
            "input_range": list(self.input_range),
            "class_labels": _list_or_none(self.class_labels),
            "task": self.task,
            "target_names": _list_or_none(self.target_names),
            "target_scaling": of_targets,
            **self.preparation.to_dict(),
        }

    def describe(self) -> list[str]:
        """Return in lines what is made of the data, where that is not plain."""
        columns, scaling = self.preparation.columns, self.preparation.scaling
        lines = [] if columns is None else columns.describe()
        if scaling is not None:
            plural = "" if self.features == 1 else "s"
            lines.append(f"{self.features} feature{plural}, {scaling.kind} scaling")
        if self.class_labels is None and self.target_names is not None:
            shown = ", ".join(self.target_names[:6]) + (", …" if self.outputs > 6 else "")
            lines.append(f"{self.task}: {shown}")
            if self.target_scaling is not None:
                lines.append(
                    f"{self.target_scaling.kind} scaling of the targets: the loss is of scaled "
                    "ones, predictions and errors are in their own units"
                )
        elif lines:
            shown = ", ".join(map(str, (self.class_labels or ())[:6]))
            lines.append(
                f"{self.task} of {self.outputs} classes: {shown}{', …' if self.outputs > 6 else ''}"
            )
        return lines

    def inputs(
        self,
        name: str,
        values: Any,
        dtype: str,
        is_table: bool = False,
        block_size: int | None = None,
    ) -> Array:
        """Return inputs (n, ...) of any file as training would have had them, (n, features).

        Where training saw pixels, the unit of numbers follows from what they are in, never from
        other rows.  Integers, and the numbers of a table, are pixels; so are floats, if training's
        own pixels were no bytes.  Pixels are from 0 to 255: whole ones become uint8, to be
        multiplied by the scale, fractions among them, as of averaged images, are multiplied here.
        Other floats and booleans are values.  A warning lists values far outside the range that
        training saw.

        Parameters
        ----------
        name : str
            Where they come from, for errors.
        values : array (n, ...) or Frame
        dtype : {"float32", "float64"}
            Of the network, whose range values must keep to.
        is_table : bool, default False
            Whether they are of a table, which says nothing of dtypes.
        block_size : int, optional
            As for `load_dataset`.

        Returns
        -------
        array (n, features)
            uint8 pixels, or float32 or float64 values, not yet rounded to the dtype: how to is for
            the arithmetic.

        Raises
        ------
        DataError
            If they do not fit.
        """
        array = self.preparation.as_array(name, values)
        encoded = isinstance(array, EncodedArray)
        inputs = array if encoded else as_inputs(name, "new", array)
        if inputs.shape[1] != self.features:
            own = "1 feature" if inputs.shape[1] == 1 else f"{inputs.shape[1]} features"
            fault = f"its examples have {own}, the network takes {self.features}"
            one_more = inputs.shape[1] == self.features + 1
            remedy = "leave the labels out" if one_more else "give those that it was trained on"
            raise DataError(name, fault, remedy)
        if self.scale is not None:
            kind = "u" if is_table else array.dtype.kind
            are_pixels = kind in "iu" or (kind == "f" and self.preparation.pixels)
            inputs = (_as_pixels if are_pixels else _as_scaled)(name, inputs, self.scale)
        if self.preparation.scaling is not None:
            unit = self.scale if self.scale_of(inputs) else None
            values = mapped(inputs, partial(as_values, unit=unit))
            inputs = mapped(values, self.preparation.scaling.apply_in_place)
        inputs = in_memory({"new": inputs}, block_size)["new"]
        self._compare_range(name, inputs)
        largest = max(-float(inputs.min()), float(inputs.max()))
        if largest > float(np.finfo(dtype).max):
            way = ", scaled as in training," if self.preparation.scaling else ","
            raise DataError(
                name, f"holds {largest:g}{way} which is beyond {dtype}", "scale it down"
            )
        is_value = self.scale is None and inputs.dtype == np.uint8
        return mapped(inputs, partial(as_values, unit=None)) if is_value else inputs

    def scale_of(self, inputs: Array) -> float | None:
        """Return what inputs made by `inputs` are yet to be multiplied by; None for values."""
        return self.scale if inputs.dtype == np.uint8 else None

    def targets(self, name: str, targets: Array) -> Array:
        """Return targets, made by `as_targets`, as the network was trained on them.

        Raises
        ------
        DataError
            If training never saw a label, or there are others outputs than the network's.
        """
        if self.class_labels is not None:
            return class_indices(name, "new", targets, self.class_labels)
        outputs = math.prod(targets.shape[1:])
        if outputs != self.outputs:
            fault = f"its targets have {outputs} columns, the network answers with {self.outputs}"
            raise DataError(name, fault, f"give {', '.join(self.target_names or ())}")
        if self.target_scaling is None:
            return targets
        return self.target_scaling.apply(targets.reshape(len(targets), -1)).reshape(targets.shape)

    def in_own_units(self, numbers: Array) -> Array:
        """Return targets, or what the network answers, (n,) or (n, outputs), before scaling."""
        if self.target_scaling is None:
            return numbers
        return self.target_scaling.undo(numbers.reshape(len(numbers), -1)).reshape(numbers.shape)

    @property
    def target_units(self) -> tuple[float, ...] | None:
        """What one unit of each scaled output is worth; None where none is scaled."""
        return None if self.target_scaling is None else self.target_scaling.divisors

    def _compare_range(self, name: str, inputs: Array) -> None:
        """Warn of inputs further outside the training range than that range is wide."""
        unit = self.scale_of(inputs) or 1.0
        low, high = float(inputs.min()) * unit, float(inputs.max()) * unit
        least, most = self.input_range
        width = most - least
        if least - width <= low and high <= most + width:
            return
        scaled = "scaled as in training, " if self.preparation.scaling else ""
        fault = (
            f"{scaled}the inputs run from {low:g} to {high:g}, training saw {least:g} to {most:g}"
        )
        remedy = "prepare them as the training inputs were"
        if inputs.dtype == np.uint8 and self.scale is None:
            raise DataError(name, f"holds integers of 8 bits, but {fault}", remedy)
        warnings.warn(f"{name}: {fault}; {remedy}", DataWarning, stacklevel=3)


def _as_pixels(name: str, inputs: Array, scale: float) -> Array:
    """Return pixels as uint8; as values (n, features), if there are fractions among them."""
    pixels = as_bytes(inputs)
    if pixels is not None:
        return pixels
    low, high = float(inputs.min()), float(inputs.max())
    if low < 0 or high > 255 or high <= 1:
        raise DataError(name, f"holds numbers from {low:g} to {high:g}, {_SAW_PIXELS}", _PIXELS)
    return mapped(inputs, partial(mul, scale))  # some between two pixels


def _as_scaled(name: str, inputs: Array, scale: float) -> Array:
    """Return values (n, features); refuse pixels that were not scaled."""
    low, high = float(inputs.min()), float(inputs.max())
    if high > LARGEST_VALUE:
        fault = f"holds floats from {low:g} to {high:g}, {_SAW_PIXELS}"
        raise DataError(name, fault, f"give pixels as integers, or floats times {scale:g}")
    return inputs


def _tuple_or_none(values: Any) -> Any:
    return None if values is None else tuple(values)


def _list_or_none(values: Any) -> Any:
    return None if values is None else list(values)
