"""From the host to every backend and back: nothing is lost, and nothing converted unasked."""

import re

import array_api_strict
import numpy as np
import pytest

from pluggable_mlp.arrays import library_of
from pluggable_mlp.backends.transfer import ArrayLibrary

pytestmark = [pytest.mark.as_user, pytest.mark.quick_on("jax:cpu", "numpy", "array_api_strict")]

ELSEWHERE = array_api_strict.__array_namespace_info__().devices()[-1]
"""A device that no backend of the suite has."""


def words(backend, pattern):
    """What built-in backends say; of a plug-in the contract asks for the kind of error alone."""
    return pattern if isinstance(backend, ArrayLibrary) else None


@pytest.mark.parametrize("data", [[1, 2], np.asarray([1, 2], dtype="uint8")])
def test_the_dtype_asked_for(backend, data):
    array = backend.asarray(data, dtype="float32")
    assert array.dtype == backend.xp.float32
    assert backend.to_numpy(array).tolist() == [1.0, 2.0]


@pytest.mark.parametrize("dtype", ["float33", "float16", "object", "f4"])
def test_refuses_a_dtype_that_is_not_in_the_standard(backend, dtype):
    said = f"dtype is '{dtype}': expected one of bool, int8"
    with pytest.raises(ValueError, match=words(backend, said)):
        backend.asarray([1.0], dtype=dtype)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("abc", r"data is a builtins\.str: expected a NumPy array, a number, nested lists"),
        (None, r"data is a builtins\.NoneType: expected"),
        ({1: 2}, r"data is a builtins\.dict: expected"),
        ([[1.0], ["a"]], r"data is a list that holds a builtins\.str: expected numbers"),
        (np.asarray([None]), "data has dtype object: expected one of bool"),
        (np.zeros(2, dtype="float16"), "data has dtype float16: expected one of bool"),
    ],
)
def test_refuses_data_without_numbers(backend, data, said):
    with pytest.raises(TypeError, match=words(backend, said)):
        backend.asarray(data)


@pytest.mark.parametrize(
    ("data", "dtype", "said"),
    [
        ([[1, 2], [3]], None, "an array of numbers: .*; expected .* of one length along each axis"),
        ([[1.0], 2.0], "float32", "an array of float32: .*; expected .* of one length"),
        ([np.zeros(2), np.zeros(3)], None, "an array of numbers: .* of one length"),
        ([300], "uint8", "an array of uint8: .*300.*; expected numbers that the dtype can hold"),
        (1j, "float32", "an array of float32: .*complex.*; expected numbers"),
    ],
)
def test_refuses_numbers_that_do_not_form_an_array(backend, data, dtype, said):
    with pytest.raises(ValueError, match=words(backend, f"^data cannot become {said}")):
        backend.asarray(data, dtype=dtype)


def test_refuses_an_array_of_another_library_and_names_both(backend):
    other = array_api_strict.asarray([1.0], device=ELSEWHERE)
    ours = f"this backend is {backend.name} on {backend.device}"
    if library_of(backend.xp) == "array_api_strict":
        there = re.escape(str(ELSEWHERE))
        kind, said = ValueError, f"is an array of array_api_strict on {there}, and {ours}"
    else:
        kind, said = TypeError, f"is an array of array_api_strict, and {ours}"
    with pytest.raises(kind, match=words(backend, f"^data {said}")):
        backend.asarray(other)
    with pytest.raises(kind, match=words(backend, f"^array {said}")):
        backend.to_numpy(other)
    with pytest.raises(
        TypeError, match=words(backend, r"holds a array_api_strict\..*Array: expected numbers")
    ):
        backend.asarray([other])


def test_numpy_arrays_are_refused_by_to_numpy(backend):
    if library_of(backend.xp) == "numpy":
        pytest.skip("its arrays are those of NumPy")
    said = f"array of numpy, and this backend is {backend.name}"
    with pytest.raises(TypeError, match=words(backend, said)):
        backend.to_numpy(np.ones(2))
