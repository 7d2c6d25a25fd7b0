"""Functions that NumPy traces: the same bits, what a program depends on, and what has none."""

import gc
import linecache
import threading
import tracemalloc
import warnings
from collections import deque
from functools import partial

import numpy as np
import pytest

from pluggable_mlp import (
    MLP,
    ClipByGlobalNorm,
    HuberLoss,
    LeakyReLU,
    compile_cache,
    get_backend,
    train,
)
from pluggable_mlp.backends import tracing
from pluggable_mlp.backends.numpy_tracing import TracedNumpyFunction, Tracer
from pluggable_mlp.network.activations import ACTIVATIONS
from pluggable_mlp.network.losses import LOSSES
from pluggable_mlp.training.components import OPTIMIZERS, make_optimizer
from pluggable_mlp.training.lbfgs import LBFGS
from pluggable_mlp.training.schedules import Cosine
from pluggable_mlp.training.step_functions import _copies
from tests.backends import counting
from tests.together import together
from tests.training.compilers import Uncompiled

NUMPY = get_backend("numpy")
XP = NUMPY.xp
GRADIENTS = [name for name, kind in OPTIMIZERS.items() if kind is not LBFGS]

NETWORKS = {
    **{name: {"activation": name} for name in ACTIVATIONS},
    "one per layer": {"activation": ["tanh", LeakyReLU(0.2)]},
    "dropout": {"dropout": 0.3},
    "norm layer": {"norm": "layer"},
    "norm batch and dropout": {"norm": "batch", "dropout": 0.5},
    **{f"loss {name}": {"loss": name} for name in LOSSES},
    "huber": {"loss": HuberLoss(delta=0.1)},
}
OPTIMIZERS_OF_TESTS = {
    **{name: make_optimizer(name) for name in GRADIENTS},
    "momentum": make_optimizer("sgd", momentum=0.9, nesterov=True),
    "clipped": ClipByGlobalNorm(make_optimizer("sgd"), 0.1),
    "penalties": make_optimizer("adam", weight_decay=0.1, l1=0.01),
    "average": make_optimizer("sgd", average=0.9),
    "schedule": make_optimizer("sgd", learning_rate=Cosine(0.1, total_steps=20)),
}
TRAININGS = {
    "weights": {"sample_weight": np.linspace(0.0, 2.0, 70)},
    "no order": {"shuffle": False},
    "one batch": {"batch_size": 70},
    "batches of one": {"batch_size": 1, "epochs": 1},
    "micro-batches": {"micro_batch": 7},
    "blocks": {"block_size": 40},
    "float64": {"dtype": "float64"},
    "pixels": {"scale": 1 / 256},
}


@pytest.fixture(autouse=True)
def early(monkeypatch):
    """Programs at the second call, as trainings of the tests are short; none of other tests."""
    monkeypatch.setattr(TracedNumpyFunction, "calls_before_tracing", 1)
    monkeypatch.setattr(compile_cache, "_recent", deque(maxlen=32))


@pytest.fixture
def programs(monkeypatch):
    """What is traced, in order; not what looks at an epoch's end."""
    results, trace = [], TracedNumpyFunction.trace

    def also(self, arguments):
        found = trace(self, arguments)
        function = getattr(self.function, "func", self.function)
        if function.__module__ != "pluggable_mlp.training.divergence" and function is not _copies:
            results.append(found)
        return found

    monkeypatch.setattr(TracedNumpyFunction, "trace", also)
    return results


def trained(backend, network, **settings):
    """All numbers of a training, as bytes; batches of 20, 20, 20 and 10, or as the settings say."""
    dtype = settings.setdefault("dtype", "float32")
    rng = np.random.default_rng(0)
    mlp = MLP([5, 8, 6, 3], **network)
    x = rng.normal(size=(70, 5)).astype(dtype)
    if "scale" in settings:
        x = rng.integers(0, 256, size=(70, 5)).astype(np.uint8)
    if "sample_weight" in settings:
        settings = {**settings, "sample_weight": settings["sample_weight"].astype(dtype)}
    rows = rng.integers(0, 2, size=(70, 3))
    targets = rng.integers(0, 3, size=70) if mlp.objective.targets == "classes" else rows
    given = {"batch_size": 20, "epochs": 3, "seed": 4, "backend": backend, **settings}
    result = train(mlp, x, targets, **given)
    return result.history, [of[name].tobytes() for of in result.parameters for name in of]


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_a_network_trains_to_the_same_bits(network, programs):
    expected = trained(Uncompiled(NUMPY), network)
    assert not programs
    assert trained(NUMPY, network) == expected
    assert len(programs) == 2


