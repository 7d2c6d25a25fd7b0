"""Arrays of the reproducible namespace as values: aliases, views, writing, keys, iteration."""

import copy
import math
import operator
import pickle
from contextlib import suppress
from typing import Any

import array_api_compat.numpy
import numpy as np
import pytest

from pluggable_mlp import reproducible, to_native
from pluggable_mlp.backends import Backend

pytestmark = pytest.mark.quick_on("jax:cpu")

NUMPY = reproducible(array_api_compat.numpy)
LEAST = 2.0**-126


def made(backend: Backend, values: Any, dtype: str = "float32") -> Any:
    """Return the namespace over a backend's library, and an array in it."""
    xp = reproducible(backend.xp)
    return xp, xp.asarray(backend.asarray(np.asarray(values, dtype)))


def values_of(backend: Backend, x: Any) -> np.ndarray:
    return backend.to_numpy(to_native(x))


@pytest.mark.parametrize("change", ["iadd", "isub", "imul", "itruediv"])
def test_operators_in_place_leave_aliases_and_views_alone(backend: Backend, change: str) -> None:
    values = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    xp, x = made(backend, values)
    views = [x, x[0:1, ...], x.mT, xp.reshape(x, (3, 2)), xp.asarray(x)]
    before = [values_of(backend, view).copy() for view in views]
    for view in views:
        changed = getattr(operator, change)(view, 0.75)
        assert changed is not view
    for view, expected in zip(views, before, strict=True):
        np.testing.assert_array_equal(values_of(backend, view), expected)


