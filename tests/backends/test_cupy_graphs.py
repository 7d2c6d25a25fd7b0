"""Steps on CuPy as CUDA graphs: bits, launches, what stands in the way."""

import gc
import threading
from functools import partial

import numpy as np
import pytest

from pluggable_mlp import get_backend
from tests.backends.on_cupy import assert_same_bits, of_cupy
from tests.emulated_card import counting

cupy = pytest.importorskip("cupy")
xp = pytest.importorskip("array_api_compat.cupy")

pytestmark = pytest.mark.usefixtures("cupy_backend", "early_graphs")

CALLS = 10  # more than come before a graph


@pytest.fixture
def pool(cupy_backend):
    """What CuPy's memory is taken from; CuBLAS has its own, once for the process."""
    all_calls(compiled(), first_state())
    gc.collect()
    pool = cupy.get_default_memory_pool()
    yield pool
    pool.set_limit(0)


def step(ns, state, numbers, data, start):
    """A step like those of training: of rows, of numbers that change, with all kinds of kernels."""
    t, rate = numbers
    x = data[start : start + 4, ...]
    y = ns.matmul(x, state["W"])
    y += state["b"]
    scale = ns.astype(ns.sum(y * y, axis=0) > t * 0.1, x.dtype)
    gradient = ns.matmul(x.T, y) * 0.125
    return ns.mean(y), {"W": state["W"] - rate * gradient, "b": state["b"] * 0.5 + scale}


def compiled(function=step, device="cupy"):
    return get_backend(device).compile(partial(function, xp), (0,))


def arguments(call):
    """Those of one call but the state, which comes from the one before."""
    return (call, 0.01 * call), of_cupy(20, 5, seed=1), call % 4


def first_state():
    return {"W": of_cupy(5, 3), "b": of_cupy(3, seed=2)}


def host(tree):
    loss, state = tree
    return [loss.get(), *(array.get() for array in state.values())]


def all_calls(call, state, function=step, calls=CALLS, others=arguments):
    """Check each call, and afterwards that no later one changed what was given or returned."""
    kept = []
    for number in range(calls):
        inputs = state, *others(number)
        before = {name: array.get() for name, array in state.items()}
        expected = host(function(xp, *inputs))
        result = call(*inputs)
        kept += [(result, expected), ((result[0], state), [expected[0], *before.values()])]
        state = result[1]
    for found, expected in kept:
        for one, other in zip(host(found), expected, strict=True):
            assert_same_bits(one, other)
    return state


def launches(call, state, others=arguments):
    inputs = state, *others(CALLS)
    with counting() as counts:
        call(*inputs)
    assert not counts.waits
    return counts


def test_a_step_is_three_launches_whose_numbers_change():
    call = compiled()
    state = all_calls(call, first_state())
    counts = launches(call, state)
    assert counts.launches == 3
    assert (counts["graph launch"], counts["kernel copies"]) == (1, 2)  # in, and out


def test_states_of_others_are_taken_as_those_it_returned():
    call = compiled()
    all_calls(call, first_state())
    with counting() as counts:
        all_calls(call, {name: array + 1.0 for name, array in first_state().items()})
    assert counts["graph launch"] == CALLS


def with_dropped(ns, state, numbers, data, start):
    """Random words of the count, 64-bit numbers, rows in an order."""
    (t, rate), (x, order) = numbers, data
    rows = ns.take(x, order[start : start + 4], axis=0)
    words = ns.astype(order[:5], ns.uint64) * np.uint64(2**33 + 7) + t
    kept = ns.astype((words & np.uint64(1)) == np.uint64(0), rows.dtype)
    W = state["W"] - rate * ns.matmul((rows * kept).T, ns.matmul(rows, state["W"]))
    return ns.max(W), {"W": W, "b": state["b"] * (1.0 - rate**2)}


def shuffled(call):
    order = get_backend("cupy").asarray(np.random.default_rng(call).permutation(20))
    return (call, 0.01 * call), (of_cupy(20, 5, seed=1), order), call % 7


def test_orders_and_words_change_from_call_to_call():
    call = compiled(with_dropped)
    state = all_calls(call, first_state(), with_dropped, others=shuffled)
    counts = launches(call, state, shuffled)
    assert counts["graph launch"] == 1
    assert counts["kernel cupy_take"] == 1
    assert counts["kernel copies"] == 2


def test_fewer_rows_than_before_are_no_call_of_the_graph():
    call = compiled()
    state = all_calls(call, first_state())
    all_calls(call, state, calls=3, others=lambda call: ((call, 0.5), of_cupy(20, 5), 17 + call))
    assert launches(call, state)["graph launch"] == 1


