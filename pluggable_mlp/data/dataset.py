"""What training takes: a `Dataset`, and the rules that its arrays keep.

The rules and the hash belong here; how raw arrays become such a data set belongs in
`conversion.py`, how they are read from a file in the readers.

Shapes: n examples, inputs (n, features), labels (n,).
"""

import hashlib
import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.errors import DataError

__all__ = ["Dataset", "check_finite"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled examples for training and for testing, as NumPy arrays on the host.

    Parameters
    ----------
    train_inputs, test_inputs : array, shape (n, features)
        uint8 where `scale` is given: the values are `inputs * scale`, exactly.  Otherwise
        float32 or float64, all finite.
    train_labels, test_labels : array of int64, shape (n,)
        The class of each example, 0 to classes - 1.
    name : str
        What the data were asked for by: a name or a path.
    scale : float or None
        A power of two, the value of one unit of uint8 inputs; None for floats.
    class_labels : tuple of int
        What the source calls each class, increasing; at least two.
    validation_inputs, validation_labels : array or None
        A third part, where the source has one.  Training leaves it alone.

    Raises
    ------
    DataError
        If an array breaks one of these rules.
    """

    train_inputs: Array
    train_labels: Array
    test_inputs: Array
    test_labels: Array
    name: str
    scale: float | None
    class_labels: tuple[int, ...]
    validation_inputs: Array = None
    validation_labels: Array = None

    def __post_init__(self) -> None:
        known = self.class_labels
        if len(known) < 2 or list(known) != sorted(set(known)):
            fault = f"class_labels is {known}"
            raise DataError(self.name, fault, "give the labels of two classes or more, increasing")
        if self.scale is not None and math.frexp(self.scale)[0] != 0.5:
            raise DataError(self.name, f"scale is {self.scale}", "give a power of two")
        for part in ("train", "test", "validation"):
            inputs, labels = getattr(self, f"{part}_inputs"), getattr(self, f"{part}_labels")
            if part == "validation" and inputs is None and labels is None:
                continue
            self._check_inputs(part, inputs)
            self._check_labels(part, labels, inputs.shape[0])

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self.class_labels)

    def labels_of(self, indices: Array) -> Array:
        """Return what the source calls the classes of these indices (n,), int64."""
        return np.asarray(self.class_labels, dtype=np.int64)[indices]

    def _check_inputs(self, part: str, inputs: Array) -> None:
        allowed = ("float32", "float64") if self.scale is None else ("uint8",)
        if inputs.dtype.name not in allowed or inputs.dtype != self.train_inputs.dtype:
            raise DataError(
                self.name,
                f"the {part} inputs are {inputs.dtype}, the training inputs "
                f"{self.train_inputs.dtype}, scale is {self.scale}",
                "give all parts one dtype: uint8 with a scale, or float32 or float64 without",
            )
        if inputs.ndim != 2 or 0 in inputs.shape:
            fault = f"the {part} inputs have shape {inputs.shape}"
            raise DataError(self.name, fault, "at least one example of one feature is needed")
        if inputs.shape[1] != self.train_inputs.shape[1]:
            raise DataError(
                self.name,
                f"the {part} inputs have {inputs.shape[1]} features, the training inputs "
                f"{self.train_inputs.shape[1]}",
                "give all parts the same features",
            )
        check_finite(self.name, part, inputs)

    def _check_labels(self, part: str, labels: Array, examples: int) -> None:
        if labels.dtype != np.int64 or labels.shape != (examples,):
            raise DataError(
                self.name,
                f"{examples} {part} inputs, but labels of shape {labels.shape}, {labels.dtype}",
                "give one int64 label for each example",
            )
        if labels.min() < 0 or labels.max() >= self.classes:
            raise DataError(
                self.name,
                f"the {part} labels go from {labels.min()} to {labels.max()}",
                f"number the classes from 0 to {self.classes - 1}",
            )

    def sha256(self) -> str:
        """Return the SHA-256 of the data, in hexadecimal: the same on every machine.

        Hashed are, for each array in the order of the fields, its name, dtype and shape as text
        and its little-endian bytes in C order, labels as the source has them; then the scale and
        the number of classes.
        """
        digest = hashlib.sha256()
        for field in fields(self):
            value: Any = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                if field.name.endswith("labels"):
                    value = self.labels_of(value)
                digest.update(f"{field.name} {value.dtype.name} {value.shape}\n".encode())
                digest.update(np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<")).data)
        digest.update(f"scale {self.scale} classes {self.classes}\n".encode())
        return digest.hexdigest()


def check_finite(name: str, part: str, inputs: Array) -> None:
    """Raise `DataError` where inputs (n, features) hold NaN or infinity; integers hold none."""
    # Both reach the smallest or the largest: no array of flags is needed.
    if inputs.dtype.kind == "f" and not np.isfinite([inputs.min(), inputs.max()]).all():
        row, column = np.argwhere(~np.isfinite(inputs))[0]
        fault = (
            f"feature {column} of example {row} of the {part} inputs is {inputs[row, column]} "
            "(both counted from 0)"
        )
        raise DataError(name, fault, "remove or fill such values first")
