"""Pickles that are not MNIST's: none runs anything, none takes much memory, each is an error."""

import os
import pickle
import struct
import sys

import numpy as np
import pytest

from pluggable_mlp.data import DataError
from pluggable_mlp.data.arrays import read_arrays as read_source
from tests.together import together

RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"
NEW_ARRAY = RECONSTRUCT + b"cnumpy\nndarray\nK\0\x85U\1b\x87R"
FLOAT32 = b"cnumpy\ndtype\nU\2f4K\0K\1\x87R(K\3U\1<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"


@pytest.fixture
def read_arrays(tmp_path):
    """Read a pickle of three pairs; return them."""

    def read_bytes(data):
        path = tmp_path / "file.pkl"
        path.write_bytes(data)
        return list(read_source(str(path)).splits.values())

    return read_bytes


@together("protocol", [3, 4])
@together("dtype", ["<f4", ">f8", "i8", "u1", ">i2", "u8"])
@together("make", [np.ascontiguousarray, np.asfortranarray])
def test_arrays_of_python_3_are_read(read_arrays, protocol, dtype, make):
    array = make(100 - np.arange(6).reshape(2, 3).astype(dtype))
    content = ((array, array), [array, np.zeros(0, dtype)], (array, array))
    pairs = read_arrays(pickle.dumps(content, protocol))
    np.testing.assert_array_equal(pairs[0].inputs, array, strict=True)
    np.testing.assert_array_equal(pairs[1].inputs, array, strict=True)
    assert pairs[1].targets.shape == (0,)


TWO_FLOATS = b"U\x08" + struct.pack("<2f", 0.5, -2.0)


def array_of_python_2(shape=b"K\2K\1\x86", data=TWO_FLOATS):
    """The bytes that Python 2's cPickle writes for a float32 array, without the memo."""
    return NEW_ARRAY + b"(K\1" + shape + FLOAT32 + b"\x89" + data + b"tb"


def three_pairs(array):
    """Three pairs of an array of which these are the bytes, the pair without a memo, too."""
    return (array + array + b"\x86") * 3 + b"\x87"


def test_an_array_of_python_2_is_read(read_arrays):
    data = b"\x80\2" + array_of_python_2() + b"."
    np.testing.assert_array_equal(pickle.loads(data, encoding="latin1"), [[0.5], [-2.0]])
    for pair in read_arrays(b"\x80\2" + three_pairs(array_of_python_2()) + b"."):
        for array in pair:
            np.testing.assert_array_equal(array, np.float32([[0.5], [-2.0]]), strict=True)


