"""What training takes, a `Dataset`, with the rules that its arrays keep; what readers give before.

The rules and the hash belong here, and numbers of any dtype as uint8 pixels or floats; how raw
arrays become such a data set belongs in `build.py`, how a file is read in the readers.

Shapes: n examples, inputs (n, features), targets (n,) or (n, outputs).
"""

import json
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.errors import DataError
from pluggable_mlp.hashing import sha256_of
from pluggable_mlp.lazy import LazyArray, StoredArray, blocks, lazy_map

if TYPE_CHECKING:
    from pluggable_mlp.data.preparation import Preparation

PIXEL_SCALE = 1 / 256
"""The value of an 8-bit pixel is integer / 256: exact, unlike integer / 255."""

LARGEST_EXACT = 2**53
"""Up to here every integer is a float64."""


BLOCK = 4096  # rows that are looked at together


class Split(NamedTuple):
    """Examples, and what a network is to answer for each.

    Parameters
    ----------
    inputs : array, shape (n, features)
    targets : array, shape (n,) or (n, outputs)

    See Also
    --------
    Dataset

    Examples
    --------
    >>> import numpy as np
    >>> from pluggable_mlp import Split
    >>> inputs, targets = Split(np.zeros((3, 2)), np.zeros(3))
    """

    inputs: Array
    targets: Array

    def sha256(self) -> str:
        """Return the SHA-256 of both, in hexadecimal, as `Dataset.sha256` takes them."""
        return sha256_of(part for array in self for part in _stated("", array))


@dataclass(frozen=True, eq=False)
class Source:
    """Inputs and targets as a file holds them, neither converted nor checked.

    Parameters
    ----------
    name : str
        The file, folder or name of the data, for errors.
    splits : mapping of str to Split
        "train", and what the source keeps apart from it: "test", "validation".
    pixel_scale : float
        The value of one unit of a pixel, a power of two.
    target_names : tuple of str, optional
        Those of the columns of a table.
    header : bool, optional
        Whether the first line of a text names the columns; None for other files.
    categorical : set of str, optional
        Columns of numbers that are categories.
    """

    name: str
    splits: Mapping[str, Split]
    pixel_scale: float = PIXEL_SCALE
    target_names: tuple[str, ...] | None = None
    header: bool | None = None
    categorical: Collection[str] = ()

    @property
    def is_table(self) -> bool:
        """Whether it is a table, whose columns have each a unit of its own."""
        return is_frame(self.splits["train"].inputs)


