"""From raw arrays to a data set."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pluggable_mlp.data import DataError
from pluggable_mlp.data.conversion import build_dataset, divide

LABELS = np.array([0, 1, 1])


def build(inputs, labels=LABELS):
    return build_dataset("example", (inputs, labels), (inputs, labels))


@pytest.mark.parametrize(
    ("given_dtype", "kept_dtype", "scale"),
    [
        ("uint8", "uint8", 1 / 256),
        ("float16", "float32", None),
        ("float32", "float32", None),
        (">f4", "float32", None),
        ("float64", "float64", None),
        ("int64", "float64", None),
        ("uint16", "float64", None),
        ("bool", "float64", None),
    ],
)
def test_values_are_kept_and_axes_flattened(given_dtype, kept_dtype, scale):
    values = np.array([[[0, 1], [1, 1]], [[1, 0], [0, 0]], [[0, 0], [0, 1]]])
    dataset = build(values.astype(given_dtype))
    assert dataset.train_inputs.dtype == np.dtype(kept_dtype)
    assert dataset.train_inputs.dtype.isnative
    assert dataset.train_inputs.tolist() == [[0, 1, 1, 1], [1, 0, 0, 0], [0, 0, 0, 1]]
    assert dataset.scale == scale
    assert dataset.classes == 2


@pytest.mark.parametrize(
    ("inputs", "fault"),
    [
        (np.zeros(3), "shape (3,)"),
        (np.zeros((0, 2)), "shape (0, 2)"),
        (np.zeros((3, 0)), "shape (3, 0)"),
        (np.zeros((3, 1), dtype=complex), "complex128"),
        (np.array([["a"], ["b"], ["c"]]), "<U1"),
        (np.array([[2**53 + 1], [0], [0]]), "2**53"),
        (np.array([[-(2**63)], [0], [0]]), "2**53"),
        (np.array([[np.inf], [0], [0]]), "finite"),
    ],
)
def test_other_inputs_are_refused(inputs, fault):
    with pytest.raises(DataError) as caught:
        build(inputs)
    assert fault in str(caught.value)


@pytest.mark.parametrize(
    "labels",
    [
        np.array([0.0, 1.0, 1.0], dtype=np.float32),
        np.array([[0], [1], [1]], dtype=np.uint8),
        np.array([False, True, True]),
        np.array([0, 1, 1], dtype=">i2"),
    ],
)
def test_labels_of_other_dtypes_become_int64(labels):
    kept = build(np.zeros((3, 2)), labels).train_labels
    assert kept.dtype == np.int64
    assert kept.tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("labels", "fault"),
    [
        (np.array([0, 1, -1]), "-1 to 1, which is out of range"),
        (np.array([0, 1, 9]), "label is 9, but only 3 different labels occur: it is out of range"),
        (np.array([0, 1, 2**63], dtype=np.uint64), "out of range"),
        (np.array([0, 1, 1.5]), "1.5 is not an integer"),
        (np.array([0, 1, np.nan]), "nan is not an integer"),
        (np.array([0, 1, np.inf]), "out of range"),
        (np.array([0, 1]), "3 train inputs, but labels of shape (2,)"),
        (np.array([[0, 1], [1, 0], [1, 0]]), "shape (3, 2)"),
        (np.array(["a", "b", "b"]), "dtype <U1"),
        (np.array([0, 0, 0]), "two classes"),
    ],
)
def test_other_labels_are_refused(labels, fault):
    with pytest.raises(DataError) as caught:
        build(np.zeros((3, 2)), labels)
    assert fault in str(caught.value)


def test_labels_may_leave_half_of_the_classes_out():
    assert build(np.zeros((3, 2)), np.array([1, 3, 3])).classes == 4


def test_every_seventh_example_is_for_testing():
    inputs = np.arange(20)[:, None]
    (x, y), (test_x, test_y) = divide(inputs, np.arange(20) * 10)
    assert test_x.ravel().tolist() == [6, 13]
    assert x.ravel().tolist() == [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 14, 15, 16, 17, 18, 19]
    assert test_y.tolist() == [60, 130]
    assert y.tolist() == [10 * k for k in x.ravel()]


@settings(max_examples=200)
@given(st.data())
def test_any_arrays_give_a_data_set_or_an_error(check_rules, data):
    dtypes = st.sampled_from(["u1", "<f4", ">f8", "i8", "u8", "?", "f2", "S2", "U1", "c8", "M8[s]"])
    shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
    inputs, labels, test_inputs, test_labels = (
        data.draw(hnp.arrays(data.draw(dtypes), data.draw(shapes))) for _ in range(4)
    )
    try:
        dataset = build_dataset("example", (inputs, labels), (test_inputs, test_labels))
    except DataError:
        return
    check_rules(dataset)
