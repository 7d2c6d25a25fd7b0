"""The simulated CuPy has each of the manners that its docstring names."""

import inspect
import sys

import array_api_compat
import numpy as np
import pytest

from pluggable_mlp.arrays import common_namespace
from pluggable_mlp.backends import backend_of, get_backend
from tests.simulated_cupy import SimulatedCupyBackend, counting, installed, ndarray, xp
from tests.simulated_cupy.rounding import keeping_denormals

pytestmark = pytest.mark.simulated_cupy

CUPY = SimulatedCupyBackend()
DENORMAL = np.float32(2.0**-130)


def array(data, dtype="float32"):
    return CUPY.asarray(data, dtype=dtype)


@pytest.mark.parametrize(
    "mix",
    [
        np.asarray,
        np.exp,
        np.sum,
        lambda x: np.maximum(x, 1.0),
        lambda x: x + np.ones(2),
        lambda x: np.ones(2) * x,
        lambda x: x < np.ones(2),
        lambda x: xp.maximum(x, np.ones(2)),
        lambda x: x.__setitem__(0, np.ones(1)),
    ],
)
def test_nothing_is_converted_to_numpy_or_from_it(mix):
    with pytest.raises(TypeError):
        mix(array([1.0, 2.0]))


def test_scalars_of_numpy_keep_their_dtype():
    assert (array([1.0]) * np.float64(2.0)).dtype == np.float64
    assert (np.float32(2.0) * array([1.0])).dtype == np.float32
    assert (array([1.0]) * 2.0).dtype == np.float32


def test_one_element_stays_on_the_device():
    x = array([[1.0, 2.0], [3.0, 4.0]])
    with counting() as counts:
        for one in (xp.sum(x), xp.max(x), x[1, 1], x[0][0], xp.argmax(x), xp.sum(x) + 1.0):
            assert isinstance(one, ndarray)
            assert one.shape == ()
    assert not counts.waits


@pytest.mark.parametrize(
    "read",
    [float, int, bool, range, lambda x: x.get(), lambda x: x.item(), lambda x: x.tolist()],
)
def test_reading_a_value_waits(read):
    one = xp.sum(array([1, 2], "int64"))
    with counting() as counts:
        read(one)
    assert counts.waits.total() == 1


@pytest.mark.parametrize(
    ("how", "waits"),
    [(lambda x: x[x > 1.0], 1), (xp.unique_values, 1), (xp.unique_counts, 2)],
)
def test_operations_that_depend_on_values_wait(how, waits):
    x = array([1.0, 2.0])
    with counting() as counts:
        how(x)
    assert counts.waits.total() == waits


def test_a_wait_is_reported_with_the_line_of_the_library_that_asked():
    with counting() as counts:
        CUPY.to_numpy(array([1.0]))
    source, first = inspect.getsourcelines(SimulatedCupyBackend._download)
    (said,) = counts.waits
    line = first + next(i for i, text in enumerate(source) if "asnumpy" in text)
    assert said == f"cupy.py:{line} get()"


def bits_of(x):
    return CUPY.to_numpy(x).view(np.uint32).tolist()


@pytest.mark.parametrize(
    ("operation", "flushes"),
    [
        (lambda x: x * 1.0, True),
        (lambda x: x + 0.0, True),
        (xp.abs, True),
        (lambda x: xp.maximum(x, -1.0), True),
        (lambda x: xp.sum(x, axis=0), True),
        (lambda x: xp.astype(xp.astype(x, xp.float64), xp.float32), True),
        (lambda x: xp.astype(x, xp.float32, copy=True), False),
        (lambda x: xp.take(x, array([0], "int64"), axis=0), False),
        (lambda x: xp.where(x < 1.0, x, 0.0), False),
        (lambda x: xp.concat([x, x]), False),
        (lambda x: x[x < 1.0], False),
        (lambda x: x.clip(-1.0, 1.0), False),
        (lambda x: xp.matmul(x, array(np.eye(1))), False),
    ],
)
def test_only_operations_flush_denormal_numbers(operation, flushes):
    result = CUPY.to_numpy(operation(array([[DENORMAL]])))
    assert (result.reshape(-1)[0] == 0.0) == flushes


