"""`Steps` in trainings: what is compiled and how often, what stays as it was, how many at once."""

from dataclasses import replace

import numpy as np
import pytest

from pluggable_mlp import MLP, SGD, Adam, get_backend
from pluggable_mlp.namespaces import namespace_of
from pluggable_mlp.training import steps as steps_module
from pluggable_mlp.training.components import make_optimizer
from pluggable_mlp.training.loop import epochs_of as results_of
from pluggable_mlp.training.step import initial_state
from pluggable_mlp.training.steps import STEPS_PER_CALL, Steps
from tests.training.compilers import (
    BATCH,
    COUNT,
    SEED,
    Counting,
    Looping,
    Spoiling,
    Uncompiled,
    compiler_of,
    examples_on,
    rate,
)
from tests.training.loops import training

NUMPY = get_backend("numpy")
pytestmark = pytest.mark.usefixtures("nothing_kept")


# What is compiled, and how often.


def epochs(backend, optimizer, *, has="", arithmetic="native", heard=None, **settings):
    """The start of a training, and each of its epochs with a copy of what it yielded."""
    norm = settings.pop("norm", "batch")
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
    trees = [epoch.parameters, parameters, buffers, *slots.values()]
    arrays = [layer[name] for tree in trees for layer in tree for name in sorted(layer)]
    return t, epoch.train_loss, [backend.to_numpy(array).tobytes() for array in arrays]


@pytest.mark.parametrize("settings", [{}, {"clip_norm": 0.1, "average": 0.9}], ids=str)
def test_what_is_compiled_for_one_rate_and_seed_serves_others(settings):
    counts = []
    for seed, learning_rate in enumerate([0.5, 0.1, rate]):
        counted = Counting(Uncompiled(NUMPY))
        optimizer = make_optimizer("sgd", learning_rate=learning_rate, **settings)
        epochs(counted, optimizer, seed=seed, dropout=0.5, epochs=1)
        counts.append(counted.given)
    assert counts[0] > 0
    assert counts[1:] == [0, 0]


def test_what_is_compiled_for_one_device_does_not_serve_others():
    counts = []
    for device in ("cpu", "another", "cpu"):
        counted = Counting(Uncompiled(NUMPY))
        counted.device = device
        epochs(counted, SGD(), epochs=1)
        counts.append(counted.given)
    assert counts[0] == counts[1] > counts[2] == 0


@pytest.mark.parametrize(
    ("library", "most"), [("numpy", 0), ("torch", 0), ("jax", 0), ("jax", 2**16)]
)
@pytest.mark.parametrize(
    ("optimizer", "batch_size"), [(SGD(), 15), (make_optimizer("adam", average=0.9), BATCH)]
)
def test_what_was_given_and_yielded_stays(optimizer, batch_size, library, most, monkeypatch):
    """The memory of the steps between is written over; a batch of one moves no variance."""
    for limit in ("MANY_NUMBERS", "FEW_EXAMPLES"):  # of states that a call copies, orders it moves
        monkeypatch.setattr(steps_module, limit, most)
    compiler = compiler_of(library)
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


# How many steps are taken together.


def looping_steps(monkeypatch, batch_size=1):
    monkeypatch.setattr("pluggable_mlp.training.steps.own", lambda xp, name: None)  # no updater
    backend, mlp = Looping(NUMPY), MLP([4, 2])
    examples = examples_on(backend, "", "float64")
    start = mlp.initialize(seed=0, backend=backend, dtype="float64")
    state = initial_state(backend.xp, mlp, start, SGD())
    settings = {"backend": backend, "batch_size": batch_size, "seed": 0}
    return Steps(backend.xp, mlp, SGD(), examples.kind, state, **settings), examples


def test_all_numbers_of_a_state_and_of_an_order_count(monkeypatch):
    """Not those of the largest matrix or the examples alone; few examples of a batch as 64."""
    monkeypatch.setattr(steps_module, "MANY_NUMBERS", 10)  # 4 * 2 weights, 2 biases
    monkeypatch.setattr(steps_module, "FEW_EXAMPLES", COUNT)
    monkeypatch.setattr(steps_module, "PRODUCTS_OF_FIRST_CALL", 10 * 128)
    assert [looping_steps(monkeypatch, size)[0].at_once for size in (1, 64, 65)] == [2, 2, 1]
    steps, examples = looping_steps(monkeypatch)
    assert not steps._is_copied
    steps.backend.asarray = np.ones_like  # it moves an order
    orders = [np.zeros((COUNT, members)) for members in (1, 2)]
    placed = [steps.placed(replace(examples, order=order)).order for order in orders]
    assert [order.max() for order in placed] == [0, 1]


def test_a_call_takes_about_a_tenth_of_a_second(monkeypatch):
    """Whatever a step takes: callbacks, the display and checkpoints come between calls."""
    monkeypatch.setattr(steps_module, "PRODUCTS_OF_FIRST_CALL", 1)
    steps, _ = looping_steps(monkeypatch)
    found = []
    for seconds_per_step in [0.5, *[1e-4] * 5, *[0.02] * 2, 1.0, 1.0]:  # compiling, then steps
        steps._adapt(steps.at_once, steps.at_once * seconds_per_step)
        found.append(steps.at_once)
    assert found == [1, 8, 64, 512, 1000, 1000, 5, 5, 1, 1]
    for _ in range(9):
        steps._adapt(steps.at_once, 1e-9)
    assert steps.at_once == STEPS_PER_CALL


def test_callbacks_hear_of_each_call(monkeypatch):
    """16 batches: 1, as the parameters are 40 numbers, then 8 times as many."""
    monkeypatch.setattr(steps_module, "SECONDS_PER_CALL", 1e9)
    monkeypatch.setattr(steps_module, "PRODUCTS_OF_FIRST_CALL", 79)
    monkeypatch.setattr("pluggable_mlp.training.steps.own", lambda xp, name: None)  # no updater
    heard = []
    epochs(Looping(NUMPY), SGD(0.5), epochs=1, batch_size=1, norm=None, heard=heard)
    assert heard == [1, 8, 7, 0]  # the end of the epoch


def test_each_step_of_a_call_has_its_rate_of_dropout(monkeypatch):
    monkeypatch.setattr("pluggable_mlp.training.steps.own", lambda xp, name: None)  # no updater
    rates = [0.5, 0.0, 0.25, 0.8]
    settings = {"epochs": 1, "batch_size": 1, "norm": None, "dropout": lambda t: rates[t % 4]}
    [(found, _)], [(expected, _)] = (
        epochs(backend, SGD(0.5), **settings)[1] for backend in (Looping(NUMPY), Uncompiled(NUMPY))
    )
    assert found.train_loss == pytest.approx(expected.train_loss, rel=1e-12)
    for layer, other in zip(found.parameters, expected.parameters, strict=True):
        for name, array in layer.items():
            np.testing.assert_allclose(array, other[name], rtol=1e-10, err_msg=name)
