"""The classic MNIST pickle; hostile ones are in test_hostile_pickles.py."""

import gzip
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pluggable_mlp.data import DataError
from pluggable_mlp.data.arrays import read_arrays
from pluggable_mlp.data.build import build_dataset

PIXELS = np.array([[0, 1, 255], [128, 7, 9], [3, 200, 90], [14, 15, 254]], dtype=np.uint8)
LABELS = np.array([1, 0, 2, 1])


INPUTS = PIXELS / np.float32(256)


def parts(inputs=INPUTS, labels=LABELS):
    return (inputs, labels), (inputs[:2], labels[:2]), (inputs[2:], labels[2:])


@pytest.fixture(scope="session")
def read(scratch):
    def read_bytes(data):
        path = scratch / "mnist.pkl.gz"
        path.write_bytes(data)
        return build_dataset(read_arrays(str(path)))

    return read_bytes


@pytest.mark.parametrize("dtype", [np.float32, np.float64, ">f4"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_pixels_over_256_become_pixels_again(read, check_rules, dtype, pack):
    dataset = read(pack(pickle.dumps(parts((PIXELS / 256).astype(dtype)), 4)))
    check_rules(dataset)
    assert dataset.scale == 1 / 256
    assert dataset.outputs == 3
    np.testing.assert_array_equal(dataset.train.inputs, PIXELS, strict=True)
    np.testing.assert_array_equal(dataset.splits["validation"].inputs, PIXELS[:2], strict=True)
    np.testing.assert_array_equal(dataset.test.inputs, PIXELS[2:], strict=True)
    np.testing.assert_array_equal(dataset.train.targets, LABELS, strict=True)
    np.testing.assert_array_equal(dataset.splits["validation"].targets, LABELS[:2], strict=True)
    np.testing.assert_array_equal(dataset.test.targets, LABELS[2:], strict=True)


def test_pixels_stay_pixels(read, check_rules):
    dataset = read(pickle.dumps(parts(PIXELS), 3))
    check_rules(dataset)
    np.testing.assert_array_equal(dataset.train.inputs, PIXELS, strict=True)
    assert dataset.scale == 1 / 256


@pytest.mark.filterwarnings("ignore::pluggable_mlp.data.DataWarning")
@pytest.mark.parametrize("value", [1 / 512, 1.0, -1 / 256, np.nextafter(np.float32(0.5), 1), 1e30])
@pytest.mark.parametrize("place", [(0, 0), (3, 2)])
def test_other_floats_are_kept(read, check_rules, value, place):
    inputs = PIXELS / np.float32(256)
    inputs[place] = value
    dataset = read(pickle.dumps(parts(inputs), 4))
    check_rules(dataset)
    assert dataset.scale is None
    np.testing.assert_array_equal(dataset.train.inputs, inputs, strict=True)
    np.testing.assert_array_equal(dataset.splits["validation"].inputs, inputs[:2], strict=True)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_infinite_numbers_and_nan_are_refused(read, value):
    inputs = PIXELS / np.float32(256)
    inputs[1, 2] = value
    with pytest.raises(DataError, match="feature 2 of example 1 of the train inputs is "):
        read(pickle.dumps(parts(inputs), 4))


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (parts()[:2], "3 items are expected"),
        (parts()[0], "3 items are expected"),
        (PIXELS, "3 items are expected"),
        ((*parts(), parts()[0]), "3 items are expected"),
        ((parts()[0], parts()[1], (PIXELS,)), "2 items are expected"),
        (parts(labels=LABELS[:3]), "the train inputs have shape (4, 3), the labels (3,)"),
        (parts(labels=LABELS / 4), "not a whole number"),
        (parts(PIXELS[:, 0]), "shape"),
        ((parts()[0], parts()[1], (PIXELS[:, :2], LABELS)), "test inputs have 2 features"),
        (
            tuple((x.astype(object), y) for x, y in parts()),
            "not a pickle of three pairs of NumPy arrays",
        ),
        ({"train": parts()[0]}, "not a pickle of three pairs of NumPy arrays"),
    ],
)
def test_inconsistent_arrays_are_refused(read, content, fault):
    with pytest.raises(DataError, match=r"mnist\.pkl\.gz: ") as caught:
        read(pickle.dumps(content, 4))
    assert fault in str(caught.value)


examples = settings(max_examples=250)
VALID = pickle.dumps(parts(), 4)


@examples
@given(st.integers(0, len(VALID) - 1), st.booleans())
def test_truncation_anywhere_is_a_fault(read, keep, compress):
    data = gzip.compress(VALID, mtime=0) if compress else VALID
    with pytest.raises(DataError, match=r"mnist\.pkl\.gz"):
        read(data[: keep % len(data)])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pluggable_mlp.data.DataWarning")
@examples
@given(
    st.lists(st.tuples(st.integers(0, len(VALID)), st.integers(1, 255)), min_size=1, max_size=4),
    st.booleans(),
)
def test_changed_bytes_give_a_fault_or_other_valid_data(read, data_or_fault, changes, compress):
    data = bytearray(gzip.compress(VALID, mtime=0) if compress else VALID)
    for place, change in changes:
        data[place % len(data)] ^= change
    data_or_fault(lambda: read(bytes(data)), "mnist.pkl.gz")


@examples
@given(
    st.lists(
        st.sampled_from([bytes([k]) for k in range(256)] + [VALID[15:95], b"K\1", b"\x8c\2f4"])
    )
)
def test_random_operations_are_a_fault(read, parts):
    with pytest.raises(DataError):
        read(b"\x80\4" + b"".join(parts) + b".")


@pytest.mark.slow
def test_the_published_file(real_data, check_rules):
    dataset = build_dataset(read_arrays(str(real_data / "mnist.pkl.gz")))
    check_rules(dataset)
    assert dataset.train.inputs.shape == (50_000, 784)
    assert dataset.splits["validation"].inputs.shape == dataset.test.inputs.shape == (10_000, 784)
    assert (dataset.scale, dataset.outputs) == (1 / 256, 10)
    assert dataset.train.targets[:5].tolist() == [5, 0, 4, 1, 9]
    assert dataset.test.targets[:5].tolist() == [7, 2, 1, 0, 4]
    # MNIST's mean pixel is 0.1307 of 255, a figure known from every data loader.
    assert abs(dataset.train.inputs.mean() / 255 - 0.1307) < 0.001