@pytest.mark.parametrize("optimizer", OPTIMIZERS_OF_TESTS.values(), ids=OPTIMIZERS_OF_TESTS)
def test_an_optimizer_gives_the_same_bits(optimizer, programs):
    expected = trained(Uncompiled(NUMPY), {}, optimizer=optimizer)
    assert trained(NUMPY, {}, optimizer=optimizer) == expected
    assert len(programs) == 2


@pytest.mark.parametrize("settings", TRAININGS.values(), ids=TRAININGS)
def test_a_training_gives_the_same_bits(settings, programs):
    network = {"dropout": 0.2}
    expected = trained(Uncompiled(NUMPY), network, **settings)
    assert trained(NUMPY, network, **settings) == expected
    assert programs


@pytest.mark.parametrize(
    ("network", "optimizer"),
    [({"dropout": 0.2, "norm": "batch"}, "sgd"), ({"activation": "gelu"}, "adam")],
)
def test_reproducible_steps_are_traced_as_well(network, optimizer, programs):
    settings = {"arithmetic": "reproducible", "optimizer": make_optimizer(optimizer)}
    expected = trained(Uncompiled(NUMPY), network, **settings)
    assert not programs
    assert trained(NUMPY, network, **settings) == expected
    assert len(programs) == 2


counted = partial(counting.counted, TracedNumpyFunction)


def test_it_is_traced_at_the_second_call_and_then_repeated():
    traced, runs = counted(lambda tree, n: [{"y": tree["x"] * n, "none": None}, (tree["x"] + 1,)])
    for n in range(1, 6):
        x = np.arange(3.0) + n
        found, (other,) = traced({"x": x, "nothing": None}, 0.5 * n)
        assert found["none"] is None
        np.testing.assert_array_equal(found["y"], x * (0.5 * n))
        np.testing.assert_array_equal(other, x + 1)
    assert len(runs) == 3  # the first call, the second, and its tracing


def test_few_calls_are_not_traced(monkeypatch):
    """As tracing takes as long as many."""
    monkeypatch.setattr(TracedNumpyFunction, "calls_before_tracing", 3)
    traced, runs = counted(lambda x: x + 1.0)
    for count in (1, 2, 3, 5, 5, 5):  # the fifth of them with its tracing
        traced(np.ones(2))
        assert len(runs) == count


