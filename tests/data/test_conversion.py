"""From raw arrays to a data set."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pluggable_mlp.data import DataError, DataWarning, conversion
from pluggable_mlp.data.conversion import as_bytes, build_dataset
from pluggable_mlp.data.source import Source

LABELS = np.array([0, 1, 1])


def build(inputs, labels=LABELS):
    return build_dataset(Source("example", (inputs, labels), (inputs, labels)))


@pytest.mark.filterwarnings("ignore::pluggable_mlp.data.DataWarning")
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
        (np.array([[np.inf], [0], [0]]), "feature 0 of example 0 of the train inputs is inf"),
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
        (np.array([0, 1, 2**63], dtype=np.uint64), "go from 0 to 9223372036854775808"),
        (np.array([0, 1, -(2.0**60)]), "go from -1152921504606846976 to 1"),
        (np.array([0, 1, 1.5]), "the train label 1.5 is not a whole number"),
        (np.array([0, 1, np.nan]), "nan is not a whole number"),
        (np.array([0, 1, np.inf]), "inf is not a whole number"),
        (np.array([0, 1]), "the train inputs have shape (3, 2), the labels (2,)"),
        (np.array([], dtype=int), "labels have shape (0,)"),
        (np.array([[0, 1], [1, 0], [1, 0]]), "shape (3, 2)"),
        (np.array(["a", "b", "b"]), "dtype <U1"),
        (
            np.array([4, 4, 4]),
            "all training labels are 4; a classifier needs",
        ),
    ],
)
def test_other_labels_are_refused(labels, fault):
    with pytest.raises(DataError) as caught:
        build(np.zeros((3, 2)), labels)
    assert fault in str(caught.value)


@pytest.mark.parametrize("occurring", [(1, 2, 3), (-1, 1), (0, 1000), (3, 7, 8)])
def test_classes_are_the_labels_that_occur(occurring):
    """Labels from 1, of two signs, or with gaps make no class that has no examples."""
    labels = np.array([*occurring[::-1], *occurring])
    inputs = np.arange(labels.size)[:, None] / 8
    dataset = build(inputs, labels)
    assert dataset.class_labels == occurring
    assert dataset.classes == len(occurring)
    assert [occurring[k] for k in dataset.train_labels] == labels.tolist()
    assert [occurring[k] for k in dataset.test_labels] == labels.tolist()
    assert dataset.labels_of(dataset.train_labels).tolist() == labels.tolist()


@pytest.mark.parametrize("part", ["test", "validation"])
def test_a_label_that_training_never_saw_is_named(part):
    own, other = (np.zeros((3, 2)), LABELS), (np.zeros((1, 2)), np.array([2]))
    parts = {"test": own, part: other}
    fault = f"example: a {part} label is 2, which training never saw (it saw 0, 1); leave"
    with pytest.raises(DataError, match=re.escape(fault)):
        build_dataset(Source("example", own, **parts))


def measured(count, different):
    """So many integers, of which so many are different."""
    return np.arange(count) % different + 25


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (measured(104, 21), None),  # not quite five of each
        (measured(105, 21), 21),
        (measured(442, 214), None),  # scikit-learn's diabetes, rounded
        (measured(40, 20), 20),
        (measured(6, 6), 6),
    ],
)
def test_targets_that_are_evidently_numbers_are_refused(labels, classes):
    if classes:
        assert build(np.zeros((labels.size, 1)), labels).classes == classes
        return
    fault = rf"{len(set(labels))} different labels for {labels.size} training examples; these look"
    with pytest.raises(DataError, match=fault):
        build(np.zeros((labels.size, 1)), labels)


WHOLE = np.array([[0, 3], [128, 255], [7, 9]])


@pytest.mark.parametrize("dtype", ["int64", "uint16", ">i4", "float16", "float32", "float64"])
def test_pixels_are_scaled_alike_whatever_their_dtype(dtype):
    pixels = build(WHOLE.astype("uint8"))
    with pytest.warns(DataWarning, match="whole numbers from 0 to 255 are taken for 8-bit"):
        found = build(WHOLE.astype(dtype))
    assert found.train_inputs.dtype == np.uint8
    assert found.scale == 1 / 256
    assert found.sha256() == pixels.sha256()


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        (WHOLE.clip(0, 127), None),  # counts
        (WHOLE > 5, None),  # yes or no
        (WHOLE / 256, None),
        (WHOLE - 1, "run from -1 to 254"),
        (WHOLE + 1, "run from 1 to 256"),
        (WHOLE * 257, "run from 0 to 65535"),
        (WHOLE + 0.5, "run from 0.5 to 255.5"),
        (-WHOLE, "run from -255 to 0"),
    ],
)
def test_other_numbers_are_taken_as_they_are_and_large_ones_told(inputs, told):
    if told:
        with pytest.warns(DataWarning, match=f"example: the inputs {told}, .* standardise"):
            dataset = build(inputs)
    else:
        dataset = build(inputs)
    assert dataset.scale is None
    assert dataset.train_inputs.tolist() == inputs.tolist()


@pytest.mark.parametrize("largest", [1, 16, 127])
def test_bytes_that_are_small_for_pixels_are_told(largest):
    """Of four bits, counts, or yes and no: they train badly as pixels of eight."""
    pixels = np.full((3, 2), largest, np.uint8)
    with pytest.warns(
        DataWarning, match=f"worth 0.00390625 times .* run to {largest} alone; .* save"
    ):
        assert build(pixels).scale == 1 / 256
    source = Source("example", (pixels + 128, LABELS), (pixels, LABELS))
    assert build_dataset(source).scale == 1 / 256
    assert build_dataset(replace(source, train=source.test, pixel_scale=1.0)).scale == 1.0


def test_all_parts_are_pixels_or_none():
    train, test = (WHOLE, LABELS), (WHOLE[:1] / 2, LABELS[:1])
    with pytest.warns(DataWarning, match="standardise"):
        dataset = build_dataset(Source("example", train, test))
    assert dataset.scale is None
    assert dataset.test_inputs.tolist() == (WHOLE[:1] / 2).tolist()
    dataset = build_dataset(Source("example", (WHOLE.astype("uint8"), LABELS), (WHOLE, LABELS)))
    assert dataset.scale == 1 / 256
    assert dataset.test_inputs.tolist() == WHOLE.tolist()


def test_more_rows_than_are_looked_at_together(monkeypatch):
    """The last block's rows are converted, and looked at, too."""
    monkeypatch.setattr(conversion, "BLOCK", 2)
    values = np.arange(10.0).reshape(5, 2)
    assert as_bytes(values).tolist() == values.tolist()
    assert as_bytes(values / 256, 1 / 256).tolist() == values.tolist()
    for row in range(5):
        for value in (0.5, -1, 256, 1e30):
            other = values.copy()
            other[row, 1] = value
            assert as_bytes(other) is None
            assert as_bytes(other / 256, 1 / 256) is None


@pytest.mark.filterwarnings("ignore::pluggable_mlp.data.DataWarning")
@settings(max_examples=200)
@given(st.data())
def test_any_arrays_give_a_data_set_or_an_error(check_rules, data):
    dtypes = st.sampled_from(["u1", "<f4", ">f8", "i8", "u8", "?", "f2", "S2", "U1", "c8", "M8[s]"])
    shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
    inputs, labels, test_inputs, test_labels = (
        data.draw(hnp.arrays(data.draw(dtypes), data.draw(shapes))) for _ in range(4)
    )
    try:
        dataset = build_dataset(Source("example", (inputs, labels), (test_inputs, test_labels)))
    except DataError:
        return
    check_rules(dataset)
