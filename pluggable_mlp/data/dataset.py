"""The `Dataset` that training takes, and its hash.

Building one from the contents of a file belongs in `build.py`.

Shapes: n examples, inputs (n, features), targets (n,) or (n, outputs).
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.errors import DataError
from pluggable_mlp.data.values import Split, Task
from pluggable_mlp.files.hashing import sha256_of
from pluggable_mlp.host.lazy import blocks

if TYPE_CHECKING:
    from pluggable_mlp.data.preparation import Preparation


@dataclass(frozen=True, eq=False)
class Dataset:
    """Examples for training, and perhaps for testing and more, as NumPy arrays on the host.

    Parameters
    ----------
    splits : mapping of str to Split
        "train"; "test", unless all examples are for training; and others that the source has,
        such as "validation", which are not trained on.  All have the same features, dtypes and
        outputs.  Inputs may be a `LazyArray`, read a block at a time.

        Inputs are uint8 if `scale` is given: the values are `inputs * scale`, exactly.
        Otherwise they are float32 or float64, all finite.

        If `class_labels` are given, targets are the class of each example, int64 (n,) from 0.
        Otherwise they are numbers, int64, float32 or float64, all finite: one for each example,
        (n,), or a row of them, (n, outputs); for the task "multilabel" only 0 and 1.
    name : str
        The name or the path by which the data were requested.
    scale : float, optional
        A power of two, the value of one unit of uint8 inputs; None for floats.
    class_labels : tuple of int or of str, optional
        The source's label of each class, increasing, at least two; None if targets are
        numbers.
    multilabel : bool, default False
        Whether targets are 1 or 0: yes or no for each output.
    preparation : Preparation, optional
        How `load_dataset` prepared the source's inputs and targets; a data set that you make from
        arrays has None.
    test_share : float, optional
        The share of the examples drawn for testing; None if none were.
    validation_share : float, optional
        The share of the training examples drawn for validation, likewise.
    block_size : int, default 0
        How many examples a block has if they are to be read a block at a time, else 0.

    See Also
    --------
    load_dataset : Checks all this.

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

    @property
    def task(self) -> Task:
        """What the targets are."""
        if self.class_labels is not None:
            return "classification"
        return "multilabel" if self.multilabel else "regression"

    @property
    def fitted_preparation(self) -> "Preparation":
        """The preparation; DataError if the data set was made from arrays."""
        if self.preparation is None:
            fault = "has no preparation, since it was not loaded"
            raise DataError(self.name, fault, "save its arrays as .npz and load them")
        return self.preparation

    @property
    def train(self) -> Split:
        """The examples for training."""
        return self.splits["train"]

    @property
    def test(self) -> Split:
        """The examples for testing; DataError if there are none."""
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
        """Return the source's labels of class indices (n,): int64, or texts."""
        return np.asarray(self.class_labels)[indices]

    def sha256(self) -> str:
        """Return the SHA-256 of the data, in hexadecimal: the same on every machine.

        For the splits train, test and then the others by name, it covers the inputs and then
        the targets: a name (train_inputs; train_labels for classes, train_targets for numbers),
        the dtype and the shape as text, and the little-endian bytes in C order, classes by their
        labels, or from 0 if these are texts; then the scale and the number of classes, and texts
        as JSON; finally the preparation of columns or numbers, if any, as JSON.
        """
        return self._sha256

    @cached_property
    def _sha256(self) -> str:
        return sha256_of(self._parts_to_hash())

    def _parts_to_hash(self) -> Iterator[str | Array]:
        """Yield the parts that are hashed."""
        labels = self.class_labels
        texts = labels is not None and isinstance(labels[0], str)
        for part in sorted(self.splits, key=lambda name: (name != "train", name != "test", name)):
            inputs, targets = self.splits[part]
            if labels is not None and not texts:
                targets = self.labels_of(targets)
            arrays = {"inputs": inputs, "targets" if labels is None else "labels": targets}
            for name, values in arrays.items():
                yield f"{part}_{name} {values.dtype.name} {values.shape}\n"
                yield from blocks(values)
        classes = None if labels is None else len(labels)
        yield f"scale {self.scale} classes {classes}\n"
        if texts:
            yield json.dumps(labels)
        derivation = {} if self.preparation is None else self.preparation.derivation()
        if derivation:
            yield json.dumps(derivation, sort_keys=True)