def is_frame(inputs: Any) -> bool:
    """Return whether inputs are the columns of a table, a data frame of polars, or an array."""
    return not isinstance(inputs, np.ndarray | LazyArray)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Examples for training, perhaps for testing and for more, as NumPy arrays on the host.

    Parameters
    ----------
    splits : mapping of str to Split
        "train", "test" unless all examples are for training, and more where the source has them,
        such as "validation", which training leaves alone.  All have the same features, dtypes and
        outputs.  Inputs may be a `LazyArray`, read a block at a time.

        Inputs are uint8 where `scale` is given: the values are `inputs * scale`, exactly.
        Otherwise they are float32 or float64, all finite.

        Targets are the class of each example, int64 (n,) from 0, where `class_labels` are given.
        Otherwise they are numbers, int64, float32 or float64, all finite: one for each example,
        (n,), or a row of them, (n, outputs); for the task "multilabel" 0 and 1 alone.
    name : str
        What the data were asked for by: a name or a path.
    scale : float, optional
        A power of two, the value of one unit of uint8 inputs; None for floats.
    class_labels : tuple of int or of str, optional
        What the source calls each class, increasing; at least two.  None where targets are
        numbers.
    multilabel : bool, default False
        Whether numbers to predict are 1 and 0: yes or no for each output.
    preparation : Preparation, optional
        What was made of the inputs and the targets that the source holds.
    test_share : float, optional
        The share of the examples that was kept for testing; None where that was not drawn.
    validation_share : float, optional
        Likewise of the examples for training.
    block_size : int, default 0
        How many examples a block has if they are to be taken a block at a time; else 0.

    Raises
    ------
    DataError
        If an array breaks one of these rules.

    See Also
    --------
    load_dataset

    Examples
    --------
    >>> import numpy as np
    >>> from pluggable_mlp import Dataset, Split
    >>> x = np.linspace(0.0, 1.0, 8)[:, None]
    >>> data = Dataset({"train": Split(x, x**2)}, name="squares")
    >>> data.features, data.outputs
    (1, 1)
    """

    splits: Mapping[str, Split]
    name: str
    scale: float | None = None
    class_labels: tuple[int | str, ...] | None = None
    multilabel: bool = False
    preparation: "Preparation | None" = None
    test_share: float | None = None
    validation_share: float | None = None
    block_size: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "splits", {k: Split(*pair) for k, pair in self.splits.items()})
        if "train" not in self.splits:
            fault = f"has the splits {', '.join(self.splits) or 'none'}"
            raise DataError(self.name, fault, "give it one named train, too")
        known: Any = self.class_labels
        if known is not None and (len(known) < 2 or list(known) != sorted(set(known))):
            fault = f"class_labels is {known}"
            raise DataError(self.name, fault, "give the labels of two classes or more, increasing")
        if self.scale is not None and math.frexp(self.scale)[0] != 0.5:
            raise DataError(self.name, f"scale is {self.scale}", "give a power of two")
        for part, (inputs, targets) in self.splits.items():
            known_inputs = isinstance(inputs, np.ndarray | LazyArray)
            if not (known_inputs and isinstance(targets, np.ndarray)):
                kinds = f"{type(inputs).__name__} and {type(targets).__name__}"
                raise DataError(self.name, f"the {part} split is {kinds}", "give NumPy arrays")
            self._check_inputs(part, inputs)
            self._check_targets(part, targets, inputs.shape[0])

    @property
    def task(self) -> Literal["classification", "multilabel", "regression"]:
        """What the targets are."""
        if self.class_labels is not None:
            return "classification"
        return "multilabel" if self.multilabel else "regression"

    @property
    def train(self) -> Split:
        """The examples for training."""
        return self.splits["train"]

    @property
    def test(self) -> Split:
        """The examples for testing; DataError where there are none."""
        if "test" not in self.splits:
            fault = "has no examples for testing, all of them are for training"
            raise DataError(self.name, fault, "name others (--test for train, --data for evaluate)")
        return self.splits["test"]

    @property
    def features(self) -> int:
        """How many numbers an example has."""
        return int(self.train.inputs.shape[1])

    @property
    def outputs(self) -> int:
        """The number of network outputs: one per class, or per target."""
        if self.class_labels is not None:
            return len(self.class_labels)
        return math.prod(self.train.targets.shape[1:])

    def labels_of(self, indices: Array) -> Array:
        """Return what the source calls the classes of these indices (n,): int64, or texts."""
        return np.asarray(self.class_labels)[indices]

    def _check_inputs(self, part: str, inputs: Array) -> None:
        own = self.train.inputs
        allowed = (np.float32, np.float64) if self.scale is None else (np.uint8,)
        if inputs.dtype not in allowed or inputs.dtype != own.dtype:
            raise DataError(
                self.name,
                f"the {part} inputs are {inputs.dtype}, the training inputs {own.dtype}, "
                f"scale is {self.scale}",
                "give all splits one dtype: uint8 with a scale, or float32 or float64 without",
            )
        if inputs.ndim != 2 or 0 in inputs.shape:
            fault = f"the {part} inputs have shape {inputs.shape}"
            raise DataError(self.name, fault, "at least one example of one feature is needed")
        if inputs.shape[1] != own.shape[1]:
            raise DataError(
                self.name,
                f"the {part} inputs have {inputs.shape[1]} features, the training inputs "
                f"{own.shape[1]}",
                "give all splits the same features",
            )
        check_finite(self.name, part, "inputs", inputs)

    def _check_targets(self, part: str, targets: Array, examples: int) -> None:
        own, fault = self.train.targets, f"the {part} targets are {targets.dtype}"
        if self.class_labels is not None:
            if targets.dtype != np.int64 or targets.shape != (examples,):
                fault = f"{fault} of shape {targets.shape} for {examples} inputs"
                raise DataError(self.name, fault, "give one class, int64, for each example")
            if targets.min() < 0 or targets.max() >= self.outputs:
                fault = f"the {part} targets go from {targets.min()} to {targets.max()}"
                raise DataError(self.name, fault, f"number the classes 0 to {self.outputs - 1}")
            return
        if targets.dtype not in (np.int64, np.float32, np.float64) or targets.dtype != own.dtype:
            fault = f"{fault}, the training targets {own.dtype}"
            raise DataError(self.name, fault, "give all splits int64, float32 or float64")
        if targets.ndim not in (1, 2) or len(targets) != examples or 0 in targets.shape:
            fault = f"{fault} of shape {targets.shape} for {examples} inputs"
            raise DataError(self.name, fault, "give a number, or a row of them, for each example")
        if targets.shape[1:] != own.shape[1:]:
            fault = f"the {part} targets have shape {targets.shape}, the training's {own.shape}"
            raise DataError(self.name, fault, "give all splits the same outputs")
        check_finite(self.name, part, "targets", targets)
        if self.multilabel and not np.isin(targets, (0, 1)).all():
            fault = f"the {part} targets are not all 0 or 1"
            raise DataError(self.name, fault, "for task multilabel give 0 for no and 1 for yes")

    def sha256(self) -> str:
        """Return the SHA-256 of the data, in hexadecimal: the same on every machine.

        Hashed are, for the splits train, test and then the others by name, the inputs and then
        the targets: a name (train_inputs; train_labels for classes, train_targets for numbers),
        the dtype and the shape as text, and the little-endian bytes in C order, classes by their
        labels, or from 0 where these are texts; then the scale and the number of classes, and texts
        as JSON; at last how columns or numbers were prepared, if they were, as JSON.
        """
        return self._sha256

    @cached_property
    def _sha256(self) -> str:
        return sha256_of(self._hashed())

    def _hashed(self) -> Iterator[str | Array]:
        """Yield what the hash is of."""
        known = self.class_labels
        texts = known is not None and isinstance(known[0], str)
        for part in sorted(self.splits, key=lambda name: (name != "train", name != "test", name)):
            inputs, targets = self.splits[part]
            if known is not None and not texts:
                targets = self.labels_of(targets)
            named = {"inputs": inputs, "targets" if known is None else "labels": targets}
            for name, values in named.items():
                yield from _stated(f"{part}_{name} ", values)
        classes = None if known is None else len(known)
        yield f"scale {self.scale} classes {classes}\n"
        if texts:
            yield json.dumps(known)
        made = {} if self.preparation is None else self.preparation.derived()
        if made:
            yield json.dumps(made, sort_keys=True)


def _stated(name: str, values: Array) -> Iterator[str | Array]:
    """Yield the name, the dtype and the shape as text, then the values."""
    yield f"{name}{values.dtype.name} {values.shape}\n"
    yield from blocks(values)


def check_finite(name: str, part: str, kind: str, values: Array) -> None:
    """Raise `DataError` where inputs or targets (n, …), which `kind` says, hold NaN or infinity."""
    # Both reach the smallest or the largest: no array of flags is needed.
    if values.dtype.kind == "f" and not np.isfinite([values.min(), values.max()]).all():
        before = 0
        for block in blocks(values):
            for row, *column in np.argwhere(~np.isfinite(block))[:1].tolist():
                word = "feature" if kind == "inputs" else "output"
                where = f"{word} {column[0]} of " if column else ""
                where += f"example {before + row} of the {part} {kind}"
                fault = f"{where} is {block[row, *column]} (counted from 0)"
                raise DataError(name, fault, "remove or fill such values first")
            before += len(block)


def as_floats(name: str, part: str, kind: str, values: Array) -> Array:
    """Convert numbers of any dtype and shape to float32 or float64, exactly.

    Raises
    ------
    DataError
        If they are not such numbers.
    """
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
    return np.require(values, dtype, ["C", "W"])


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
    inputs = lazy_map(values, partial(_flattened, name, part))
    check_finite(name, part, "inputs", inputs)
    return inputs


def _flattened(name: str, part: str, values: Array) -> Array:
    """Return inputs (m, ...) as (m, features) of uint8, float32 or float64."""
    values = values.reshape(values.shape[0], -1)
    if values.dtype == np.uint8:  # writeable, for PyTorch warns of memory that is not
        return np.require(values, requirements=["C", "W"])
    return as_floats(name, part, "inputs", values)


def as_values(inputs: Array, unit: float | None = None) -> Array:
    """Return a copy of inputs as float64, 8-bit pixels times their unit."""
    values = inputs.astype(np.float64)
    return values * unit if inputs.dtype == np.uint8 and unit is not None else values


def as_bytes(values: Array, unit: float = 1.0) -> Array | None:
    """Return the uint8 array (n, ...) whose entries times `unit`, a power of two, are `values`.

    None if there is none; uint8 values are returned as they are, whatever the unit.
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
