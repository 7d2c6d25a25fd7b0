"""From raw arrays to a data set."""

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
        DataWarning, match=f"worth 1/256 of their number, .* run to {largest} alone; .* save"
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
