"""The rules of a data set, and its hash."""

import hashlib
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from pluggable_mlp.data import DataError, Dataset


@pytest.fixture
def dataset():
    return Dataset(
        train_inputs=np.array([[0.5, 1.0], [2.0, -1.0], [0.0, 3.0]]),
        train_labels=np.array([0, 1, 2], dtype=np.int64),
        test_inputs=np.array([[1.0, 1.0]]),
        test_labels=np.array([2], dtype=np.int64),
        name="example",
        scale=None,
        class_labels=(0, 1, 2),
    )


PIXELS = np.zeros((3, 2), dtype=np.uint8)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"class_labels": (0,)}, "two classes"),
        ({"class_labels": (1, 0, 2)}, "increasing"),
        ({"class_labels": (0, 1, 1)}, "increasing"),
        ({"class_labels": (0, 1)}, "labels go from 0 to 2"),
        ({"scale": 0.3}, "power of two"),
        ({"scale": -0.5}, "power of two"),
        ({"scale": 0.5}, "float64"),
        ({"train_inputs": PIXELS}, "uint8"),
        ({"train_inputs": PIXELS, "scale": 1 / 256}, "test inputs are float64"),
        ({"train_inputs": np.zeros((3, 2), dtype=np.float32)}, "test inputs are float64"),
        ({"train_inputs": np.zeros((3, 2), dtype=np.int32)}, "int32"),
        ({"test_inputs": np.zeros((1, 3))}, "3 features"),
        ({"test_inputs": np.zeros((0, 2))}, "at least one example"),
        ({"test_inputs": np.zeros(2)}, "shape"),
        (
            {"test_inputs": np.array([[1.0, np.nan]])},
            "feature 1 of example 0 of the test inputs",
        ),
        (
            {"test_inputs": np.array([[-np.inf, 0.0]])},
            "of the test inputs is -inf",
        ),
        (
            {"test_inputs": np.array([[np.inf, 0.0]])},
            "of the test inputs is inf",
        ),
        ({"test_labels": np.array([1, 2])}, "1 test inputs, but labels of shape"),
        ({"test_labels": np.array([2], dtype=np.int32)}, "int32"),
        ({"test_labels": np.array([-1])}, "labels go from -1"),
        ({"validation_inputs": np.zeros((2, 2)), "validation_labels": np.array([3, 0])}, "0 to 3"),
    ],
)
def test_a_broken_rule_is_named(dataset, changes, fault):
    with pytest.raises(DataError, match=r"^example: ") as caught:
        replace(dataset, **changes)
    assert fault in str(caught.value)


def test_it_is_frozen(dataset):
    with pytest.raises(FrozenInstanceError):
        dataset.classes = 4


def test_hash_is_over_names_dtypes_shapes_and_little_endian_bytes(dataset):
    expected = hashlib.sha256(
        b"train_inputs float64 (3, 2)\n"
        + bytes.fromhex("000000000000e03f 000000000000f03f")  # 0.5, 1.0
        + bytes.fromhex("0000000000000040 000000000000f0bf")  # 2.0, -1.0
        + bytes.fromhex("0000000000000000 0000000000000840")  # 0.0, 3.0
        + b"train_labels int64 (3,)\n"
        + b"".join(k.to_bytes(8, "little") for k in (0, 1, 2))
        + b"test_inputs float64 (1, 2)\n"
        + bytes.fromhex("000000000000f03f") * 2
        + b"test_labels int64 (1,)\n"
        + (2).to_bytes(8, "little")
        + b"scale None classes 3\n"
    )
    assert dataset.sha256() == expected.hexdigest()


def test_hash_does_not_depend_on_the_memory_layout_or_the_name(dataset):
    other = replace(dataset, train_inputs=np.asfortranarray(dataset.train_inputs), name="copy")
    assert not other.train_inputs.flags.c_contiguous
    assert other.sha256() == dataset.sha256()


@pytest.mark.parametrize(
    "changes",
    [
        {"train_inputs": np.array([[0.5, 1.0], [2.0, -1.0], [0.0, 3.5]])},
        {"test_labels": np.array([1])},
        {"class_labels": (0, 1, 2, 3)},
        {"class_labels": (1, 2, 3)},
        {"validation_inputs": np.zeros((1, 2)), "validation_labels": np.array([0])},
    ],
)
def test_hash_tells_data_apart(dataset, changes):
    assert replace(dataset, **changes).sha256() != dataset.sha256()


def test_hash_tells_scales_apart(dataset):
    pixels = {"train_inputs": PIXELS, "test_inputs": PIXELS[:1]}
    hashes = {replace(dataset, **pixels, scale=scale).sha256() for scale in (1 / 256, 1 / 16)}
    assert len(hashes) == 2
