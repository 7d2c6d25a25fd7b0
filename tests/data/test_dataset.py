"""The hash of a data set."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from pluggable_mlp.data import DataError, Dataset, Split, load_dataset
from pluggable_mlp.data.columns import Column
from pluggable_mlp.data.preparation import Preparation
from pluggable_mlp.data.scaling import QuantileTransform, Scaling
from pluggable_mlp.options import Options
from pluggable_mlp.plan import Plan

INPUTS, CLASSES = np.array([[0.5, 1.0], [2.0, -1.0], [0.0, 3.0]]), np.array([0, 1, 2])
TEST = Split(np.array([[1.0, 1.0]]), np.array([2]))
SPLITS = {"train": Split(INPUTS, CLASSES), "test": TEST}


@pytest.fixture
def dataset():
    """Three classes."""
    pairs = {part: tuple(pair) for part, pair in SPLITS.items()}
    return Dataset(pairs, name="example", class_labels=(0, 1, 2))


def numbers(train, test):
    """A data set of numbers to predict."""
    parts = {"train": Split(INPUTS, train), "test": Split(TEST.inputs, test)}
    return Dataset(parts, name="example")


def changed(dataset, part, **arrays):
    """The same data set, with other arrays in a split, which may be new."""
    split = dataset.splits.get(part, TEST)._replace(**arrays)
    return replace(dataset, splits={**dataset.splits, part: split})


ARRAYS = (
    b"train_inputs float64 (3, 2)\n"
    + bytes.fromhex("000000000000e03f 000000000000f03f")  # 0.5, 1.0
    + bytes.fromhex("0000000000000040 000000000000f0bf")  # 2.0, -1.0
    + bytes.fromhex("0000000000000000 0000000000000840")  # 0.0, 3.0
    + b"train_%s (3,)\n%s"
    + b"test_inputs float64 (1, 2)\n"
    + bytes.fromhex("000000000000f03f") * 2
    + b"test_%s (1,)\n%s"
)


def test_hash_is_over_names_dtypes_shapes_and_little_endian_bytes(dataset):
    kind, train = b"labels int64", b"".join(k.to_bytes(8, "little") for k in (0, 1, 2))
    expected = ARRAYS % (kind, train, kind, (2).to_bytes(8, "little"))
    expected += b"scale None classes 3\n"
    assert dataset.sha256() == hashlib.sha256(expected).hexdigest()


def test_hash_covers_labels_that_are_texts_and_the_preparation(dataset):
    """Class indices stand in the place of texts; JSON has all that was computed from others."""
    preparation = Preparation(
        features=2,
        scale=None,
        input_range=(-1.0, 3.0),
        class_labels=("a", "b", "ü"),
        columns=(Column("x", "sign", categories=("n", "y")), Column("z", "left out")),
        plain=False,
        scaling=Scaling("standard", (0.5,), (2.0,)),
        quantiles=QuantileTransform(((0.0, 1.0), ())),
        target_scaling=Scaling("minmax", (0.0,), (4.0,)),
    )
    data = replace(dataset, class_labels=preparation.class_labels, preparation=preparation)
    kind, train = b"labels int64", b"".join(k.to_bytes(8, "little") for k in (0, 1, 2))
    expected = ARRAYS % (kind, train, kind, (2).to_bytes(8, "little"))
    expected += rb"""scale None classes 3
["a", "b", "\u00fc"]{"columns": [{"categories": ["n", "y"], "fill": null, "kind": "sign", \
"missing": 0, "name": "x", "note": "", "range": null}], \
"quantiles": {"quantiles": [[0.0, 1.0], []]}, \
"scaling": {"divisors": [2.0], "kind": "standard", "offsets": [0.5]}, \
"target_scaling": {"divisors": [4.0], "kind": "minmax", "offsets": [0.0]}}"""
    assert data.sha256() == hashlib.sha256(expected.replace(b"\\\n", b"")).hexdigest()


def test_hash_of_numbers_names_them_targets():
    kind, zeros = b"targets float32", bytes(4)
    expected = ARRAYS % (kind, 3 * zeros, kind, zeros) + b"scale None classes None\n"
    found = numbers(np.zeros(3, np.float32), np.zeros(1, np.float32)).sha256()
    assert found == hashlib.sha256(expected).hexdigest()


def test_hash_of_the_digits_never_changes():
    """Certificates hold it."""
    digits = load_dataset("digits")
    assert digits.sha256() == "bfe1bab860a8fe3b27940ad1cf50823c8bb8e5539b79ac820fbd702cfca7e37e"


def test_hash_does_not_depend_on_memory_layout_name_or_order_of_splits(dataset):
    other = changed(dataset, "train", inputs=np.asfortranarray(INPUTS))
    other = replace(other, splits=dict(reversed(other.splits.items())), name="copy")
    assert not other.train.inputs.flags.c_contiguous
    assert list(other.splits) == ["test", "train"]
    assert other.sha256() == dataset.sha256()


def test_hash_tells_data_apart(dataset):
    others = [
        changed(dataset, "train", inputs=np.array([[0.5, 1.0], [2.0, -1.0], [0.0, 3.5]])),
        changed(dataset, "test", targets=np.array([1])),
        replace(dataset, class_labels=(0, 1, 2, 3)),
        replace(dataset, class_labels=(1, 2, 3)),
        replace(dataset, class_labels=None),
        changed(dataset, "validation", targets=np.array([0])),
        changed(dataset, "validation", targets=np.array([1])),
        changed(dataset, "other", targets=np.array([0])),
        numbers(np.zeros(3), np.zeros(1)),
        numbers(np.zeros((3, 1)), np.zeros((1, 1))),
    ]
    assert len({data.sha256() for data in [dataset, *others]}) == 11


def test_a_data_set_made_from_arrays_has_no_preparation(dataset):
    with pytest.raises(DataError, match="^example: has no preparation, since it was not loaded"):
        Plan.for_dataset(Options(), dataset)