def assert_captured_with_the_same_bits(products, state):
    """Each call gives the bits of the function as it is; the last one is a graph."""
    call, expected = compiled(products), [x.get() for x in products(xp, state)]
    for _ in range(CALLS):
        with counting() as counts:
            found = call(state)
        for one, other in zip(found, expected, strict=True):
            assert_same_bits(one.get(), other)
    assert counts["graph launch"] == 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shapes", [((6, 4), (4, 3)), ((1, 4), (4, 3)), ((6, 1), (1, 3)),
                                    ((6, 4), (4, 1)), ((1, 4), (4, 1)),
                                    ((0, 4), (4, 3)), ((6, 0), (0, 3))])  # fmt: skip
def test_products_of_matrices_in_any_layout(shapes, dtype):
    def products(ns, state):
        a, b = state
        return [
            ns.matmul(a, b),
            ns.matmul(b.T, a.T),
            ns.matmul(a.T, a),
            ns.matmul(b, b.T),
            ns.matmul(a[:, ::2], b[::2, :]),
        ]

    state = [of_cupy(*shape, seed=n, dtype=dtype) for n, shape in enumerate(shapes)]
    assert_captured_with_the_same_bits(products, state)


STACKS = [
    ((3, 4, 5), (3, 5, 2)),
    ((4, 5), (3, 5, 2)),  # one for all: cuBLAS is given pointers to each
    ((3, 1, 5), (5, 2)),
    ((2, 1, 4, 5), (3, 5, 1)),
    ((1, 4, 5), (5, 2)),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_of_stacks(dtype):
    def products(ns, state):
        found = []
        for a, b in state:
            found += [ns.matmul(a, b), ns.matmul(b.mT, a.mT)]
            found += [ns.matmul(a[..., ::2], b[..., ::2, :])]
        return found

    state = [[of_cupy(*shape, dtype=dtype) for shape in shapes] for shapes in STACKS]
    assert_captured_with_the_same_bits(products, state)


# What stands in the way


def to_a_power(ns, state, numbers, data, start):
    return state["b"][0], {name: x ** numbers[0] for name, x in state.items()}


def part_of_a_result(ns, state, numbers, data, start):
    return (state["b"] * 2.0)[start % 3], state


def of_much(ns, state, numbers, data, start):
    return state["b"][0], {**state, "b": state["b"] * numbers[1]}


@pytest.mark.parametrize("function", [to_a_power, part_of_a_result, of_much])
def test_what_would_be_wrong_or_slow_as_a_graph_is_none(function):
    """A number that each launch would have, or more memory than is worth copying."""
    call, state = compiled(function), first_state()
    if function is of_much:
        state["b"] = of_cupy(2**22 + 1)
        for number in range(CALLS):
            _, state = call(state, *arguments(number))
    else:
        state = all_calls(call, state, function)
    assert launches(call, state)["graph launch"] == 0


def cuda_refuses(monkeypatch):
    def refusing(*_, **__):
        raise RuntimeError("cudaErrorNotSupported")

    _on_a_stream(monkeypatch, refusing)


def capture_is_spoiled(monkeypatch):
    begin = cupy.cuda.Stream.begin_capture

    def spoiled(self):
        begin(self)
        float(cupy.zeros(()))

    _on_a_stream(monkeypatch, spoiled)


def _on_a_stream(monkeypatch, begin_capture):
    kind = type("Stream", (cupy.cuda.Stream,), {"begin_capture": begin_capture})
    monkeypatch.setattr(cupy.cuda, "Stream", kind)


def cublas_fails(monkeypatch):
    def failing(self, name, *arguments):
        raise RuntimeError(f"{name} of cuBLAS gives status 13")

    monkeypatch.setattr("pluggable_mlp.backends.cupy_products.Products._call", failing)


def nothing_happens(monkeypatch):
    monkeypatch.setattr("pluggable_mlp.backends.cupy_graphs._Graph.launch", lambda self, _: {})


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (cuda_refuses, "cudaErrorNotSupported"),
        (capture_is_spoiled, "capturing"),
        (cublas_fails, "cuBLAS gives status 13"),
        (nothing_happens, "other bits"),
    ],
)
def test_what_fails_is_said_and_the_step_goes_on_without(prepare, reason, monkeypatch, pool):
    call, before = compiled(), pool.used_bytes()
    with monkeypatch.context() as planted:
        prepare(planted)
        with pytest.warns(UserWarning, match=f"without a CUDA graph of a step: .*{reason}") as said:
            state = all_calls(call, first_state(), calls=2 * CALLS)
    assert len(said) == 1
    assert launches(call, state)["graph launch"] == 0
    del state, call
    gc.collect()  # an error that was caught holds frames with arrays
    assert pool.used_bytes() <= before  # less where garbage of other tests was collected meanwhile


