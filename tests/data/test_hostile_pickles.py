"""Pickles that are not MNIST's: none runs anything, none takes much memory, each is an error."""

import io
import os
import pickle
import pickletools
import struct
import sys

import numpy as np
import pytest

from pluggable_mlp.data import DataError, classic_pickle
from pluggable_mlp.data.classic_pickle import ADMITTED, OPERATIONS, read_pickled_arrays

RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"
NEW_ARRAY = RECONSTRUCT + b"cnumpy\nndarray\nK\0\x85U\1b\x87R"
FLOAT32 = b"cnumpy\ndtype\nU\2f4K\0K\1\x87R(K\3U\1<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"


@pytest.fixture
def read_arrays(tmp_path):
    def read_bytes(data):
        path = tmp_path / "file.pkl"
        path.write_bytes(data)
        return read_pickled_arrays(str(path))

    return read_bytes


def test_arrays_lie_at_most_two_tuples_deep(read_arrays):
    array = np.arange(3.0)
    assert read_arrays(pickle.dumps(((array,), array), 4))[0][0].tolist() == [0.0, 1.0, 2.0]
    with pytest.raises(DataError, match="holds more than a few tuples of a few arrays"):
        read_arrays(pickle.dumps((((array,),), array), 4))


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize("dtype", ["<f4", ">f8", "i8", "u1", ">i2", "u8"])
@pytest.mark.parametrize("make", [np.ascontiguousarray, np.asfortranarray])
def test_arrays_of_python_3_are_read(read_arrays, protocol, dtype, make):
    array = make(np.arange(6).reshape(2, 3).astype(dtype))
    nested = read_arrays(pickle.dumps((array, [array, np.zeros(0, dtype)]), protocol))
    np.testing.assert_array_equal(nested[0], array, strict=True)
    np.testing.assert_array_equal(nested[1][0], array, strict=True)
    assert nested[1][1].shape == (0,)


TWO_FLOATS = b"U\x08" + struct.pack("<2f", 0.5, -2.0)


def array_of_python_2(shape=b"K\2K\1\x86", data=TWO_FLOATS):
    """The bytes that Python 2's cPickle writes for a float32 array, without the memo."""
    return NEW_ARRAY + b"(K\1" + shape + FLOAT32 + b"\x89" + data + b"tb"


def test_an_array_of_python_2_is_read(read_arrays):
    data = b"\x80\2" + array_of_python_2() + b"."
    np.testing.assert_array_equal(pickle.loads(data, encoding="latin1"), [[0.5], [-2.0]])
    np.testing.assert_array_equal(read_arrays(data), np.float32([[0.5], [-2.0]]), strict=True)


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
    with pytest.raises(DataError, match=r"file\.pkl: is not a pickle of NumPy arrays"):
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


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "at most 0 can follow"),
        (b"\x80\2N", "at most 0 can follow"),
        (b"\x80\2N.", "it holds"),
        (b"\x80\2" + array_of_python_2() + b".x", "bytes follow"),
        (b"\x80\2" + array_of_python_2(shape=b"K\3K\1\x86") + b".", "(3, 1) has 2 entries"),
        (b"\x80\2" + array_of_python_2(shape=b"J\xff\xff\xff\xffK\1\x86") + b".", "proper shape"),
        (b"\x80\2" + array_of_python_2(shape=b"]") + b".", "proper shape"),
        (b"\x80\2" + array_of_python_2(data=b"U\3abc") + b".", "is not a pickle"),
        (b"\x80\2" + array_of_python_2(data=b"K\1") + b".", "is not a pickle"),
        (b"\x80\2" + array_of_python_2(data=b"]") + b".", "is not a pickle"),
        (b"\x80\2" + array_of_python_2(data=b"X\3\0\0\0\xe2\x82\xac") + b".", "bytes-like"),
        (b"\x80\2" + NEW_ARRAY + b".", "it holds"),
        (b"\x80\2" + FLOAT32 + b".", "it holds"),
        (FLOAT32.replace(b"f4", b"O8") + b".", "'O8', is not one of numbers"),
        (FLOAT32.replace(b"f4", b"V4") + b".", "'V4', is not one of numbers"),
        (b"cnumpy\nndarray\n)R.", "it holds"),
        (RECONSTRUCT + b"cnumpy\ndtype\nK\0\x85U\1b\x87R.", "a class of its own"),
        (b"K\1)R.", "not callable"),
        (b"K\1K\2R.", "must be a tuple"),
        (RECONSTRUCT + b"Nb.", "it holds"),
        (RECONSTRUCT + b"K\1b.", "not a dictionary"),
        (RECONSTRUCT + b"NN\x86b.", "not a dictionary"),
        (b"cnumpy\nndarray\nNb.", "__setstate__"),
        (b"cnumpy\nndarray\n}b.", "EMPTY_DICT"),
        (b"cnumpy\nndarray\n)\x81.", "NEWOBJ"),
        (b"(cnumpy\nndarray\no.", "OBJ"),
        (b"(inumpy\nndarray\n.", "INST"),
        (b"Pelsewhere\n.", "PERSID"),
        (b"K\1Q.", "BINPERSID"),
        (b"\x8f(K\1\x90.", "EMPTY_SET"),
        (b"(K\1\x91.", "FROZENSET"),
        (b"\x8a\1\1.", "LONG1"),
        (b"\x8b\1\0\0\0\1.", "LONG4"),
        (b"\x80\5\x96" + struct.pack("<Q", 1) + b"a.", "BYTEARRAY8"),
        (b"NNa.", "append"),
        (b"t.", "is not a pickle"),
        (b"R.", "is not a pickle"),
        (b"h\5.", "is not a pickle"),
        (b"\x82\1.", "EXT1"),
        (b"\x80\4\x97.", "NEXT_BUFFER"),
        (b"Sos\n.", "is not a pickle"),
        (b"(dp0\n.", "DICT"),
        (b"L1L\n.", "LONG"),
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
    ],
)
def test_a_small_pickle_takes_little_memory_and_time(read_arrays, peak_memory, data):
    def refuse():
        with pytest.raises(DataError):
            read_arrays(data)

    assert peak_memory(refuse) < 2**21


