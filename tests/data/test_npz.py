"""NumPy's .npz."""

import io
import zipfile

import numpy as np
import pytest

from pluggable_mlp.data import DataError
from pluggable_mlp.data.arrays import read_arrays
from pluggable_mlp.data.build import build_dataset
from pluggable_mlp.options import DataOptions

X = np.arange(42, dtype=np.float64).reshape(14, 3) / 4 - 5
Y = np.arange(14) % 3

CLASSES = DataOptions("table.npz", task="classification")


def npz(compress=False, **arrays):
    stream = io.BytesIO()
    (np.savez_compressed if compress else np.savez)(stream, **arrays)
    return stream.getvalue()


@pytest.fixture(scope="session")
def read(scratch):
    def read_bytes(data):
        path = scratch / "table.npz"
        path.write_bytes(data)
        return read_arrays(str(path))

    return read_bytes


def check_is_all_of_it(source, dtype):
    inputs, labels = source["train"]
    assert inputs.dtype == np.dtype(dtype)
    assert inputs.tolist() == X.tolist()
    assert labels.tolist() == Y.tolist()
    assert list(source) == ["train"]


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npz_is_read_as_it_is(read, check_rules, compress, dtype, order):
    source = read(npz(compress, X=X.astype(dtype, order=order), y=Y))
    check_is_all_of_it(source, dtype)
    dataset = build_dataset(source, CLASSES)
    check_rules(dataset)
    assert dataset.train.inputs.dtype == np.dtype(dtype).newbyteorder("=")
    assert dataset.train.inputs.flags.c_contiguous
    assert (dataset.scale, dataset.outputs, [*dataset.splits]) == (None, 3, ["train", "test"])
    assert (dataset.train.inputs.shape, dataset.test.inputs.shape) == ((12, 3), (2, 3))


def test_npz_of_bytes_holds_pixels(read, check_rules):
    images = np.arange(200, 200 + 14 * 4, dtype=np.uint8).reshape(14, 2, 2)
    dataset = build_dataset(read(npz(X=images, y=Y, X_test=images, y_test=Y)), CLASSES)
    check_rules(dataset)
    assert dataset.scale == 1 / 256
    assert dataset.train.inputs.tolist() == images.reshape(14, 4).tolist()


def zipped(method=zipfile.ZIP_STORED, **members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return stream.getvalue()


def npy(array):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asarray(array))
    return stream.getvalue()


def npy_that_claims(shape):
    stream = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + X.tobytes()


NAN = np.where(np.arange(42).reshape(14, 3) == 7, np.nan, X)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "not a readable .npz"),
        (npy(X), "not a readable .npz file: File is not a zip file"),
        (npz(X=X), "has no y; it has X"),
        (npz(X=X, y=Y, X_test=X), "has no y_test"),
        (zipped(), "has no X"),
        (npz(inputs=X, targets=Y), "has no X; it has inputs, targets"),
        (npz(X=X.astype(object), y=Y), "not a readable .npz file: Object arrays"),
        (zipped(X=npy(X)[:-1], y=npy(Y)), "not a readable .npz"),
        (zipped(X=npy_that_claims((2**40, 3)), y=npy(Y)), "not a readable .npz"),
        (npz(X=np.float64(1), y=Y), "the train inputs have shape ()"),
        (npz(X=X[:5], y=Y), "shape (5, 3), the targets (14,)"),
        (npz(X=X[:, 0], y=Y), "shape (14,)"),
        (npz(X=X, y=np.eye(3)[Y]), "of one-hot rows y.argmax(axis=1)"),
        (npz(X=NAN, y=Y), "feature 1 of example 2 of the train inputs is nan"),
        (npz(X=X, y=Y, X_test=np.full((14, 3), -np.inf), y_test=Y), "of the test inputs is -inf"),
    ],
)
def test_a_bad_npz_is_named_with_its_fault(read, data, fault):
    with pytest.raises(DataError, match=r"table\.npz: ") as caught:
        build_dataset(read(data), CLASSES)
    assert fault in str(caught.value)


def test_every_pair_is_a_split(read):
    pairs = {"X": X, "y": Y, "X_validation": X[:3], "y_validation": Y[:3]}
    source = read(npz(**pairs, X_test=X[3:5], y_test=Y[3:5]))
    assert {part: split.targets.tolist() for part, split in source.items()} == {
        "train": Y.tolist(),
        "test": Y[3:5].tolist(),
        "validation": Y[:3].tolist(),
    }
    assert read(npz(**pairs)).keys() == {"train", "validation"}
    assert build_dataset(read(npz(**pairs)), CLASSES).splits.keys() == {
        "train",
        "test",
        "validation",
    }
    with pytest.raises(DataError, match="has no y_validation"):
        read(npz(X=X, y=Y, X_validation=X))
