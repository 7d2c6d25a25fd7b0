"""`Steps`: one matrix of ways to take a step, namespaces and examples; and who owns the state.

The oracle is `step` on NumPy, an operation at a time, or, where roundings differ, its bounds.
"""

import gc
import weakref
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from pluggable_mlp import MLP, get_backend
from pluggable_mlp.arrays import map_nested
from pluggable_mlp.consistency.comparators import part_of_bound
from pluggable_mlp.host.randomness import permutation
from pluggable_mlp.namespaces import namespace_of
from pluggable_mlp.network.layers import as_words
from pluggable_mlp.network.parameters import map_arrays
from pluggable_mlp.training.components import make_optimizer
from pluggable_mlp.training.losses import LossRecord
from pluggable_mlp.training.step import StepModel, TrainState, initial_state, step
from pluggable_mlp.training.steps import Steps
from tests.consistency.libraries import BoundedLibrary
from tests.training.compilers import (
    BATCH,
    COUNT,
    SEED,
    Looping,
    SingleSteps,
    Spoiling,
    Uncompiled,
    compiler_of,
    examples_on,
    rate,
)

NUMPY = get_backend("numpy")
pytestmark = pytest.mark.usefixtures("nothing_kept")


# Networks, optimizers, and what the examples have: each thing at least once.
CASES = {
    "plain": ({}, ("sgd", {}), ""),
    "schedule": ({"activation": "gelu"}, ("sgd", {"learning_rate": rate}), "order"),
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
    copied = map_nested(lambda array: xp.asarray(copied_to(place, array)), state)
    settings = {"backend": place, "batch_size": BATCH, "seed": SEED}
    return xp, Steps(xp, mlp, optimizer, examples.kind, copied, **settings)


def order_of(epoch, has):
    return permutation(SEED, "shuffle", epoch, COUNT) if "order" in has else None


def four_epochs(place, name):
    """The losses and the state after them, as NumPy arrays by name."""
    mlp, optimizer, has = network_of(name)
    state, examples = state_under_way(mlp, optimizer, "float64"), examples_on(place, has, "float64")
    xp, steps = steps_on(place, mlp, optimizer, examples, state)
    losses = []
    for epoch in range(4):
        order = map_nested(place.asarray, order_of(epoch, has))
        record = LossRecord(xp, place)
        starts = range(0, COUNT, BATCH)
        while starts:
            count = steps.at_once
            steps.take(optimizer, replace(examples, order=order), starts[:count], record)
            starts = starts[count:]
        losses.append(record.mean())
    return named(steps.state, place.to_numpy) | {"losses": np.asarray(losses)}


def named(state, converted=lambda array: array):
    trees = {"parameters": state.parameters, "buffers": state.buffers, **state.slots}
    return {
        f"{kind} {index} {name}": converted(array)
        for kind, tree in trees.items()
        for index, layer in enumerate(tree)
        for name, array in layer.items()
    }


# Recorded steps, compiled ones and loops: but for roundings, the same.  Not RMSprop's: before batch
# normalization a bias has no gradient but rounding.
@pytest.mark.parametrize("name", [name for name in CASES if name != "rmsprop"])
@pytest.mark.parametrize("spec", ["numpy", pytest.param("jax", marks=pytest.mark.slow)])
def test_many_steps_in_one_call_are_those_taken_one_by_one(spec, name, monkeypatch):
    pytest.importorskip(spec)
    backend = get_backend(spec)
    backend = Looping(backend) if spec == "numpy" else backend
    monkeypatch.setattr("pluggable_mlp.training.steps.own", lambda xp, name: None)  # no updater
    found = four_epochs(backend, name)
    expected = four_epochs(Uncompiled(NUMPY), name)
    for key, array in expected.items():
        np.testing.assert_allclose(found[key], array, rtol=1e-11, atol=1e-13, err_msg=key)


QUICK = [("jax", name, "float32") for name in ("schedule", "adam", "muon")]
QUICK += [("torch", "schedule", "float32")]
SLOW = [
    pytest.param(
        *(library, name, dtype),
        marks=[pytest.mark.slow] + [pytest.mark.nightly] * (library == "torch"),  # up to 16 s each
    )
    for library in ("jax", "torch")
    # Each case in one dtype; "schedule" has all of "plain".
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
            order = map_nested(place_of.asarray, order_of(epoch, has))
            return replace(examples, order=order).batch(xp, place * BATCH, BATCH)

        def step_on(where, batch_on=batch_on, before=state):
            copied = map_nested(partial(copied_to, where), before)
            coefficients = optimizer.coefficients_at(before.t)
            batch = batch_on(where, where.xp)
            address, model = (before.t, as_words(SEED), ()), StepModel(mlp, optimizer)
            loss, _, after = step(where.xp, model, coefficients, address, copied[:-1], batch)
            return loss, TrainState(*after, before.t + 1)

        examples = examples_on(compiler, has, dtype)
        order = map_nested(compiler.asarray, order_of(epoch, has))
        xp, steps = steps_on(SingleSteps(compiler), mlp, optimizer, examples, state)
        record = LossRecord(xp, compiler)
        steps.take(optimizer, replace(examples, order=order), [place * BATCH], record)
        found = named(steps.state, compiler.to_numpy) | {"loss": np.asarray(record.mean(), dtype)}
        with np.errstate(all="ignore"):  # of bounds
            bound_of_loss, bounds = step_on(bounded)
        loss, expected = step_on(NUMPY)
        limits = named(bounds) | {"loss": bound_of_loss}
        for key, right in (named(expected) | {"loss": loss}).items():
            assert part_of_bound(np.asarray(right), found[key], limits[key]) <= 1.0, (key, number)
        state = expected
    assert compiler.calls == 6


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