def test_assignment_changes_no_other_array(backend: Backend) -> None:
    xp, x = made(backend, [[1.0, 2.0], [3.0, 4.0]])
    alias, view, copy = x, x[0, ...], xp.asarray(x, copy=True)
    _, source = made(backend, [7.0, 8.0])
    x[1, ...] = source
    source[...] = 0.0
    np.testing.assert_array_equal(values_of(backend, x), [[1.0, 2.0], [7.0, 8.0]])
    assert alias is x
    view[...] = 5.0
    np.testing.assert_array_equal(values_of(backend, x), [[1.0, 2.0], [7.0, 8.0]])
    np.testing.assert_array_equal(values_of(backend, copy), [[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal(values_of(backend, view), [5.0, 5.0])


def test_assignment_forgets_what_was_known() -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    x = NUMPY.astype(NUMPY.asarray(pixels), NUMPY.float32)
    x[0, 0] = 1.0 + 2.0**-20
    expected = pixels.astype(np.float32)
    expected[0, 0] = 1.0 + 2.0**-20
    ones = NUMPY.asarray(np.eye(4, dtype=np.float32))
    np.testing.assert_array_equal(to_native(x @ ones), expected)
    np.testing.assert_array_equal(to_native(x.mT @ NUMPY.eye(3, dtype=NUMPY.float32)), expected.T)
    zeros = NUMPY.zeros((2,), dtype=NUMPY.float32)
    zeros[0] = LEAST * 1.5
    assert float(zeros[0] - LEAST) == 0.0


# Keys as functions of an array, so that each library's own NumPy oracle reads them alike.
KEYS: dict[str, Any] = {
    "integer": 1,
    "negative integer": -2,
    "integers": (2, -1),
    "slice": slice(1, 3),
    "slice past the end": slice(1, 99),
    "slice of nothing": slice(3, 1),
    "steps": (slice(None, None, 2), slice(1, None, 3)),
    "backwards": slice(None, None, -1),
    "backwards, steps, one column": (slice(3, None, -2), 2),
    "backwards on both": (slice(None, None, -1), slice(-1, 0, -2)),
    "ellipsis": (..., 1),
    "new axes": (None, slice(0, 2), None, slice(None, None, -1)),
    "everything": (),
    "mask": lambda x: x > 3.0,
    "indices": lambda x: np.asarray([2, 0, -1]),
    "indices of columns": lambda x: (slice(None), np.asarray([1, 1, 0])),
}


def key_for(name: str, x: np.ndarray, wrap: Any = lambda array: array) -> Any:
    key = KEYS[name]
    if not callable(key):
        return key
    found = key(x)
    if isinstance(found, tuple):
        return tuple(wrap(item) if isinstance(item, np.ndarray) else item for item in found)
    return wrap(found)


@pytest.mark.parametrize("name", KEYS)
def test_keys_read_and_write_what_they_do_in_numpy(backend: Backend, name: str) -> None:
    values = np.random.default_rng(4).permutation(20).reshape(4, 5).astype(np.float32)
    if name == "mask" and backend.device == "device1":
        strict = pytest.importorskip("array_api_strict")
        if strict.__version__.startswith("2.3"):
            pytest.skip("array-api-strict 2.3 takes masks on its own processor alone")
    xp, x = made(backend, values)
    key = key_for(name, values, lambda array: xp.asarray(backend.asarray(array)))
    expected = values[key_for(name, values)]
    found = values_of(backend, x[key])
    np.testing.assert_array_equal(found, expected)
    assert found.shape == expected.shape
    many = np.arange(100.0, 100.0 + expected.size, dtype=np.float32).reshape(expected.shape)
    for value, written in ((-1.0, -1.0), (many, xp.asarray(backend.asarray(many)))):
        changed, x = values.copy(), xp.asarray(backend.asarray(values))
        changed[key_for(name, values)] = value
        x[key] = written
        np.testing.assert_array_equal(values_of(backend, x), changed)


def test_a_view_backwards_is_taken_as_it_is(backend: Backend) -> None:
    values = np.asarray([[1.0, 2.0], [3.0, 4.0]], np.float32)
    x = reproducible(backend.xp).asarray(backend.xp.flip(backend.asarray(values), axis=0))
    np.testing.assert_array_equal(values_of(backend, x), values[::-1])


def test_of_values_for_one_place_the_last_stays(backend: Backend) -> None:
    xp, x = made(backend, [0.0] * 4)
    places = xp.asarray(backend.asarray(np.asarray([1, 3, 1])))
    x[places] = made(backend, [5.0, 6.0, 7.0])[1]
    np.testing.assert_array_equal(values_of(backend, x), [0.0, 7.0, 0.0, 6.0])


def test_wrong_keys_and_values_are_refused(backend: Backend) -> None:
    xp, x = made(backend, [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    whole = xp.asarray(backend.asarray(np.asarray([0, 3], np.int64)))
    keys = (2, -3, (0, 3), (..., 4), (0, 0, 0), (..., ...), 1.0, whole)
    for key in (*keys, xp.asarray([True, False, True])):
        with pytest.raises(IndexError):
            x[key]
        with pytest.raises(IndexError):
            x[key] = 0.0
    for value, error in (
        (xp.asarray([1, 2, 3]), TypeError),
        (xp.asarray([True, False, True]), TypeError),
        (True, TypeError),
        ("1", TypeError),
        (xp.zeros((2,), dtype=xp.float32), ValueError),
        (xp.zeros((1, 3), dtype=xp.float32), ValueError),
    ):
        with pytest.raises(error):
            x[0, ...] = value
    integers = xp.asarray([1, 2], dtype=xp.int8)
    with pytest.raises(OverflowError, match="300 is not in .*int8: -128 to 127"):
        integers[0] = 300
    with pytest.raises(TypeError, match="expected a scalar of its kind"):
        integers[0] = 1.0


def test_arrays_are_iterated_to_their_end(backend: Backend) -> None:
    _, x = made(backend, [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    rows = list(x)
    assert len(rows) == 3
    for row, expected in zip(rows, ([1.0, 2.0], [3.0, 4.0], [5.0, 6.0]), strict=True):
        np.testing.assert_array_equal(values_of(backend, row), expected)
    a, b = x[0]
    assert (float(a), float(b)) == (1.0, 2.0)
    with pytest.raises(TypeError, match="no axis"):
        iter(x[0, 0])


def test_arrays_are_read_backwards_and_by_integers_of_numpy(backend: Backend) -> None:
    xp, x = made(backend, [[1.0, 2.0], [3.0, 4.0]])
    assert len(x) == 2
    for row, expected in zip(reversed(x), ([3.0, 4.0], [1.0, 2.0]), strict=True):
        np.testing.assert_array_equal(values_of(backend, row), expected)
    for key in (np.int64(1), (np.uint8(1), ...), np.int32(-1)):
        np.testing.assert_array_equal(values_of(backend, x[key]), [3.0, 4.0])
    number = xp.asarray(np.float32(0.1))
    assert (number.dtype, float(number)) == (xp.float32, float(np.float32(0.1)))


@pytest.mark.parametrize("convert", [float, int, bool, complex, operator.index])
@pytest.mark.parametrize("shape", [(1,), (2, 2), (0,)])
def test_arrays_with_axes_are_no_numbers(
    backend: Backend, convert: Any, shape: tuple[int, ...]
) -> None:
    x = made(backend, np.ones(shape), "int64")[1]
    with pytest.raises(TypeError, match=rf"x is \({shape[0]}.*, expected an array without axes"):
        convert(x)


def test_arrays_without_axes_are_numbers(backend: Backend) -> None:
    x = made(backend, 2.5)[1]
    assert (float(x), int(x), complex(x), bool(x)) == (2.5, 2, 2.5, True)
    assert operator.index(made(backend, 3, "int64")[1]) == 3
    with pytest.raises(TypeError, match="x has no axis"):
        len(x)
    for wrong, dtype in ((x, "float32"), (made(backend, True, "bool")[1], "bool")):
        with pytest.raises(TypeError, match=f"x is .*{dtype}, expected an integer"):
            operator.index(wrong)


@pytest.mark.parametrize("name", ["sum", "mean", "prod", "var", "std", "max", "min"])
@pytest.mark.parametrize("dtype", ["float32", "int64"])
@pytest.mark.parametrize("axis", [(0, 0), (1, -1)])
def test_no_axis_is_named_twice(
    backend: Backend, name: str, dtype: str, axis: tuple[int, int]
) -> None:
    if dtype == "int64" and name in ("mean", "var", "std"):
        return  # of floats alone
    xp, x = made(backend, [[1, 2], [3, 4]], dtype)
    with pytest.raises(ValueError, match=rf"axis is \({axis[0]}, {axis[1]}\), which names one"):
        getattr(xp, name)(x, axis=axis)
    with pytest.raises(ValueError, match="expected each of the 2 axes"):
        xp.permute_dims(x, axis)


def test_copies_are_arrays_of_their_own_and_pickles_refused(backend: Backend) -> None:
    xp, x = made(backend, [1.0, 2.0])
    pixels = xp.astype(made(backend, [[1, 2]], "uint8")[1], xp.float32)
    for array in (x, pixels):
        for copied in (copy.copy(array), copy.deepcopy({"x": array})["x"]):
            before = values_of(backend, array)
            assert copied.__array_namespace__() is xp
            np.testing.assert_array_equal(values_of(backend, copied), before)
            copied[...] = 7.0
            np.testing.assert_array_equal(values_of(backend, array), before)
        with pytest.raises(TypeError, match=r"not pickled; pickle to_native\(x\)"):
            pickle.dumps(array)


def test_numpy_takes_a_copy_of_the_values(backend: Backend) -> None:
    xp, x = made(backend, [[1.0, math.nan], [3.0, 4.0]])
    try:
        np.asarray(to_native(x))
    except (TypeError, RuntimeError) as refusal:  # a library that moves arrays only where asked
        with pytest.raises(type(refusal)):
            np.asarray(x)
        return
    array = np.asarray(x)
    np.testing.assert_array_equal(array, [[1.0, np.nan], [3.0, 4.0]])
    assert array.dtype == np.float32
    array[0, 0] = 9.0
    assert float(x[0, 0]) == 1.0
    assert np.asarray(x, dtype=np.float64).dtype == np.float64
    integers = xp.asarray([1, 2])
    np.asarray(integers)[0] = 9
    assert int(integers[0]) == 1
    with pytest.raises(ValueError, match="copy is False"):
        np.asarray(x, copy=False)


def test_floats_of_pixels_are_a_copy(backend: Backend) -> None:
    """Refilling a buffer of pixels does not change the batch before."""
    buffer = np.arange(6, dtype=np.uint8).reshape(2, 3)
    xp = reproducible(backend.xp)
    shared = backend.asarray(buffer)
    x = xp.astype(xp.asarray(shared), xp.float32) * 2.0**-8
    expected = buffer / 256
    buffer[...] = 255
    with suppress(TypeError, ValueError):  # of libraries, and test arrays, that write nothing
        shared[...] = backend.asarray(buffer)
    np.testing.assert_array_equal(values_of(backend, x), expected)


def test_take_counts_negative_indices_from_the_end(backend: Backend) -> None:
    xp, x = made(backend, [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    places = xp.asarray(backend.asarray(np.asarray([-1, 0, -3])))
    rows = values_of(backend, xp.take(x, places, axis=0))
    np.testing.assert_array_equal(rows, [[5.0, 6.0], [1.0, 2.0], [1.0, 2.0]])
    for wrong in (3, -4):
        with pytest.raises(IndexError, match="out of bounds for axis 0 of length 3"):
            xp.take(x, xp.asarray(backend.asarray(np.asarray([0, wrong]))), axis=0)


def test_elements_are_taken_along_an_axis_within_its_bounds(backend: Backend) -> None:
    xp, x = made(backend, [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    for dtype in ("int32", "int64", "uint8"):
        places = xp.asarray(backend.asarray(np.asarray([[2], [0]], dtype)))
        np.testing.assert_array_equal(values_of(backend, xp.take_along_axis(x, places)), [[3], [4]])
    places = xp.asarray(backend.asarray(np.asarray([[-1, 0, -2]])))
    found = values_of(backend, xp.take_along_axis(x, places, axis=0))
    np.testing.assert_array_equal(found, [[4.0, 2.0, 3.0]])
    for wrong, axis, length in ((3, 1, 3), (-4, -1, 3), (2, 0, 2)):
        with pytest.raises(IndexError, match=f"index {wrong} is out of bounds .* length {length}"):
            xp.take_along_axis(x, xp.asarray(backend.asarray([[0, wrong, 0]] * 2)), axis=axis)
    for function in (xp.take, xp.take_along_axis):
        with pytest.raises(IndexError, match="axis is 2, expected one of the 2 axes"):
            function(x, xp.asarray(backend.asarray([[0]])), axis=2)
        for values in (0.0, True):
            with pytest.raises(IndexError, match="indices are .*, expected integers"):
                function(x, xp.asarray(backend.asarray([[values]])), axis=1)


@pytest.mark.parametrize("key", [(slice(10, 20), ...), (slice(10, 20), slice(None)), slice(10, 20)])
def test_slices_of_pixels_are_pixels(key):
    """So a product has the bits of the whole one, whose operands are cut otherwise than floats."""
    xp, rng = reproducible(array_api_compat.numpy), np.random.default_rng(0)
    integers = rng.integers(0, 256, (50, 300)).astype(np.uint8)
    W = rng.normal(size=(300, 40)) * np.exp(4 * rng.normal(size=(300, 40)))
    W = xp.asarray(W.astype(np.float32))  # of a range in which the difference shows
    pixels = xp.astype(xp.asarray(integers), xp.float32) * 2**-8
    whole = to_native(pixels @ W)
    np.testing.assert_array_equal(to_native(pixels[key] @ W), whole[10:20])
    floats = xp.asarray(to_native(pixels)[10:20])
    assert (to_native(floats @ W) != whole[10:20]).any()


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "divide", "pow", "maximum"])
def test_functions_of_two_numbers_ask_for_an_array(name: str) -> None:
    with pytest.raises(TypeError, match=f"{name} takes an array of the reproducible namespace"):
        getattr(NUMPY, name)(1.0, 2.0)