class Hostile:
    """What it leaves behind when it is unpickled is a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (self.path,))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_hostile_pickle_does_not_run(read_arrays, tmp_path, protocol):
    trap = str(tmp_path / "trap")
    data = pickle.dumps(Hostile(trap), protocol)
    with pytest.raises(
        DataError, match=r"file\.pkl: is not a pickle of three pairs of NumPy arrays"
    ):
        read_arrays(data)
    assert not os.path.exists(trap)
    pickle.loads(data)  # the trap works
    assert os.path.exists(trap)


@pytest.mark.parametrize(
    "name",
    [
        b"os\nsystem",
        b"builtins\neval",
        b"numpy\nload",
        b"numpy\nndarray.tofile",
        b"numpy.core.multiarray\nfromfile",
        b"numpy\n_reconstruct",
        b"numpy.ma.core\nMaskedArray",
        b"_codecs\nencode",
        b"sys\nmodules",
    ],
)
def test_every_other_name_is_refused(read_arrays, name):
    with pytest.raises(DataError, match="which is refused") as caught:
        read_arrays(b"\x80\2c" + name + b"\n.")
    assert repr(name.decode().replace("\n", ".")) in str(caught.value)
    module, _, attribute = name.partition(b"\n")
    with pytest.raises(DataError, match="which is refused"):
        read_arrays(
            b"\x80\4\x8c%c%b\x8c%c%b\x93." % (len(module), module, len(attribute), attribute)
        )


def test_a_refused_module_is_not_imported(read_arrays):
    assert "antigravity" not in sys.modules
    with pytest.raises(DataError, match=r"antigravity\.x"):
        read_arrays(b"\x80\2cantigravity\nx\n.")
    assert "antigravity" not in sys.modules


GOOD = array_of_python_2()


@together(
    "data, fault",
    [
        (b"", "is not a pickle"),
        (b"\x80\2N", "is not a pickle"),
        (b"\x80\2N.", "a NoneType stands where 3 items are expected"),
        (GOOD + b".", "stands where 3 items are expected"),
        (GOOD * 3 + b"\x87.", "stands where 2 items are expected"),
        (three_pairs(GOOD) + b".x", "bytes follow"),
        (three_pairs(b"N") + b".", "a NoneType stands where an array is expected"),
        (three_pairs(GOOD + b"\x85") + b".", "a tuple stands where an array is expected"),
        (array_of_python_2(shape=b"K\3K\1\x86") + b".", "an array has 2 entries, which its shape"),
        (array_of_python_2(shape=b"J\xff\xff\xff\xffK\1\x86") + b".", "an array has 2 entries"),
        (array_of_python_2(shape=b"]") + b".", "proper shape"),
        (array_of_python_2(data=b"U\3abc") + b".", "is not a pickle"),
        (array_of_python_2(data=b"K\1") + b".", "bytes-like"),
        (array_of_python_2(data=b"]") + b".", "bytes-like"),
        (array_of_python_2(data=b"X\3\0\0\0\xe2\x82\xac") + b".", "bytes-like"),
        (three_pairs(NEW_ARRAY) + b".", "stands where an array is expected"),
        (three_pairs(FLOAT32) + b".", "a _DType stands where an array is expected"),
        (three_pairs(b"cnumpy\nndarray\n") + b".", "a type stands where an array is expected"),
        (FLOAT32.replace(b"f4", b"O8") + b".", "not one of numbers"),
        (FLOAT32.replace(b"f4", b"V4") + b".", "not one of numbers"),
        (RECONSTRUCT + b"cnumpy\ndtype\nK\0\x85U\1b\x87R.", "a class of its own"),
        (b"K\1)R.", "not callable"),
        (b"K\1K\2R.", "is not a pickle"),
        (RECONSTRUCT + b"K\1b.", "is not a pickle"),
        (RECONSTRUCT + b"NN\x86b.", "3 items"),
        (b"cnumpy\nndarray\nNb.", "__setstate__"),
        (b"cnumpy\nndarray\n}b.", "is not a pickle"),  # a dictionary
        (b"cnumpy\nndarray\n)\x81.", "is not a pickle"),  # NEWOBJ
        (b"(cnumpy\nndarray\no.", "is not a pickle"),  # OBJ
        (b"(inumpy\nndarray\n.", "is not a pickle"),  # INST
        (b"Pelsewhere\n.", "is not a pickle"),
        (b"K\1Q.", "is not a pickle"),
        (b"\x8f(K\1\x90.", "is not a pickle"),  # sets
        (b"(K\1\x91.", "is not a pickle"),
        (b"NNa.", "append"),
        (b"t.", "is not a pickle"),
        (b"R.", "is not a pickle"),
        (b"h\5.", "is not a pickle"),
        (b"\x82\1.", "is not a pickle"),  # an extension
        (b"Sos\n.", "is not a pickle"),
        (b"(dp0\n.", "is not a pickle"),
        (b"c" + b"x" * 10_000, "is not a pickle"),
    ],
)
def test_other_pickles_are_refused(read_arrays, data, fault):
    with pytest.raises(DataError) as caught:
        read_arrays(data)
    assert fault in str(caught.value)
    assert "file.pkl: " in str(caught.value)


DOUBLED = b"".join(b"q%ch%c\x86" % (k, k) for k in range(200))
LAUGHS = b"K\1" + DOUBLED
"""A tuple that holds twice what holds twice ...: 2**200 items to print, compare or hash."""


@pytest.mark.parametrize(
    "data",
    [
        b"N" * 10_002 + b".",
        b"Nr\xff\xff\xff\x7f.",  # a memo of 2**31 entries
        array_of_python_2() + b"r\0\0\x40\0.",  # a memo of 2**22 entries
        b"T\xff\xff\xff\x7f.",  # a string of 2**31 bytes
        b"B\xff\xff\xff\xff.",
        b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"\x8e" + struct.pack("<Q", 2**60) + b".",
        b"\x80\4\x95" + struct.pack("<Q", 2**60) + b"N.",  # a frame
        b"Np2147483647\n.",
        b"\x8b\xff\xff\xff\x7f.",  # an integer of 2**31 bytes
        LAUGHS + b".",
        array_of_python_2() + DOUBLED + b".",
        b"cnumpy\ndtype\n" + LAUGHS + b"\x85R.",
        b"cnumpy\ndtype\n" + LAUGHS + b"R.",
        LAUGHS + b")R.",
        NEW_ARRAY + LAUGHS + b"b.",
        NEW_ARRAY + b"(K\1" + LAUGHS + FLOAT32 + b"\x89U\0tb.",
        NEW_ARRAY + b"(K\1" + b"K\0\x85" + FLOAT32 + b"\x89" + LAUGHS + b"tb.",
        b"cnumpy\ndtype\nU\2f4\x85R(K\3" + LAUGHS + b"tb.",
        b"]q\0(" + b"h\0" * 1000 + b"e.",  # a list of itself
        b"}" + LAUGHS + b"Ns.",  # a key, which would be hashed
        b"\x8f(" + LAUGHS + b"\x90.",
        b"(" + LAUGHS + b"Nd.",
    ],
)
def test_a_small_pickle_takes_little_memory_and_time(read_arrays, peak_memory, data):
    def refuse():
        with pytest.raises(DataError):
            read_arrays(data)

    assert peak_memory(refuse) < 2**21


@pytest.mark.parametrize("axes", [0, 1, 4, 5, 40])
def test_an_array_has_at_most_four_axes(read_arrays, axes):
    data = array_of_python_2(b"(" + b"K\1" * axes + b"t", b"U\4" + struct.pack("<f", 0.3))
    if axes <= 4:
        assert read_arrays(three_pairs(data) + b".")[0].inputs.shape == (1,) * axes
    else:
        with pytest.raises(DataError, match="no proper shape"):
            read_arrays(three_pairs(data) + b".")


@pytest.mark.parametrize("depth", [10, 1_000, 4_000])
def test_deep_nesting_is_refused(read_arrays, depth):
    with pytest.raises(DataError, match="is not a pickle"):
        read_arrays(array_of_python_2() + b"\x85" * depth + b".")
    with pytest.raises(DataError, match="is not a pickle"):
        read_arrays(b"(" * depth + array_of_python_2() + b"t" * depth + b"a.")