def test_zeros_keep_the_sign_of_what_was_flushed_and_float64_is_kept():
    tiny = array([DENORMAL, -DENORMAL, 2.0**-126, 1.0])
    assert bits_of(tiny * 1.0) == [0, 1 << 31, 1 << 23, 0x3F800000]
    assert CUPY.to_numpy(tiny > 0.0).tolist() == [False, False, True, True]
    assert CUPY.to_numpy(array([2.0**-1060], "float64") * 1.0).tolist() == [2.0**-1060]


def test_reductions_keep_denormal_numbers_where_they_are_those_of_cub():
    x = array([DENORMAL, 0.0])
    for reduce in (xp.sum, xp.max):
        assert float(reduce(x)) == 0.0
        with keeping_denormals():
            assert float(reduce(x)) == DENORMAL


def test_sums_and_products_add_in_an_order_of_their_own():
    host = np.random.default_rng(0).normal(size=(50, 1000)).astype(np.float32)
    ones = np.ones((1000, 1), np.float32)
    for found, expected in (
        (xp.sum(array(host), axis=-1), np.sum(host, axis=-1)),
        (xp.matmul(array(host), array(ones)), host @ ones),
    ):
        assert np.sum(CUPY.to_numpy(found) != expected) > 25
        np.testing.assert_allclose(CUPY.to_numpy(found), expected, rtol=0.0, atol=1e-3)


@pytest.mark.parametrize(("largest", "expected"), [(True, "0.0"), (False, "-0.0")])
@pytest.mark.parametrize("values", [[0.0, -0.0], [-0.0, 0.0]])
def test_the_larger_of_two_zeros_is_the_positive_one(values, largest, expected):
    reduce, of_two = (xp.max, xp.maximum) if largest else (xp.min, xp.minimum)
    x = array(values)
    assert str(float(reduce(x))) == str(float(of_two(x[0], x[1]))) == expected
    assert of_two(x, 1.0).dtype == np.float32  # Python's numbers are weak


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_functions_are_a_unit_off_but_not_where_they_are_exact(dtype):
    x = np.linspace(0.5, 2.0, 1000).astype(dtype)
    found, expected = CUPY.to_numpy(xp.exp(array(x, dtype))), np.exp(x)
    assert 300 < np.sum(found != expected) < 700
    np.testing.assert_array_max_ulp(found, expected, maxulp=1)
    exact = array([0.0, -np.inf, np.inf], dtype)
    assert CUPY.to_numpy(xp.exp(exact)).tolist() == [1.0, 0.0, np.inf]
    root = CUPY.to_numpy(xp.sqrt(array(x, dtype)))
    np.testing.assert_array_equal(root, np.sqrt(x))  # IEEE 754 says how it rounds


def test_conversions_saturate():
    x = array([1e30, -1e30, np.nan, 2.75, -2.75], "float32")
    limits = np.iinfo(np.int64)
    found = CUPY.to_numpy(xp.astype(x, xp.int64)).tolist()
    assert found == [limits.max, limits.min, 0, 2, -2]
    assert CUPY.to_numpy(xp.astype(x[3:], xp.uint8)).tolist() == [2, 254]


def test_gathering_along_an_axis_is_six_launches():
    x, places = array([[1.0, 2.0]]), array([[1]], "int64")
    with counting() as counts:
        xp.take_along_axis(x, places, axis=1)
    assert counts.launches.total() == 6


def test_indices_wrap():
    x = array([10.0, 11.0, 12.0])
    assert CUPY.to_numpy(xp.take(x, array([3, -4, 7], "int64"))).tolist() == [10.0, 12.0, 11.0]
    assert CUPY.to_numpy(x[array([4], "int64")]).tolist() == [11.0]


def test_results_are_c_contiguous_and_a_transpose_is_a_view():
    x = array(np.ones((3, 2)))
    with counting() as counts:
        assert x.mT.strides == (4, 8)
    assert not counts.launches
    assert (x.mT + 1.0).strides == (12, 4)