def test_one_string_in_many_arrays_takes_the_memory_of_one(read_arrays, peak_memory):
    first = array_of_python_2(
        b"J\0\0\4\0\x85", b"T" + struct.pack("<I", 2**20) + bytes(2**20) + b"q\0"
    )
    again = array_of_python_2(b"J\0\0\4\0\x85", b"h\0")
    arrays = read_arrays(b"(" + first + again * 5 + b"t.")
    assert [array.nbytes for array in arrays] == [2**20] * 6
    assert all(np.shares_memory(arrays[0], array) for array in arrays)

    def refuse():
        with pytest.raises(DataError, match="holds more than a few tuples of a few arrays"):
            read_arrays(b"(" + first + again * 300 + b"t.")

    assert peak_memory(refuse) < 4 * 2**20


@pytest.mark.parametrize("axes", [0, 1, 4, 5, 40])
def test_an_array_has_at_most_four_axes(read_arrays, axes):
    data = array_of_python_2(b"(" + b"K\1" * axes + b"t", b"U\4" + struct.pack("<f", 0.5)) + b"."
    if axes <= 4:
        assert read_arrays(data).shape == (1,) * axes
    else:
        with pytest.raises(DataError, match="no proper shape"):
            read_arrays(data)


def test_three_names_of_numpy_are_admitted_and_stand_for_no_object_of_numpy():
    assert {name for _, name in ADMITTED} == {"_reconstruct", "ndarray", "dtype"}
    assert {module.split(".")[0] for module, _ in ADMITTED} == {"numpy"}
    assert {found.__module__ for found in ADMITTED.values()} == {classic_pickle.__name__}


def test_persistent_objects_are_refused():
    """Its operations are refused before; this is the unpickler's own refusal."""
    unpickler = classic_pickle._ArrayUnpickler(io.BytesIO(b"Pelsewhere\n."))
    with pytest.raises(ValueError, match="stored elsewhere"):
        unpickler.load()


def test_operations_are_those_of_pickles():
    assert {operation.name for operation in pickletools.opcodes} > OPERATIONS
    unordered = {"DICT", "EMPTY_DICT", "SETITEM", "SETITEMS", "EMPTY_SET", "ADDITEMS", "FROZENSET"}
    assert not OPERATIONS & unordered, "these hash what the file builds"


@pytest.mark.parametrize("depth", [10, 1_000, 4_000])
def test_deep_nesting_is_refused(read_arrays, depth):
    with pytest.raises(DataError, match="holds more than a few tuples"):
        read_arrays(array_of_python_2() + b"\x85" * depth + b".")
    with pytest.raises(DataError, match="is not a pickle"):
        read_arrays(b"(" * depth + array_of_python_2() + b"t" * depth + b"a.")