def test_a_capture_that_runs_out_of_memory_is_made_later(monkeypatch):
    """Nothing is said: there may be enough when it is tried again."""
    call = compiled()
    with monkeypatch.context() as planted:

        def full(*_):
            raise cupy.cuda.memory.OutOfMemoryError(512, 0, 0)

        planted.setattr("pluggable_mlp.backends.cupy_graphs._Graph._allocate", full)
        state = all_calls(call, first_state())
    assert launches(call, state)["graph launch"] == 0
    state = all_calls(call, state)
    assert launches(call, state)["graph launch"] == 1


def on_the_card():
    """The bytes that are taken of it, by all pools."""
    gc.collect()
    cupy.get_default_memory_pool().free_all_blocks()
    free, total = cupy.cuda.runtime.memGetInfo()
    return total - free


def test_the_memory_of_a_graph_is_given_back_with_it(pool):
    """That of cuBLAS, too."""
    before, call = on_the_card(), compiled()
    all_calls(call, first_state())
    assert on_the_card() >= before + 2**22
    del call
    assert on_the_card() == before


def test_memory_that_runs_out_later_gives_that_of_the_graph_back(pool):
    """Which is enough for the step; later there may be a graph again."""
    call = compiled()
    state = all_calls(call, first_state())
    assert launches(call, state)["graph launch"] == 1
    inputs = state, *arguments(1)
    expected = host(step(xp, *inputs))
    with pytest.MonkeyPatch.context() as planted:

        def full(*_):
            raise cupy.cuda.memory.OutOfMemoryError(512, 0, 0)

        planted.setattr("pluggable_mlp.backends.cupy_graphs._Graph.launch", full)
        found = host(call(*inputs))
    for one, other in zip(found, expected, strict=True):
        assert_same_bits(one, other)
    assert launches(call, state)["graph launch"] == 0


@pytest.mark.parametrize("only", ["arrays", "workspace"])
def test_the_memory_of_a_graph_is_bounded(only, monkeypatch):
    """Nothing that is freed during a capture is given out again; cuBLAS's workspace counts, too."""
    products = pytest.importorskip("pluggable_mlp.backends.cupy_products").products_on(0)
    most = 2**10 if only == "arrays" else products.workspace_size
    monkeypatch.setattr("pluggable_mlp.backends.cupy_graphs._MOST_MEMORY", most)
    call = compiled()
    state = all_calls(call, first_state())
    assert launches(call, state)["graph launch"] == 0


def test_few_functions_have_a_graph_at_a_time():
    """Functions are kept for a later training."""
    first, *others = calls = [compiled() for _ in range(5)]
    for call in calls[:4]:
        state = all_calls(call, first_state())
    assert launches(first, state)["graph launch"] == 1
    before = on_the_card()
    all_calls(others[3], first_state())
    assert on_the_card() == before
    assert [launches(call, state)["graph launch"] for call in calls] == [0, 1, 1, 1, 1]
    all_calls(first, first_state())
    assert [launches(call, state)["graph launch"] for call in calls] == [1, 0, 1, 1, 1]


def test_on_another_stream_steps_are_as_without_graphs():
    """A graph would not wait for what the default stream was given, nor that for the graph."""
    call = compiled()
    state = all_calls(call, first_state())
    with cupy.cuda.Stream(non_blocking=True):
        assert launches(call, state)["graph launch"] == 0
    assert launches(call, state)["graph launch"] == 1


def test_each_device_has_graphs_of_its_own(cupy_devices):
    call = compiled()
    all_calls(call, first_state())
    state, inputs = first_state(), arguments(1)
    get_backend("cupy:1")
    there = {name: cupy.asarray(x.get()) for name, x in state.items()}
    data = cupy.asarray(inputs[1].get())
    for _ in range(CALLS):
        with counting() as counts:
            found = call(there, inputs[0], data, inputs[2])
    assert (counts["graph launch"], counts["kernel copies"]) == (1, 2)
    assert found[0].device.id == 1
    found = host(found)
    get_backend("cupy:0")
    for one, other in zip(found, host(step(xp, state, *inputs)), strict=True):
        assert_same_bits(one, other)


def test_threads_do_not_share_the_memory_of_a_graph():
    call, failures = compiled(), []
    all_calls(call, first_state())

    def work(seed):
        try:
            all_calls(call, {"W": of_cupy(5, 3, seed=seed), "b": of_cupy(3)})
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