def test_products_copy_what_cublas_cannot_take():
    x = array(np.ones((4, 4)))
    stacked = array(np.ones((2, 4, 4)))
    for a, launches in ((x, 1), (x.mT, 1), (x[:, ::2], 2), (stacked, 1), (stacked.mT, 2)):
        b = array(np.ones((*a.shape[:-2], a.shape[-1], 3)))
        with counting() as counts:
            xp.matmul(a, b)
        assert counts.launches.total() == launches


@pytest.mark.parametrize(("parts", "launches"), [(2, 2), (8, 8), (9, 2)])
def test_joining_is_a_copy_each_up_to_eight(parts, launches):
    x = array([1.0])
    with counting() as counts:
        xp.concat([x] * parts)
    assert counts.launches.total() == launches


def test_clip_and_sign_are_those_of_array_api_compat():
    x = array([-2.0, float("nan"), 2.0])
    with counting() as counts:
        assert CUPY.to_numpy(xp.clip(x, -1.0, 1.0)).tolist()[::2] == [-1.0, 1.0]
    assert counts.launches.total() > 15
    assert sum(n for line, n in counts.waits.items() if "mask" in line) == 4
    with counting() as counts:
        xp.sign(x)
    assert list(counts.waits.values()) == [1]


def test_its_namespace_is_found_from_the_type_of_its_arrays():
    x = array([1.0])
    assert not hasattr(x, "__array_namespace__")
    assert common_namespace(x=x) is array_api_compat.array_namespace(x) is CUPY.xp is xp
    assert xp.__name__ == "array_api_compat.cupy"


def test_it_is_cupy_only_where_it_is_in_place():
    assert type(get_backend("cupy")) is type(backend_of(array([1.0]))) is SimulatedCupyBackend
    with installed():  # again, which changes nothing
        assert type(get_backend("cupy")) is SimulatedCupyBackend
    x = array([1.0])
    simulated = {name: sys.modules.pop(name) for name in ["cupy"]}
    try:
        with pytest.raises(RuntimeError, match="mark the test simulated_cupy"):
            _ = x + 1.0
    finally:
        sys.modules.update(simulated)


def test_unique_values_are_an_array_and_with_counts_two():
    values = xp.unique_values(array([2.0, 1.0, 2.0]))
    assert values.get().tolist() == [1.0, 2.0]
    assert [found.get().tolist() for found in xp.unique_counts(array([2.0, 1.0, 2.0]))] == [
        [1.0, 2.0],
        [1, 2],
    ]


def test_places_of_unique_values_are_found_too():
    x = array([2.0, 1.0, 2.0])
    with counting() as counts:
        found = xp.unique_all(x)
    assert counts.waits.total() == 3
    assert [each.get().tolist() for each in found] == [[1.0, 2.0], [1, 0], [1, 0, 1], [1, 2]]
    assert xp.unique_inverse(x)[1].get().tolist() == [1, 0, 1]


def test_broadcasting_gives_views_and_counting_and_searching_wait_for_nothing():
    x = array([[1.0, 0.0, 2.0]])
    with counting() as counts:
        rows, wide = xp.broadcast_arrays(x, array([[1.0], [2.0]]))
        number = xp.count_nonzero(x, axis=1)
        places = xp.searchsorted(array([1.0, 2.0, 3.0]), array([2.5]), side="left")
    assert rows.shape == wide.shape == (2, 3)
    assert not counts.waits
    assert (number.get().tolist(), places.get().tolist()) == ([2], [2])


def test_dlpack_gives_its_values_to_the_host_that_asks_for_them():
    x = array([1.0, 2.0])
    assert np.from_dlpack(x, device="cpu").tolist() == [1.0, 2.0]
    with pytest.raises(BufferError):
        np.from_dlpack(x)


def test_arrays_in_place_keep_dtype_and_memory():
    x = array([1.0, 2.0])
    same = x
    x += array([1.0, 1.0], "float64")
    assert x is same
    assert x.dtype == np.float32
    with pytest.raises(TypeError, match="same_kind"):
        array([1], "int64").__iadd__(array([0.5]))
