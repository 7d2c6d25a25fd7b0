"""`Steps`: one matrix of ways to take a step, namespaces and examples; and who owns the state.

The oracle is `step` on NumPy, an operation at a time, or, where roundings differ, its bounds.
"""

import gc
import weakref
from collections import deque
from dataclasses import replace
from functools import cache, partial

import numpy as np
import pytest

from pluggable_mlp import MLP, SGD, Adam, compile_cache, get_backend
from pluggable_mlp.arrays import map_nested
from pluggable_mlp.consistency import part_of_bound
from pluggable_mlp.namespaces import namespace_of, unwrapped
from pluggable_mlp.network.philox import random_numbers
from pluggable_mlp.randomness import permutation
from pluggable_mlp.training import steps as steps_module
from pluggable_mlp.training.components import make_optimizer
from pluggable_mlp.training.examples import Examples
from pluggable_mlp.training.lbfgs import LBFGS
from pluggable_mlp.training.loop import epochs_of as results_of
from pluggable_mlp.training.losses import LossRecord
from pluggable_mlp.training.step import initial_state, map_state, step
from pluggable_mlp.training.steps import STEPS_BETWEEN_LOOKS, STEPS_PER_CALL, Steps
from pluggable_mlp.training.trees import map_arrays
from tests.consistency.libraries import BoundedLibrary
from tests.simulated_cupy import SimulatedCupyBackend
from tests.training.compilers import (
    BATCH,
    COUNT,
    SEED,
    Counting,
    Looping,
    SingleSteps,
    Spoiling,
    Uncompiled,
    compiler_of,
    examples_on,
    rate,
)
from tests.training.loops import training

NUMPY = get_backend("numpy")


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch):
    monkeypatch.setattr(compile_cache, "_recent", deque(maxlen=32))


# Networks, optimizers, and what the examples have: each thing at least once.
CASES = {
    "plain": ({}, ("sgd", {}), ""),
    "schedule": ({}, ("sgd", {"learning_rate": rate}), "order"),
    "momentum": ({}, ("sgd", {"momentum": 0.9, "nesterov": True, "clip_norm": 0.1}), "weights"),
    "adam": ({"dropout": 0.5, "norm": "layer"}, ("adam", {"clip_norm": 0.1}), "order"),
    "adamw": ({}, ("adamw", {"average": 0.9}), "order pixels"),
    "rmsprop": ({"norm": "batch", "dropout": 0.25}, ("rmsprop", {"weight_decay": 0.01}), "order"),
    "muon": ({"sizes": [4, 8, 4, 4]}, ("muon", {}), "weights order"),
}


def network_of(name):
    network, (kind, settings), has = CASES[name]
    mlp = MLP(**{"sizes": [4, 4, 4, 4], "activation": "tanh", **network})
    return mlp, make_optimizer(kind, **settings), has


def state_under_way(mlp, optimizer, dtype):
    """Nothing is known of m / sqrt(v) where rounding decides whether v is 0: none is."""
    rng = np.random.default_rng(2)
    start = mlp.initialize(seed=1, backend=NUMPY, dtype=dtype)
    first = initial_state(NUMPY.xp, mlp, start, optimizer)

    def some(array):
        return rng.uniform(0.5, 1.0, size=array.shape).astype(dtype)

    slots = {name: map_arrays(some, tree) for name, tree in first.slots.items()}
    return first._replace(slots=slots)


def copied_to(place, array):
    return place.asarray(np.array(array))


def steps_on(place, mlp, optimizer, examples, state, arithmetic="native"):
    """`Steps` from a state of the host, a copy of it."""
    xp = namespace_of(arithmetic, place)
    own = map_state(lambda array: xp.asarray(copied_to(place, array)), state)
    settings = {"backend": place, "batch_size": BATCH, "seed": SEED}
    return xp, Steps(xp, mlp, optimizer, examples.kind, own, **settings)


def order_of(epoch, has):
    return permutation(SEED, "shuffle", epoch, COUNT) if "order" in has else None


def epochs_of(place, name, dtype="float64", arithmetic="native", epochs=2, at_once=None):
    """The losses and the state after some epochs, as NumPy arrays by name."""
    mlp, optimizer, has = network_of(name)
    state = state_under_way(mlp, optimizer, dtype)
    examples = examples_on(place, has, dtype, namespace_of(arithmetic, place))
    xp, steps = steps_on(place, mlp, optimizer, examples, state, arithmetic)
    losses = []
    for epoch in range(epochs):
        order = order_of(epoch, has)
        order = None if order is None else xp.asarray(place.asarray(order))
        record = LossRecord(xp, place)
        starts = range(0, COUNT, BATCH)
        while starts:
            count = at_once or steps.at_once
            steps.take(optimizer, replace(examples, order=order), starts[:count], record)
            starts = starts[count:]
        losses.append(record.mean())
    return named(unwrapped(steps.state), place) | {"losses": np.asarray(losses)}