def test_numbers_are_arguments_also_where_small_integers_are_the_same_object():
    traced, runs = counted(lambda x, n: x + ((n & 255) + (n >> 8) * 3 - (5 - n) ** 2 // 2))
    x = np.zeros(2)
    for n in (1, 2, 3, 300, 70_000):
        value = (n & 255) + (n >> 8) * 3 - (5 - n) ** 2 // 2
        assert traced(x, n).tolist() == [value, value]
    assert len(runs) == 3


def test_operators_and_indices_are_those_of_numpy():
    def everything(x, y, k, start):
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
        given = *rng.uniform(0.1, 2.0, (2, 6, 6)), rng.integers(0, 6, 3), start
        given[1][0] = given[0][0]
        found, expected = traced(*given), everything(*given)
        for one, other in zip(flat(found), flat(expected), strict=True):
            assert (type(one), one.dtype, one.strides) == (type(other), other.dtype, other.strides)
            np.testing.assert_array_equal(one, other)
    assert len(runs) == 3


def flat(tree):
    return [x for of in tree for x in flat(of)] if isinstance(tree, tuple) else [tree]


def test_what_a_call_returned_stays():
    traced = TracedNumpyFunction(lambda x, s: (x * s, (x + s) * 2.0, x.T, x))
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
        y += row * squares[1]
        return squares + row, y.mT * 2.0

    traced, runs = counted(function)
    for n in range(4):
        x = np.arange(9.0).reshape(3, 3) + n
        for found, expected in zip(traced(x), function(x), strict=True):
            np.testing.assert_array_equal(found, expected)
    assert len(runs) == 3


def test_a_view_keeps_what_it_is_a_view_of():
    def function(x):
        y = x + 1.0
        row = y[0]
        return y * y - row * 2.0

    traced, runs = counted(function)
    for n in range(4):
        x = np.arange(9.0).reshape(3, 3) + n
        np.testing.assert_array_equal(traced(x), function(x))
    assert len(runs) == 3


def elementwise(x):
    for _ in range(6):
        x = 1.0 / (1.0 + np.exp(-x))
    return x * 2.0


def with_new_results(x):
    order = np.arange(x.shape[0])[::-1].copy()
    for _ in range(6):
        x = XP.take(x, order, axis=0)
    return x


@pytest.mark.parametrize(("chain", "arrays"), [(elementwise, 1), (with_new_results, 2)])
def test_memory_is_written_over_and_given_back(chain, arrays):
    traced, x = TracedNumpyFunction(chain), np.ones((256, 1024))
    traced(x), traced(x)
    tracemalloc.start()
    traced(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (arrays + 0.1) * x.nbytes


def test_other_shapes_strides_and_dtypes_have_programs_of_their_own(programs):
    traced, runs = counted(lambda x: XP.sum(x * 2.0, axis=0))
    rows = np.random.default_rng(0).normal(size=(4, 3))
    kinds = [rows, rows[:2], rows.T.copy().T, rows[::2], *map(rows.astype, ("float32", "int64"))]
    for x in [kind for kind in kinds for _ in range(3)]:
        np.testing.assert_array_equal(traced(x), np.sum(x * 2.0, axis=0))
    assert len(programs) == len(kinds)
    runs.clear()
    for x in kinds:
        traced(x)
    assert not runs


def test_shapes_that_never_return_are_not_traced_and_few_are_kept(programs):
    traced = TracedNumpyFunction(lambda x: x + 1.0)
    for size in range(1, 30):
        traced(np.ones(size))
    assert not programs
    for size in range(1, 30):
        traced(np.ones(size)), traced(np.ones(size))
    assert len(traced.programs) == tracing._MOST_PROGRAMS


def with_numbers(x, k):
    y = x * 0.1 + 1e-50 - 3 / x + 7 // x
    y -= 0.7
    return np.minimum(y, 0.3), y > 0.1, k * 0.1, k + 3, k > 2.5, np.float_power(x, 0.1), x**0.3


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
    traced = TracedNumpyFunction(lambda x: np.multiply(x, 0.1, dtype="float64"))
    for number in (0.0, 0.0, 0.0, 1.0):
        x = np.full(3, number, "float32")
        np.testing.assert_array_equal(traced(x), x.astype("float64") * 0.1)


def test_nothing_is_taken_for_an_array_that_is_gone():
    traced = TracedNumpyFunction(lambda tree: tree[0] if tree[1] is None else tree[0] * tree[1])
    x, y = np.ones(2), np.full(2, 3.0)
    for _ in range(3):
        assert traced([x, y]).tolist() == [3, 3]
    del y
    assert traced([x, None]).tolist() == [1, 1]


def test_an_argument_that_changed_its_dtype_is_seen():
    traced, x = TracedNumpyFunction(lambda x: x * 2), np.ones(2, dtype="float32")
    for _ in range(3):
        traced(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        x.dtype = "int32"
    assert traced(x).dtype == "int32"


def test_an_argument_that_was_none_is_no_array():
    traced = TracedNumpyFunction(lambda x, weight: x if weight is None else x * weight)
    x = np.ones(2)
    for _ in range(3):
        assert traced(x, None).tolist() == [1, 1]
    assert traced(x, x * 3).tolist() == [3, 3]


def test_other_trees_are_not_taken_for_the_one_that_was_traced():
    traced = TracedNumpyFunction(
        lambda tree: [leaf * 2.0 for leaf in tree.values()] if tree else []
    )
    one, two = {"W": np.ones(2)}, {"W": np.ones(2), "b": np.ones(1)}
    for tree in (one, one, two, {}, {"b": np.ones(2)}, {"W": 1.0}, two, two, one, {"W": two["b"]}):
        found = traced(tree)
        assert [np.size(of) for of in found] == [np.size(leaf) for leaf in tree.values()]


class Changing:
    """A function that gives something else at each call."""

    def __init__(self):
        self.count = 0

    def __call__(self, x):
        self.count += 1
        return x * self.count


def ignoring_overflow(x):
    with np.errstate(over="ignore"):
        return np.exp(x * 1e4)


def own_constant(x):
    own = np.ones(3)
    y = x * own
    own += 1.0
    return y + own


def changed_by_tracer(x):
    own = np.ones(3)
    own += x
    return own


NOT_TRACED = {
    "bool": lambda x: x * 2.0 if x[0] > 0 else x,
    "float": lambda x: x * float(x[1]),
    "int": lambda x: x[: int(x[1])],
    "index": lambda x: [x, -x][x[1].astype(int) % 2],
    "mask": lambda x: x[x > 1.0],
    "iteration": lambda x: sum(x) + x,
    "length": lambda x: x * len(x),
    "conversion": lambda x: np.asarray(x) * 2.0,
    "list": lambda x: x * x.tolist()[0],
    "shape by values": np.unique,
    "several results": lambda x: np.split(x, 3)[0],
    "out": lambda x: np.clip(x, 0.0, 1.0, out=np.empty(3)),
    "accumulation": np.add.accumulate,
    "a setting": lambda x: np.add(x, 1.0, where=np.asarray([True] * 3), out=x * 2.0),
    "an array of its own": changed_by_tracer,
    "random numbers": lambda x: x + np.random.default_rng().normal(size=3),
    "another result each time": Changing(),
    "an array of its own as a result": lambda x: (x * 2.0, np.ones(3))[1] * 1.0,
    "handling of errors": ignoring_overflow,
    "another dtype of the same bits": lambda x: (
        x * 0.0 if isinstance(x, np.ndarray) else (x * 0.0).astype("int64")
    ),
}


@together("function", NOT_TRACED.values())
def test_what_cannot_be_traced_runs_as_it_is(function):
    traced, runs = counted(function)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for n in range(1, 6):
            x = np.asarray([n, n + 1.0, 3.0])
            before = x.copy()
            found = traced(x)
            assert not isinstance(found, Tracer)
            np.testing.assert_array_equal(x, before)
    assert len(runs) in (7, 6)
    assert not traced.programs


def test_what_could_not_be_traced_is_not_tried_again():
    traced, runs = counted(lambda x: x * float(x[0]))
    for size in (2, 2, 3, 3, 3):
        traced(np.ones(size))
    assert len(runs) == 5 + 1


def test_an_array_of_the_function_is_traced_as_it_was():
    traced, runs = counted(own_constant)
    for n in range(5):
        assert traced(np.full(3, n + 0.0)).tolist() == [n + 2.0] * 3
    assert len(runs) == 3


def test_an_array_of_the_function_is_copied_once():
    own = np.ones((256, 1024))
    traced = TracedNumpyFunction(lambda x: x * own + own * x - own / x)
    tracemalloc.start()
    for _ in range(3):
        traced(2.0)
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(traced.programs) == 1
    assert kept < 1.5 * own.nbytes


def test_an_argument_that_is_changed_is_changed_once():
    def change(x):
        x += 1.0
        return x * 2.0

    traced, x = TracedNumpyFunction(change), np.zeros(2)
    for n in range(1, 5):
        assert traced(x).tolist() == [2.0 * n] * 2


def test_subclasses_of_arrays_keep_their_operators():
    class Matrix(np.ndarray):
        def __mul__(self, other):
            return np.matmul(self, other)

    traced = TracedNumpyFunction(lambda x: x * x)
    x = np.asarray([[1.0, 2.0], [3.0, 4.0]]).view(Matrix)
    for _ in range(4):
        np.testing.assert_array_equal(np.asarray(traced(x)), np.asarray(x) @ np.asarray(x))


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
    traced = TracedNumpyFunction(lambda x, n: x * n)
    x = np.ones(2, dtype="float32")
    for n in (2.0, 2.0, 2.0, np.float64(2.0), np.float32(2.0), 2, 2.0):
        assert traced(x, n).dtype == (x * n).dtype


def overflowing(x):
    return np.exp(x * 1000.0)


def test_an_error_of_a_program_names_the_line_of_the_function():
    traced = TracedNumpyFunction(overflowing)
    for _ in range(3):
        traced(np.zeros(3))
    with np.errstate(over="raise"), pytest.raises(FloatingPointError) as raised:
        traced(np.ones(3))
    assert raised.traceback[-1].name == "overflowing"
    assert raised.value.__context__ is None


def test_a_warning_of_a_program_has_a_line():
    traced = TracedNumpyFunction(overflowing)
    for _ in range(3):
        traced(np.zeros(3))
    with pytest.warns(RuntimeWarning, match="overflow") as warned:
        traced(np.ones(3))
    shown = warned[0]
    assert linecache.getline(shown.filename, shown.lineno).strip().startswith("v")
    del traced
    gc.collect()
    assert shown.filename not in linecache.cache


def test_an_error_of_the_function_is_the_functions():
    traced = TracedNumpyFunction(lambda x: x @ np.ones((7, 2)))
    for _ in range(3):
        with pytest.raises(ValueError, match="matmul"):
            traced(np.ones((3, 3)))


def test_others_do_not_wait_for_a_program_nor_take_part_in_it():
    found = []

    def function(x):
        if isinstance(x, Tracer):
            other = threading.Thread(target=lambda: found.append(traced(np.ones(3))))
            other.start()
            other.join(timeout=10.0)
        return x * 2.0

    traced = TracedNumpyFunction(function)
    for _ in range(3):
        assert traced(np.ones(2)).tolist() == [2.0, 2.0]
    assert [of.tolist() for of in found] == [[2.0] * 3]
    assert len(traced.programs) == 1


def test_threads_share_no_array():
    def chain(x, n):
        for _ in range(20):
            x = (x + n) * 0.5
        return x

    traced = TracedNumpyFunction(chain)
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
