"""Examples without labels: every format as the array it holds, and each fault by its file."""

import gzip
import io
import re

import numpy as np
import pytest

from pluggable_mlp.data import DataError
from pluggable_mlp.data.conversion import as_inputs
from pluggable_mlp.data.unlabelled import load_inputs

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
        "is no readable .npy file: ",
    ),
    "several.npy": (written(np.savez, X=TABLE), "it holds no single array of numbers"),
    "short.npy": (written(np.save, TABLE)[:-1], "is no readable .npy file: "),
    "header.npy": (b"\x93NUMPY", "is no readable .npy file: "),
    "text.npy": (b"1,2,3\n", "is no readable .npy file: "),
    "y.npz": (written(np.savez, y=TABLE), "has no X; it has y"),
    "words.csv": (b"1,1,3\n1,2,three\n", "line 2, column 3 holds 'three'"),
    "x.txt": (b"1,2,3\n", "is no IDX file: it begins with 31 2c 32 2c"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named_with_its_file(tmp_path, name):
    content, fault = FAULTS[name]
    (tmp_path / name).write_bytes(content)
    said = rf"^{re.escape(str(tmp_path / name))}: .*{re.escape(fault)}.*; \w+"
    with pytest.raises(DataError, match=said):
        load_inputs(tmp_path / name)


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.csv", "images"])
def test_a_file_that_is_not_there(tmp_path, name):
    with pytest.raises(DataError, match=rf"{name}: there is no such file; check the path"):
        load_inputs(tmp_path / name)


def test_a_header_that_promises_more_than_the_file_holds_allocates_nothing(tmp_path, peak_memory):
    honest = written(np.save, np.zeros((2, 3)))
    path = tmp_path / "bomb.npy"
    path.write_bytes(honest.replace(b"(2, 3), }       ", b"(99999999, 3), }"))

    def read():
        with pytest.raises(DataError, match="is no readable"):
            load_inputs(path)

    assert len(path.read_bytes()) == len(honest)
    assert b"99999999" in path.read_bytes()
    assert peak_memory(read) < 10**6