def named(state, place):
    trees = {"parameters": state.parameters, "buffers": state.buffers, **state.slots}
    return {
        f"{kind} {index} {name}": place.to_numpy(array)
        for kind, tree in trees.items()
        for index, layer in enumerate(tree)
        for name, array in layer.items()
    }


@cache
def of_numpy_uncompiled(name):
    return epochs_of(Uncompiled(NUMPY), name, "float32", "reproducible")


SLOW = pytest.mark.slow
WAYS = {
    "as it is": lambda backend: backend,
    "single steps": SingleSteps,
    "uncompiled": Uncompiled,
}


QUICK_OF = {"simulated_cupy": ("adam",)}  # whose operations are slow


# What reproducible steps promise: every way, library and case has the bits of NumPy uncompiled.
@pytest.mark.parametrize(
    ("spec", "name", "way"),
    [
        pytest.param(
            spec,
            name,
            way,
            marks=[pytest.mark.simulated_cupy] * (spec == "simulated_cupy")
            + [SLOW] * (spec == "jax" or name not in QUICK_OF.get(spec, ("plain", "adam"))),
        )
        for spec in ("numpy", "torch", "array_api_strict", "simulated_cupy", "jax")
        for name in ("plain", "adam", "adamw", "rmsprop", "muon")
        for way in WAYS
        # JAX compiles for half a minute: one case, in two ways; recorded runs have all optimizers.
        if spec != "jax" or (name == "adam" and way != "single steps")
    ],
)
def test_reproducible_steps_have_the_same_bits_in_every_way(spec, name, way):
    if spec == "simulated_cupy":
        backend = SimulatedCupyBackend()
    else:
        pytest.importorskip(spec)
        backend = get_backend(spec)
    expected = of_numpy_uncompiled(name)
    found = epochs_of(WAYS[way](backend), name, "float32", "reproducible", at_once=3)
    assert found.keys() == expected.keys()
    for key, array in expected.items():
        assert found[key].tobytes() == array.tobytes(), key


# Recorded steps, compiled ones and loops: but for roundings, the same.
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("spec", ["numpy", pytest.param("jax", marks=pytest.mark.slow)])
def test_many_steps_in_one_call_are_those_taken_one_by_one(spec, name, monkeypatch):
    if name == "rmsprop":
        pytest.skip("before batch normalization a bias has no gradient but rounding")
    pytest.importorskip(spec)
    monkeypatch.setattr(steps_module, "SECONDS_PER_CALL", 1e9)
    backend = get_backend(spec)
    backend = Looping(backend) if spec == "numpy" else backend
    monkeypatch.setattr("pluggable_mlp.training.steps.own", lambda xp, name: None)  # no updater
    found = epochs_of(backend, name, epochs=4)
    expected = epochs_of(Uncompiled(NUMPY), name, epochs=4)
    for key, array in expected.items():
        np.testing.assert_allclose(found[key], array, rtol=1e-11, atol=1e-13, err_msg=key)


QUICK = [("jax", name, "float32") for name in ("schedule", "adam", "muon")]
QUICK += [("torch", "schedule", "float32")]
SLOW = [
    pytest.param(library, name, dtype, marks=pytest.mark.slow)
    for library in ("jax", "torch")
    # They compile for up to half a minute: each case in one dtype; "schedule" has all of "plain".
    for place, name in enumerate(CASES)
    for dtype in [("float64", "float32")[place % 2]]
    if name != "plain" and (library, name, "float32") not in QUICK
]


