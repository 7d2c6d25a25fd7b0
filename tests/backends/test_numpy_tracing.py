"""Functions that NumPy traces: what a program depends on, gives and leaves as it was."""

import threading
from functools import partial

import numpy as np
import pytest

from pluggable_mlp.arrays import array_namespace
from pluggable_mlp.backends.numpy_recording import TracedNumpyFunction
from tests.backends import counting

counted = partial(counting.counted, TracedNumpyFunction, xp=np)
as_traced = partial(counting.traced, TracedNumpyFunction, xp=np)


def test_it_is_traced_at_the_second_call_and_then_repeated():
    traced, runs = counted(lambda tree, n: [{"y": tree["x"] * n, "none": None}, (tree["x"] + 1,)])
    for n in range(1, 6):
        x = np.arange(3.0) + n
        found, (other,) = traced({"x": x, "nothing": None}, 0.5 * n)
        assert found["none"] is None
        np.testing.assert_array_equal(found["y"], x * (0.5 * n))
        np.testing.assert_array_equal(other, x + 1)
    assert len(runs) == 3  # the first call, the second, and its tracing


def test_calls_of_two_kinds_by_turns_are_not_traced():
    traced, _ = counted(lambda x: x * 2.0)
    for size in (3, 4) * 3:
        traced(np.zeros(size))
    assert not traced.programs


