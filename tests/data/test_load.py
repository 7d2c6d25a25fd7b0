"""From a name or a path to the right reader; examples without targets in every format."""

import gzip
import io
import pathlib
import re

import numpy as np
import pytest

from pluggable_mlp.data import DataError, arrays, choice, load_dataset, mnist
from pluggable_mlp.data.load import load_inputs, load_source
from pluggable_mlp.data.preparation import Preparation
from pluggable_mlp.data.values import as_inputs, is_frame
from pluggable_mlp.options import DataOptions


@pytest.fixture
def called(monkeypatch):
    """Replace every reader by one that notes its name and what it was called with."""
    calls = []

    def note(name):
        return lambda *arguments: calls.append((name, *arguments))

    monkeypatch.setattr(mnist, "load_digits", note("digits"))
    monkeypatch.setattr(mnist, "load_named", note("named"))
    monkeypatch.setattr(arrays, "read_arrays", note("arrays"))
    monkeypatch.setattr(choice, "read_table", note("table"))
    return calls


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("digits", ("digits",)),
        ("mnist", ("named", "mnist")),
        ("fashion-mnist", ("named", "fashion-mnist")),
        ("a/mnist.pkl.gz", ("arrays", "a/mnist.pkl.gz")),
        ("other.PKL", ("arrays", "other.PKL")),
        ("a.npz", ("arrays", "a.npz")),
        (pathlib.Path("a.csv"), ("table", DataOptions(pathlib.Path("a.csv")), None)),
        ("a.TSV.gz", ("table", DataOptions("a.TSV.gz"), None)),
        ("a.parquet", ("table", DataOptions("a.parquet"), None)),
        (".", ("arrays", ".")),
    ],
)
def test_the_reader_is_chosen(called, spec, expected):
    load_source(DataOptions(spec))
    assert called == [expected]


@pytest.mark.parametrize("spec", ["", "minst", "MNIST", "a.txt", "a.gz", "a\0b", "x" * 5000])
def test_an_unknown_data_set_lists_the_known_ones(spec):
    with pytest.raises(DataError, match="give digits, mnist, fashion-mnist, a folder of IDX files"):
        load_dataset(spec)


@pytest.mark.parametrize("spec", ["absent.npz", "absent.csv", "absent.pkl.gz", "a\0b.npz"])
def test_an_absent_file_is_named(spec):
    with pytest.raises(DataError, match="there is no such file") as caught:
        load_dataset(spec)
    assert str(caught.value).startswith(spec)


def test_a_file_is_read_from_end_to_end(tmp_path):
    path = tmp_path / "table.npz"
    np.savez(path, X=np.arange(70)[:, None] / 100, y=np.arange(70) % 2)
    dataset = load_dataset(path)
    assert (dataset.name, dataset.train.inputs.shape) == (str(path), (60, 1))
    assert load_dataset(path, seed=0).sha256() == dataset.sha256()
    assert load_dataset(path, seed=1).sha256() != dataset.sha256()


PIXELS = np.arange(24, dtype=np.uint8).reshape(3, 2, 4)
TABLE = np.asarray([[0.5, -1.0, 2.0], [1e-3, 4.0, 7.0]])


def idx(array):
    header = b"\0\0\x08" + bytes([array.ndim])
    return header + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


def written(save, *arrays, **named):
    file = io.BytesIO()
    save(file, *arrays, **named)
    return file.getvalue()


CSV = b"a,b,c\n0.5,-1,2\n0.001,4,7\n"
HOLDING = {
    "x.npy": (written(np.save, PIXELS), PIXELS),
    "floats.npy": (written(np.save, TABLE.astype("float32")), TABLE.astype("float32")),
    "big.npy": (written(np.save, TABLE.astype(">f8")), TABLE),
    "half.npy": (written(np.save, TABLE.astype("float16")), TABLE.astype("float16")),
    "integers.npy": (written(np.save, np.asarray([[1, -2]])), np.asarray([[1, -2]])),
    "x.npz": (written(np.savez, X=TABLE, other=PIXELS), TABLE),
    "packed.npz": (written(np.savez_compressed, X=PIXELS), PIXELS),
    "x.csv": (CSV, TABLE),
    "X.CSV": (CSV, TABLE),
    "x.csv.gz": (gzip.compress(CSV), TABLE),
    "images-idx3-ubyte": (idx(PIXELS), PIXELS),
    "images-idx3-ubyte.gz": (gzip.compress(idx(PIXELS)), PIXELS),
}


@pytest.mark.parametrize("name", HOLDING)
def test_every_format_is_the_array_that_it_holds(tmp_path, name):
    content, array = HOLDING[name]
    (tmp_path / name).write_bytes(content)
    raw = load_inputs(tmp_path / name)
    if is_frame(raw):
        raw = raw.to_numpy()
    assert raw.dtype == np.dtype(array.dtype if name != "big.npy" else ">f8")
    np.testing.assert_array_equal(raw, array)
    inputs = as_inputs(name, "new", raw)
    # A file that is mapped would be changed, or could not be: a backend gets memory of its own.
    assert inputs.flags.writeable
    inputs[0, 0] = 9
    assert (tmp_path / name).read_bytes() == content


FAULTS = {
    "objects.npy": (
        written(np.save, np.asarray([[None] * 3]), allow_pickle=True),
        "Python objects in dtype",
    ),
    "several.npy": (written(np.savez, X=TABLE), "is not a readable .npy file: "),
    "short.npy": (written(np.save, TABLE)[:-1], "is not a readable .npy file: "),
    "header.npy": (b"\x93NUMPY", "is not a readable .npy file: "),
    "text.npy": (b"1,2,3\n", "is not a readable .npy file: "),
    "y.npz": (written(np.savez, y=TABLE), "has no X; it has y"),
    "words.csv": (
        b"1,1,3\n1,2,three\n",
        "column '3' holds 'three' in row 2, not a number",
    ),
    "x.txt": (b"1,2,3\n", "is not an IDX file of bytes: it begins with 31 2c"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named_with_its_file(tmp_path, name):
    content, fault = FAULTS[name]
    (tmp_path / name).write_bytes(content)
    said = rf"^{re.escape(str(tmp_path / name))}: .*{re.escape(fault)}.*; \w+"
    with pytest.raises(DataError, match=said):
        load_inputs(tmp_path / name, Preparation(3, None, (0.0, 1.0), (0, 1)))


def test_a_header_that_promises_more_than_the_file_holds_allocates_nothing(tmp_path, peak_memory):
    honest = written(np.save, np.zeros((2, 3)))
    path = tmp_path / "bomb.npy"
    path.write_bytes(honest.replace(b"(2, 3), }       ", b"(99999999, 3), }"))

    def read():
        with pytest.raises(DataError, match="is not a readable"):
            load_inputs(path)

    assert len(path.read_bytes()) == len(honest)
    assert b"99999999" in path.read_bytes()
    assert peak_memory(read) < 10**6