@pytest.mark.parametrize(("library", "name", "dtype"), [*QUICK, *SLOW])
def test_compiled_steps_are_within_the_bound(library, name, dtype, monkeypatch):
    """Two epochs; every step starts where the one of NumPy, uncompiled, does."""
    if library == "torch":  # as on a GPU, where whole steps are compiled
        monkeypatch.setattr("pluggable_mlp.training.steps.own", lambda xp, name: None)
    compiler = compiler_of(library)
    mlp, optimizer, has = network_of(name)
    bounded = BoundedLibrary(dtype)
    state = state_under_way(mlp, optimizer, dtype)
    for number in range(6):
        epoch, place = divmod(number, 3)

        def batch_on(place_of, xp, epoch=epoch, place=place):
            examples = examples_on(place_of, has, dtype)
            order = order_of(epoch, has)
            order = None if order is None else place_of.asarray(order)
            return replace(examples, order=order).batch(xp, place * BATCH, BATCH)

        def step_on(where, batch_on=batch_on, before=state):
            own = map_state(partial(copied_to, where), before)
            coefficients = optimizer.coefficients_at(before.t)
            batch = batch_on(where, where.xp)
            return step(where.xp, mlp, optimizer, own, batch, coefficients, SEED)

        examples = examples_on(compiler, has, dtype)
        order = order_of(epoch, has)
        order = None if order is None else compiler.asarray(order)
        xp, steps = steps_on(SingleSteps(compiler), mlp, optimizer, examples, state)
        record = LossRecord(xp, compiler)
        steps.take(optimizer, replace(examples, order=order), [place * BATCH], record)
        found = named(steps.state, compiler) | {"loss": np.asarray(record.mean(), dtype=dtype)}
        with np.errstate(all="ignore"):  # of bounds
            bound_of_loss, bounds = step_on(bounded)
        loss, expected = step_on(NUMPY)
        limits = {
            f"{kind} {index} {key}": array
            for kind, tree in {
                "parameters": bounds.parameters,
                "buffers": bounds.buffers,
                **bounds.slots,
            }.items()
            for index, layer in enumerate(tree)
            for key, array in layer.items()
        } | {"loss": bound_of_loss}
        for key, right in (named(expected, NUMPY) | {"loss": loss}).items():
            assert part_of_bound(np.asarray(right), found[key], limits[key]) <= 1.0, (key, number)
        state = expected
    assert compiler.calls == 6