def test_numbers_are_arguments_also_where_small_integers_are_the_same_object():
    traced, runs = counted(lambda x, n: x + ((n & 255) + (n >> 8) * 3 - (5 - n) ** 2 // 2))
    x = np.zeros(2)
    for n in (1, 2, 3, 300, 70_000):
        value = (n & 255) + (n >> 8) * 3 - (5 - n) ** 2 // 2
        assert traced(x, n).tolist() == [value, value]
    assert len(runs) == 3


def test_operators_and_indices_are_those_of_numpy():
    def everything(x, y, k, start):
        XP = array_namespace(x)
        z = x**2 + 2**x - y**0.5 / 3.0 + (-x) // 2.0 + abs(y) % 0.7
        z += x
        z -= 1.0
        z *= y
        z /= x
        whole = ((k << 2) | 3) ^ (k >> 1) & 5
        whole ^= 1
        where = XP.where((x > y) | (x <= 0.5) & ~(x == y), x, y) @ y.T
        rows = XP.take(x, k, axis=0)[..., 0] - x[start : start + 3, 1]
        parts = XP.stack([x[0, ...], y[1]]), XP.concat([x, y]), XP.reshape(y, (-1,))
        sums = XP.sum(x), XP.max(y, axis=0, keepdims=True), XP.mean(x, axis=1), XP.min(y)
        return z, whole, where, rows, parts, sums, XP.astype(k, XP.float32, device="cpu"), x != y

    rng = np.random.default_rng(0)
    traced, runs = counted(everything)
    for start in (0, 1, 2, 3):
        arguments = *rng.uniform(0.1, 2.0, (2, 6, 6)), rng.integers(0, 6, 3), start
        arguments[1][0] = arguments[0][0]
        found, expected = traced(*arguments), everything(*arguments)
        for one, other in zip(flat(found), flat(expected), strict=True):
            assert (type(one), one.dtype, one.strides) == (type(other), other.dtype, other.strides)
            np.testing.assert_array_equal(one, other)
    assert len(runs) == 3


def flat(tree):
    return [x for item in tree for x in flat(item)] if isinstance(tree, tuple) else [tree]


def test_what_a_call_returned_stays():
    traced = as_traced(lambda x, s: (x * s, (x + s) * 2.0, x.T, x))
    x = np.arange(6.0).reshape(2, 3)
    kept = [(traced(x, float(s)), s) for s in range(5)]
    for (one, other, transposed, itself), s in kept:
        np.testing.assert_array_equal(one, x * s)
        np.testing.assert_array_equal(other, (x + s) * 2.0)
        assert np.shares_memory(transposed, x)
        assert itself is x
    np.testing.assert_array_equal(x, np.arange(6.0).reshape(2, 3))


def test_a_view_of_what_is_written_over_is_read_before():
    def function(x):
        y = x + 1.0
        row, squares = y[0], y * y
        z = y + squares[1]
        return squares + row, z.mT * 2.0

    traced, runs = counted(function)
    for n in range(4):
        x = np.arange(9.0).reshape(3, 3) + n
        for found, expected in zip(traced(x), function(x), strict=True):
            np.testing.assert_array_equal(found, expected)
    assert len(runs) == 3


def test_what_a_function_holds_is_not_written_over():
    def pair(y):
        return y * 2.0, lambda dy: dy * y

    def function(x):
        recorded = getattr(array_namespace(x), "recorded", lambda function: function)
        y = x + 1.0
        z, backward = recorded(pair)(y)
        return z + backward(y * y)

    traced, runs = counted(function)
    for n in range(4):
        x = np.arange(9.0) + n
        np.testing.assert_array_equal(traced(x), function(x))
    assert len(runs) == 3


def test_a_result_of_several_that_is_taken_twice_is_one_array():
    """What is written over one place would be seen at the other."""

    def twice(x):
        parts = array_namespace(x).frexp(x)
        first, again = parts[0], parts[0]
        return first * 2.0 + 1.0 + again

    traced, runs = counted(twice)
    for n in range(1, 6):
        x = np.arange(3.0) + n
        np.testing.assert_array_equal(traced(x), twice(x))
    assert len(runs) == 3


@pytest.mark.parametrize("nested", [False, True])
def test_other_shapes_strides_and_dtypes_have_programs_of_their_own(programs, nested):
    function, runs = counted(
        lambda x: array_namespace(leaf := x[0] if nested else x).sum(leaf * 2.0, axis=0)
    )
    traced = (lambda x: function([x])) if nested else function
    rows = np.random.default_rng(0).normal(size=(4, 3))
    kinds = [rows, rows[:2], rows.T.copy().T, rows[::2], *map(rows.astype, ("float32", "int64"))]
    for x in [kind for kind in kinds for _ in range(3)]:
        np.testing.assert_array_equal(traced(x), np.sum(x * 2.0, axis=0))
    assert len(programs) == len(kinds)
    runs.clear()
    for x in kinds:
        traced(x)
    assert not runs


@pytest.mark.parametrize("bound", [-0.0, 0.0, 2.5])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_bound_keeps_the_signs_of_zeros(dtype, bound):
    def bounded(x):
        one = np.maximum(x[0, ...], bound)
        return np.minimum(x, bound), np.maximum(x, bound), np.minimum(bound, x * 1.0), one

    traced, runs = counted(bounded)
    for values in ([1.0] * 6, [1.0] * 6, [-0.0, 0.0, np.nan, np.inf, -np.inf, 2.5]):
        x = np.asarray(values, dtype)
        for found, expected in zip(traced(x), bounded(x), strict=True):
            assert found.tobytes() == expected.tobytes()
    assert len(runs) == 3


def with_numbers(x, k):
    y = x * 0.1 + 1e-50 - 3 / x + 7 // x
    y -= 0.7
    where = array_namespace(x).where
    chosen = where(x > 1.0, 0.1, x), where(k > 1, 0.5, k), where(x > 1.0, 0.1, 0.7)
    others = k * 0.1, k + 3, k > 2.5, np.float_power(x, 0.1), x**0.3
    return np.minimum(y, 0.3), y > 0.1, *others, *chosen


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_numbers_beside_arrays_are_rounded_as_numpy_does(dtype):
    traced, runs = counted(with_numbers)
    k = np.arange(3)
    for n in range(4):
        x = (np.linspace(0.1, 2.0, 5) + n).astype(dtype)
        for found, expected in zip(traced(x, k), with_numbers(x, k), strict=True):
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found, expected)
    assert len(runs) == 3


def test_numbers_of_operations_with_settings_stay_numbers():
    traced = as_traced(lambda x: np.multiply(x, 0.1, dtype="float64"))
    for number in (0.0, 0.0, 0.0, 1.0):
        x = np.full(3, number, "float32")
        np.testing.assert_array_equal(traced(x), x.astype("float64") * 0.1)


def test_other_trees_are_not_taken_for_the_one_that_was_traced():
    traced = as_traced(lambda tree: [leaf * 2.0 for leaf in tree.values()] if tree else [])
    one, two = {"W": np.ones(2)}, {"W": np.ones(2), "b": np.ones(1)}
    for tree in (one, one, two, {}, {"b": np.ones(2)}, {"W": 1.0}, two, two, one, {"W": two["b"]}):
        found = traced(tree)
        assert [np.size(item) for item in found] == [np.size(leaf) for leaf in tree.values()]


def test_an_argument_of_another_type_is_not_taken_for_what_was_traced():
    class Matrix(np.ndarray):
        def __mul__(self, other):
            return np.matmul(self, other)

    traced, runs = counted(lambda x, n: x if n is None else x * x + n)
    x = np.asarray([[1.0, 2.0], [3.0, 4.0]])
    traced(x.view(Matrix), 2.0), traced(x.view(Matrix), 2.0)
    for _ in range(5):
        np.testing.assert_array_equal(traced(x, 2.0), x * x + 2.0)
    assert len(runs) == 2 + 3
    np.testing.assert_array_equal(traced(x, None), x)
    assert traced(x.astype("float32"), np.float64(2.0)).dtype == "float64"
    assert traced(3.0, 2.0) == 11.0
    found = traced(x.view(Matrix), 2.0)
    np.testing.assert_array_equal(np.asarray(found), x @ x + 2.0)
    assert len(runs) == 5 + 4


def test_a_type_of_number_has_its_own_program():
    traced = as_traced(lambda x, n: x * n)
    x = np.ones(2, dtype="float32")
    for n in (2.0, 2.0, 2.0, np.float64(2.0), np.float32(2.0), 2, 2.0):
        assert traced(x, n).dtype == (x * n).dtype


def overflowing(x):
    return np.exp(x * 1000.0)


def test_an_error_of_a_program_names_the_line_of_the_function():
    traced = as_traced(overflowing)
    for _ in range(3):
        traced(np.zeros(3))
    with np.errstate(over="raise"), pytest.raises(FloatingPointError) as raised:
        traced(np.ones(3))
    assert raised.traceback[-1].name == "overflowing"
    assert raised.value.__context__ is None


def test_an_error_of_the_function_is_the_functions():
    traced = as_traced(lambda x: x @ np.ones((7, 2)))
    for _ in range(3):
        with pytest.raises(ValueError, match="matmul"):
            traced(np.ones((3, 3)))


def test_threads_share_no_array():
    def chain(x, n):
        for _ in range(20):
            x = (x + n) * 0.5
        return x

    traced = as_traced(chain)
    traced(np.ones(5000), 1.0), traced(np.ones(5000), 1.0)
    wrong = []

    def work(n):
        x = np.full(5000, n)
        expected = chain(x, n)
        wrong.extend(n for _ in range(200) if not np.array_equal(traced(x, n), expected))

    threads = [threading.Thread(target=work, args=(float(n),)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
