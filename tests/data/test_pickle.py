"""The classic pickle of MNIST: what it becomes, and pickles that are damaged or hostile."""

import gzip
import os
import pickle
import struct
import sys

import numpy as np
import pytest

from pluggable_mlp.data import DataError
from pluggable_mlp.data.arrays import read_arrays
from pluggable_mlp.data.build import build_dataset
from pluggable_mlp.options import DataOptions

PIXELS = np.array([[0, 1, 255], [128, 7, 9], [3, 200, 90], [14, 15, 254]], dtype=np.uint8)
LABELS = np.array([1, 0, 2, 1])
INPUTS = PIXELS / np.float32(256)


def parts(inputs=INPUTS, labels=LABELS):
    return (inputs, labels), (inputs[:2], labels[:2]), (inputs[2:], labels[2:])


@pytest.fixture(scope="session")
def path(scratch):
    return scratch / "mnist.pkl.gz"


@pytest.fixture(scope="session")
def pairs_of(path):
    """Read the bytes of a pickle: its pairs."""

    def read_bytes(data):
        path.write_bytes(data)
        return read_arrays(str(path))

    return read_bytes


@pytest.fixture(scope="session")
def read(path, pairs_of):
    options = DataOptions(str(path), task="classification")
    return lambda data: build_dataset(pairs_of(data), options)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, ">f4", np.uint8])
@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_pixels_over_256_become_pixels_again(read, check_rules, dtype, protocol, pack):
    inputs = PIXELS if dtype == np.uint8 else (PIXELS / 256).astype(dtype)
    dataset = read(pack(pickle.dumps(parts(inputs), protocol)))
    check_rules(dataset)
    assert (dataset.scale, dataset.outputs) == (1 / 256, 3)
    for part, rows in (("train", slice(4)), ("validation", slice(2)), ("test", slice(2, 4))):
        np.testing.assert_array_equal(dataset.splits[part].inputs, PIXELS[rows], strict=True)
        np.testing.assert_array_equal(dataset.splits[part].targets, LABELS[rows], strict=True)


@pytest.mark.parametrize("dtype", ["<f4", ">f8", "i8", "u1", ">i2", "u8"])
@pytest.mark.parametrize("make", [np.ascontiguousarray, np.asfortranarray])
def test_arrays_keep_their_dtype_and_order(pairs_of, dtype, make):
    array = make(100 - np.arange(6).reshape(2, 3).astype(dtype))
    for split in pairs_of(pickle.dumps([(array, array)] * 3)).values():
        for found in split:
            np.testing.assert_array_equal(found, array, strict=True)


NEW_ARRAY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\1b\x87R"
FLOAT32 = b"cnumpy\ndtype\nU\2f4K\0K\1\x87R(K\3U\1<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
TWO_FLOATS = b"U\x08" + struct.pack("<2f", 0.5, -2.0)


def array_of_python_2(shape=b"K\2K\1\x86", kind=FLOAT32, data=TWO_FLOATS):
    """The bytes that Python 2's cPickle writes for a float32 array, without the memo."""
    return NEW_ARRAY + b"(K\1" + shape + kind + b"\x89" + data + b"tb"


def three_pairs(array):
    """A whole pickle of three pairs of an array."""
    return b"\x80\2" + (array + array + b"\x86") * 3 + b"\x87."


def test_an_array_of_python_2_is_read(pairs_of):
    array = array_of_python_2()
    np.testing.assert_array_equal(pickle.loads(array + b".", encoding="latin1"), [[0.5], [-2.0]])
    for split in pairs_of(three_pairs(array)).values():
        np.testing.assert_array_equal(split.inputs, np.float32([[0.5], [-2.0]]), strict=True)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (parts()[:2], "it has 2 pairs"),
        ((parts()[0], parts()[1], (PIXELS,)), "not a pickle of three pairs"),
        (parts(labels=LABELS[:3]), "the train inputs have shape (4, 3), the targets (3,)"),
        ((parts()[0], parts()[1], (PIXELS[:, :2], LABELS)), "the test examples have 2 features"),
        (parts(PIXELS.astype(object)), "not one of numbers"),
        ({"train": parts()[0]}, "not a pickle of three pairs"),
    ],
)
def test_other_contents_are_refused(read, content, fault):
    with pytest.raises(DataError, match=r"mnist\.pkl\.gz: ") as caught:
        read(pickle.dumps(content, 4))
    assert fault in str(caught.value)


class Hostile:
    """What it leaves behind when it is unpickled is a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (self.path,))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_hostile_pickle_does_not_run(read, tmp_path, protocol):
    trap = str(tmp_path / "trap")
    data = pickle.dumps(Hostile(trap), protocol)
    with pytest.raises(DataError, match="is not a pickle of three pairs of NumPy arrays"):
        read(data)
    assert not os.path.exists(trap)
    pickle.loads(data)  # the trap works
    assert os.path.exists(trap)


@pytest.mark.parametrize(
    "name",
    [
        b"os\nsystem",
        b"builtins\neval",
        b"numpy.core.multiarray\nfromfile",
        b"antigravity\nx",
    ],
)
def test_every_other_name_is_refused_and_not_imported(read, name):
    module, _, attribute = name.partition(b"\n")
    by_stack = b"\x80\4\x8c%c%b\x8c%c%b\x93." % (len(module), module, len(attribute), attribute)
    for data in (b"\x80\2c" + name + b"\n.", by_stack):
        with pytest.raises(DataError, match="which is refused") as caught:
            read(data)
        assert repr(name.decode().replace("\n", ".")) in str(caught.value)
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    "data",
    [
        b"",
        three_pairs(b"N"),
        three_pairs(b"cnumpy\nndarray\n"),
        three_pairs(array_of_python_2(shape=b"K\3K\1\x86")),
        three_pairs(array_of_python_2(data=b"X\3\0\0\0\xe2\x82\xac")),
        three_pairs(array_of_python_2(kind=FLOAT32.replace(b"f4", b"O8"))),
        three_pairs(array_of_python_2(kind=FLOAT32.replace(b"f4", b"V4"))),
        b"Pelsewhere\n.",
        b"\x82\1.",  # an extension
        b"c" + b"x" * 10_000,
    ],
)
def test_other_pickles_are_refused(read, data):
    with pytest.raises(DataError, match=r"mnist\.pkl\.gz: is not a pickle of three pairs"):
        read(data)


LAUGHS = b"K\1" + b"".join(b"q%ch%c\x86" % (k, k) for k in range(200))
"""A tuple that holds twice what holds twice ...: 2**200 items to print."""


@pytest.mark.parametrize(
    "data",
    [
        b"Nr\xff\xff\xff\x7f.",  # a memo of 2**31 entries
        b"\x8e" + struct.pack("<Q", 2**60) + b".",
        b"\x80\4\x95" + struct.pack("<Q", 2**60) + b"N.",  # a frame
        b"cnumpy\nndarray\nJ\xff\xff\xff\x7f\x85R.",  # an array of 2**31 entries
        b"\x80\5\x96" + struct.pack("<Q", 2**30) + b".",  # a bytearray
        b"]" * 200_000 + b".",  # an empty list for each byte
        b"})" + b"2\x86" * 60 + b"Ns.",  # hashed, a key takes 2**60 steps
        LAUGHS + b".",
        b"cnumpy\ndtype\n" + LAUGHS + b"\x85R.",
        array_of_python_2(shape=LAUGHS) + b".",
    ],
)
def test_a_small_pickle_takes_little_memory_and_time(read, peak_memory, data):
    def refuse():
        with pytest.raises(DataError):
            read(data)

    assert peak_memory(refuse) < 2**21
