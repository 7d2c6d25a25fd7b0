"""`ElementwiseKernel` of the simulated CuPy: as strict as the real one, and as C++ is read."""

import numpy as np
import pytest

from tests.simulated_cupy import SimulatedCupyBackend, counting, cupy

pytestmark = pytest.mark.simulated_cupy

CUPY = SimulatedCupyBackend()


def array(data, dtype="float32"):
    return CUPY.asarray(data, dtype=dtype)


def kernel(inputs, outputs, *lines, **settings):
    return cupy.ElementwiseKernel(inputs, outputs, "\n".join(lines), "tried", **settings)


def test_a_kernel_is_one_launch_that_broadcasts():
    twice = kernel("float32 x, float32 y", "float32 z", "const float32 t0 = x * y;", "z = t0;")
    x, y = array([[1.0], [2.0]]), array([3.0, 4.0, 5.0])
    with counting() as counts:
        found = twice(x, y)
    assert found.get().tolist() == [[3.0, 4.0, 5.0], [6.0, 8.0, 10.0]]
    assert counts.launches.total() == 1
    assert not counts.waits


def test_it_flushes_as_an_operation_does():
    denormal = array([2.0**-130])
    same, product = kernel("float32 x", "float32 y, float32 z", "y = x;", "z = x * float32(1.0);")(
        denormal
    )
    assert same.get().tolist() == [2.0**-130]
    assert product.get().tolist() == [0.0]


def test_arguments_are_of_the_dtypes_that_it_names():
    same = kernel("float32 x", "float32 y", "y = x;")
    with pytest.raises(TypeError, match="is given float64"):
        same(array([1.0], "float64"))
    with pytest.raises(TypeError, match="Unsupported type"):
        same(np.ones(1, "float32"))


@pytest.mark.parametrize(
    "line",
    [
        "const float32 t0 = x * float64(0.5);",
        "const float32 t0 = float64(x);",
        "const bool t0 = x;",
    ],
)
def test_nothing_is_converted_without_a_word(line):
    with pytest.raises(AssertionError):
        kernel("float32 x", "float32 y", line, "y = t0;")(array([1.0]))


def test_ranges_of_the_index_are_parts_with_linear_arguments():
    parts = kernel(
        "int64 begin0, int64 end0, raw float32 a, int64 begin1, int64 end1, raw float32 b",
        "raw float32 y, raw float32 z",
        *("if (i >= begin0 && i < end0) {", "const int64 j = i - begin0;", "y[j] = a[j];", "}"),
        *("if (i >= begin1 && i < end1) {", "const int64 j = i - begin1;", "z[j] = -b[0];", "}"),
    )
    y, z = cupy.empty((2, 2), dtype="float32"), cupy.empty((3,), dtype="float32")
    parts(0, 4, array([[1.0, 2.0], [3.0, 4.0]]).T, 4, 7, array(5.0), y, z, size=7)
    assert y.get().tolist() == [[1.0, 3.0], [2.0, 4.0]]
    assert z.get().tolist() == [-5.0] * 3
