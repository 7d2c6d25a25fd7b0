"""Arrays of a call must be of one library and on one device, or an error names both."""

import array_api_compat.numpy
import array_api_strict as strict
import numpy as np
import pytest

from pluggable_mlp.arrays import common_namespace, dtype_name, library_of
from pluggable_mlp.namespaces.reproducible.namespace import reproducible

pytestmark = pytest.mark.quick_on("jax:cpu")


def test_the_namespace_is_the_backends_own(backend):
    a, b = backend.asarray([1.0]), backend.asarray([2])
    assert common_namespace(a=a, b=b) is common_namespace(a=a)
    assert library_of(common_namespace(a=a)) == library_of(backend.xp)


def test_arrays_of_two_libraries_are_named(backend):
    if library_of(backend.xp) == "array_api_strict":
        other, library = np.zeros(1), "numpy"
    else:
        other, library = strict.zeros(1), "array_api_strict"
    mine = library_of(backend.xp)
    message = (
        f"weights is an array of {mine}, but x is an array of {library}; "
        r"move one of them with backend\.asarray"
    )
    with pytest.raises(TypeError, match=message):
        common_namespace(weights=backend.asarray([1.0]), x=other)


def test_reproducible_arrays_of_two_libraries_are_named():
    arrays = [reproducible(xp).zeros(1) for xp in (array_api_compat.numpy, strict)]
    message = r"x is an array of reproducible\(array_api_strict\), but y is an array of reprod"
    with pytest.raises(TypeError, match=message):
        common_namespace(x=arrays[1], y=arrays[0])


@pytest.mark.parametrize(
    ("thing", "its_type"),
    [([1.0], "builtins.list"), (None, "builtins.NoneType"), ("text", "builtins.str")],
)
def test_arguments_that_are_not_arrays_are_named(thing, its_type):
    message = rf"x is a {its_type}, not an array; make one with backend\.asarray"
    with pytest.raises(TypeError, match=message):
        common_namespace(weights=np.zeros(1), x=thing)


def test_dtypes_have_their_names(backend):
    for dtype in (backend.xp.float32, backend.asarray([1.0], dtype="float32").dtype):
        assert dtype_name(dtype).split(".")[-1] == "float32"