@pytest.mark.parametrize("order", [None, [4, 0, 3, 1, 2]], ids=["as they come", "ordered"])
@pytest.mark.parametrize("size", [2, 5])
def test_a_batch_may_begin_at_an_array(order, size):
    """Where a compiler traces its place; weights and pixels too; size 5 is all there is."""
    pytest.importorskip("jax")
    for backend in (NUMPY, get_backend("jax:cpu")):
        data = np.arange(15, dtype=np.uint8).reshape(5, 3), np.arange(5), np.arange(5.0)
        inputs, labels, weights = map(backend.asarray, data)
        places = None if order is None else backend.asarray(order)
        examples = Examples(inputs, labels, backend.xp.float64, 0.25, weights, places)
        for start in range(0, 5, size)[: 5 // size]:
            rows = (order or list(range(5)))[start : start + size]
            for place in (start, backend.asarray(start)) if backend is not NUMPY else (start,):
                x, targets, sample_weight = examples.batch_of(backend.xp, place, size)
                assert backend.to_numpy(x).tolist() == (data[0][rows] * 0.25).tolist()
                assert backend.to_numpy(targets).tolist() == rows
                assert backend.to_numpy(sample_weight).tolist() == rows


@pytest.mark.parametrize("number", [0, 7, 2**32 + 3])
@pytest.mark.parametrize("library", ["jax", "torch"])
def test_a_compiled_step_draws_the_same_random_numbers(library, number):
    """For a count and words of a seed that it does not know."""
    backend = compiler_of(library)

    def draw(step, low, high):
        address = {"stream": 1, "device": None, "step": step}
        return random_numbers(backend.xp, 20, seed=(low, high), **address)

    drawn = backend.compile(draw)(number, 5, 2**31)
    expected = random_numbers(NUMPY.xp, 20, seed=2**63 + 5, stream=1, step=number, device=None)
    assert backend.to_numpy(drawn).tolist() == expected.tolist()


# What is compiled, and how often.


def epochs(backend, optimizer, *, has="", arithmetic="native", heard=None, **settings):
    """The start of a training, and each of its epochs with a copy of what it yielded."""
    norm = settings.pop("norm", "batch" if not isinstance(optimizer, LBFGS) else None)
    mlp = MLP([4, 4, 4], norm=norm, dropout=settings.pop("dropout", 0.0))
    start = mlp.initialize(seed=0, backend=backend, dtype="float64")
    settings = {"batch_size": BATCH, "epochs": 3, "seed": SEED, **settings}
    progress = training(
        mlp,
        start,
        examples_on(backend, has, "float64", namespace_of(arithmetic, backend)),
        backend=backend,
        optimizer=optimizer,
        arithmetic=arithmetic,
        **settings,
    )
    if heard is not None:
        progress = noted(heard, progress)
    return start, [(epoch, contents(backend, epoch)) for epoch in results_of(progress)]


def noted(heard, progress):
    """Note how many examples each call visited."""
    for one in progress:
        heard.append(one.count)
        yield one


def contents(backend, epoch):
    """What an epoch yielded, as bytes."""
    parameters, buffers, slots, t = epoch.state
    remembered = [*slots.values()] if isinstance(slots, dict) else [slots.gradients]
    trees = [epoch.parameters, parameters, buffers, *remembered]
    arrays = [layer[name] for tree in trees for layer in tree for name in sorted(layer)]
    return t, epoch.train_loss, [backend.to_numpy(array).tobytes() for array in arrays]


@pytest.mark.slow
def test_neither_rate_nor_count_is_compiled_in():
    compiler = Counting(SingleSteps(get_backend("jax" if pytest.importorskip("jax") else "")))
    epochs(compiler, Adam(learning_rate=rate))
    # Steps on 6 and on 4 examples, 2 and 1 of them in each epoch; and what stacks their 3 losses.
    assert (compiler.given, compiler.runs, compiler.calls) == (3, 3, 9 + 3)


@pytest.mark.parametrize(
    "arithmetic", ["native", pytest.param("reproducible", marks=pytest.mark.slow)]
)
def test_a_grid_of_rates_and_seeds_compiles_once(arithmetic, monkeypatch):
    """Dropout, too: the seed is an argument of what is compiled."""
    pytest.importorskip("jax")
    traced, forward = [], MLP.forward

    def traced_forward(*arguments):
        traced.append(arguments)
        return forward(*arguments)

    monkeypatch.setattr(MLP, "forward", traced_forward)
    losses, counts = [], []
    for place, learning_rate in enumerate([0.5, 0.1, 0.01, rate]):
        _, found = epochs(
            get_backend("jax:cpu"),
            make_optimizer("sgd", learning_rate=learning_rate, momentum=0.9),
            arithmetic=arithmetic,
            seed=place,
            norm=None,
            dropout=0.5,
            epochs=1,
        )
        losses.append(found[0][0].train_loss)
        counts.append(len(traced))
    assert counts[0] > 0
    assert counts == [counts[0]] * 4
    assert len({*losses}) == 4


@pytest.mark.parametrize("settings", [{}, {"clip_norm": 0.1, "average": 0.9}], ids=str)
def test_what_is_compiled_for_one_rate_and_seed_serves_others(settings):
    given = []
    for seed, learning_rate in enumerate([0.5, 0.1, rate]):
        counted = Counting(Uncompiled(NUMPY))
        optimizer = make_optimizer("sgd", learning_rate=learning_rate, **settings)
        epochs(counted, optimizer, seed=seed, dropout=0.5, epochs=1)
        given.append(counted.given)
    assert given[0] > 0
    assert given[1:] == [0, 0]


def test_what_is_compiled_for_one_device_does_not_serve_others():
    given = []
    for device in ("cpu", "another", "cpu"):
        counted = Counting(Uncompiled(NUMPY))
        counted.device = device
        epochs(counted, SGD(), epochs=1)
        given.append(counted.given)
    assert given[0] == given[1] > given[2] == 0


@pytest.mark.parametrize(
    ("optimizer", "batch_size"), [(SGD(), 15), (make_optimizer("adam", average=0.9), BATCH)]
)
def test_what_was_given_and_what_was_yielded_stays_as_it_was(optimizer, batch_size):
    """The memory of the steps between is written over; a batch of one moves no variance."""
    compiler = compiler_of("jax")
    start, yielded = epochs(compiler, optimizer, batch_size=batch_size)
    assert [contents(compiler, epoch) for epoch, _ in yielded] == [then for _, then in yielded]
    again, _ = epochs(NUMPY, optimizer, batch_size=batch_size, epochs=1)
    for one, other in zip(start, again, strict=True):
        assert all(compiler.to_numpy(one[key]).tolist() == other[key].tolist() for key in other)


@pytest.mark.parametrize("arithmetic", ["native", "reproducible"])
@pytest.mark.parametrize("optimizer", [Adam(), make_optimizer("sgd", momentum=0.9, average=0.9)])
@pytest.mark.parametrize("batch_size", [BATCH, COUNT])
def test_what_was_yielded_is_not_used_up(optimizer, batch_size, arithmetic, monkeypatch):
    monkeypatch.setattr("pluggable_mlp.training.steps.own", lambda xp, name: None)  # no updater
    settings = {"batch_size": batch_size, "arithmetic": arithmetic}
    start, yielded = epochs(Spoiling(NUMPY), optimizer, **settings)
    _, plain = epochs(Uncompiled(NUMPY), optimizer, **settings)
    assert [contents(NUMPY, epoch) for epoch, _ in yielded] == [then for _, then in plain]
    assert all(np.isfinite(array).all() for layer in start for array in layer.values())


@pytest.mark.parametrize("arithmetic", ["native", "reproducible"])
def test_steps_do_not_outlive_their_training(arithmetic):
    """Memory of a GPU is not what the garbage collector counts."""
    mlp, optimizer, has = network_of("adam")
    examples = examples_on(NUMPY, has, "float64", namespace_of(arithmetic, NUMPY))
    state = state_under_way(mlp, optimizer, "float64")
    xp, steps = steps_on(NUMPY, mlp, optimizer, examples, state, arithmetic)
    gc.disable()
    try:
        steps.take(optimizer, examples, [0, 6], LossRecord(xp, NUMPY))
        reference = weakref.ref(steps)
        del steps
        assert reference() is None
    finally:
        gc.enable()


def test_the_state_may_be_asked_for_at_any_time():
    """And later steps leave it as it was."""
    mlp, optimizer, has = network_of("adam")
    examples = examples_on(NUMPY, has, "float64")
    state = state_under_way(mlp, optimizer, "float64")
    xp, steps = steps_on(NUMPY, mlp, optimizer, examples, state)
    record, kept = LossRecord(xp, NUMPY), []
    for start in (0, 6, 12, 0, 6):
        kept.append((steps.state, map_nested(np.copy, steps.state)))
        steps.take(optimizer, examples, [start], record)
    for handed_out, copied in kept:
        assert str(handed_out) == str(copied)
    assert len({str(copied) for _, copied in kept}) == 5


def test_a_state_that_was_set_stays_as_it_was(monkeypatch):
    monkeypatch.setattr("pluggable_mlp.training.steps.own", lambda xp, name: None)  # no updater
    spoiling, (mlp, optimizer, has) = Spoiling(NUMPY), network_of("adam")
    examples = examples_on(NUMPY, has, "float64")
    state = state_under_way(mlp, optimizer, "float64")
    xp, steps = steps_on(spoiling, mlp, optimizer, examples, state)
    steps.take(optimizer, examples, [0], LossRecord(xp, NUMPY))
    steps.state, before = state, map_nested(np.copy, state)
    steps.take(optimizer, examples, [6], LossRecord(xp, NUMPY))
    assert str(state) == str(before) != str(steps.state)


def test_the_parameters_keep_the_order_of_their_names():
    """JAX sorts the names of a dict, and hashes of parameters go by their order."""
    start, yielded = epochs(compiler_of("jax"), SGD(), epochs=1)
    names = [list(layer) for layer in start]
    assert any(own != sorted(own) for own in names)
    assert [list(layer) for layer in yielded[0][0].parameters] == names


def test_a_line_search_is_not_compiled():
    counting_compiler = Counting(NUMPY)
    epochs(counting_compiler, LBFGS(), batch_size=COUNT)
    assert counting_compiler.calls == 0


@pytest.mark.parametrize("has", ["", "weights", "pixels"])
@pytest.mark.parametrize("shuffle", [True, False])
def test_what_is_compiled_is_written_in_the_standard(shuffle, has):
    """A compiler that does nothing changes no bit, and one that declines is not missed."""
    strict = get_backend("array_api_strict:device1")
    counted = Counting(Uncompiled(strict))
    declining = Uncompiled(strict)
    declining.compile = lambda function, used_up=(), exact=False, most=1: None
    for batch_size in (BATCH, COUNT):
        settings = {"has": has, "shuffle": shuffle, "batch_size": batch_size}
        found, *others = (
            [then for _, then in epochs(place, Adam(), **settings)[1]]
            for place in (counted, Uncompiled(strict), declining)
        )
        assert others == [found, found]
    assert counted.calls == 3 * 3 + 3  # epochs of three steps, and of one


# How many steps are taken together.


@pytest.mark.simulated_cupy
def test_many_steps_are_taken_together_only_where_that_helps():
    """In one call of the backend, or between two looks; those of L-BFGS never."""
    cupy = SimulatedCupyBackend()

    def at_first(backend, arithmetic="native", optimizer=None):
        kind = examples_on(backend, "", "float64").kind
        mlp = MLP([4, 2])
        start = mlp.initialize(seed=0, backend=backend, dtype="float64")
        xp = namespace_of(arithmetic, backend)
        optimizer = optimizer or SGD()
        state = initial_state(xp, mlp, start, optimizer)
        return Steps(xp, mlp, optimizer, kind, state, backend=backend, batch_size=4, seed=0).at_once

    assert at_first(NUMPY) == at_first(cupy) == 1
    assert at_first(Uncompiled(NUMPY), "reproducible") == 1  # a look costs nothing there
    assert at_first(NUMPY, "reproducible") == STEPS_BETWEEN_LOOKS
    assert at_first(cupy, "reproducible") == STEPS_BETWEEN_LOOKS
    assert at_first(NUMPY, "native", LBFGS()) == at_first(cupy, "reproducible", LBFGS()) == 1


def looping_steps(monkeypatch, batch_size=1):
    monkeypatch.setattr("pluggable_mlp.training.steps.own", lambda xp, name: None)  # no updater
    backend, mlp = Looping(NUMPY), MLP([4, 2])
    examples = examples_on(backend, "", "float64")
    start = mlp.initialize(seed=0, backend=backend, dtype="float64")
    state = initial_state(backend.xp, mlp, start, SGD())
    settings = {"backend": backend, "batch_size": batch_size, "seed": 0}
    return Steps(backend.xp, mlp, SGD(), examples.kind, state, **settings), examples


def test_a_call_takes_about_a_twentieth_of_a_second(monkeypatch):
    """Whatever a step takes: callbacks, the display and checkpoints come between calls."""
    steps, _ = looping_steps(monkeypatch)
    found = []
    for seconds_per_step in [0.5, *[1e-4] * 5, *[0.02] * 2, 1.0, 1.0]:  # compiling, then steps
        steps._adapt(steps.at_once, steps.at_once * seconds_per_step)
        found.append(steps.at_once)
    assert found == [1, 8, 64, 500, 500, 500, 2, 2, 1, 1]
    for _ in range(9):
        steps._adapt(steps.at_once, 1e-9)
    assert steps.at_once == STEPS_PER_CALL


@pytest.mark.parametrize(("seconds", "count"), [(0.01, 512), (1.0, 5)])
def test_fewer_steps_than_were_allowed_only_lower_the_number(monkeypatch, seconds, count):
    """As at the end of an epoch: most of a quick call may be the call itself."""
    steps, _ = looping_steps(monkeypatch)
    steps.at_once = 512
    steps._adapt(100, seconds)
    assert steps.at_once == count


def test_callbacks_hear_of_each_call(monkeypatch):
    """16 batches: 1, as the first call compiles, then 8 times as many, within a second."""
    monkeypatch.setattr(steps_module, "SECONDS_PER_CALL", 1e9)
    monkeypatch.setattr("pluggable_mlp.training.steps.own", lambda xp, name: None)  # no updater
    heard = []
    epochs(Looping(NUMPY), SGD(0.5), epochs=1, batch_size=1, norm=None, heard=heard)
    assert heard == [1, 8, 7, 0]  # the end of the epoch


@pytest.mark.parametrize("counts", [range(3, 9), range(250, 2000)])
@pytest.mark.parametrize(
    "optimizer",
    [
        SGD(0.5),
        SGD(rate),
        Adam(),
        Adam(rate, beta1=0.0),
        make_optimizer("adamw"),
        make_optimizer("adam", average=0.9),
    ],
)
def test_coefficients_of_many_steps_are_those_of_each(optimizer, counts):
    each = [optimizer.coefficients_at(t) for t in counts]
    expected = {name: [c[name] for c in each] for name in each[0]}
    assert optimizer.coefficients_of(counts) == expected


class Halving(SGD):
    """Its coefficients depend on t, though its rate does not."""

    def coefficients(self, t, rate):
        return {"rate": rate / 2**t}


class Late(Adam):
    def coefficients_at(self, t):
        return super().coefficients_at(t + 1)


def test_a_subclass_has_its_own_coefficients():
    assert (
        Late().coefficients_of(range(2))["rate"][0] == Adam().coefficients_of(range(2))["rate"][1]
    )
    assert Halving(1.0).coefficients_of(range(3)) == {"rate": [1.0, 0.5, 0.25]}
