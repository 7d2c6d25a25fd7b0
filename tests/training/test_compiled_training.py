"""Whole trainings with a compiler: how often it compiles, what it leaves alone, where it is off."""

from collections import deque

import numpy as np
import pytest

from pluggable_mlp import MLP, SGD, get_backend
from pluggable_mlp.namespaces import ARITHMETICS, arithmetic_namespace
from pluggable_mlp.training import kept
from pluggable_mlp.training.components import make_optimizer
from pluggable_mlp.training.lbfgs import LBFGS
from pluggable_mlp.training.loop import training_epochs
from pluggable_mlp.training.optimizers import Adam
from tests.training.compilers import (
    BATCH,
    COUNT,
    SEED,
    Noting,
    SingleSteps,
    Uncompiled,
    Wrapped,
    compiler_of,
    examples_on,
    rate,
)

NUMPY = get_backend("numpy")


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch):
    monkeypatch.setattr(kept, "_recent", deque(maxlen=32))


@pytest.fixture
def compiler():
    return compiler_of("jax")


def epochs(backend, optimizer, *, has="", arithmetic="native", epochs=3, **settings):
    """The start of a training, and each of its epochs with a copy of what it yielded."""
    mlp = MLP([3, 4, 2], norm="batch" if not isinstance(optimizer, LBFGS) else None)
    start = mlp.initialize(seed=0, backend=backend, dtype="float64")
    settings = {"batch_size": BATCH, "shuffle": True, **settings}
    training = training_epochs(
        mlp,
        start,
        examples_on(backend, has, "float64", arithmetic_namespace(arithmetic, backend.xp)),
        backend=backend,
        optimizer=optimizer,
        arithmetic=arithmetic,
        epochs=epochs,
        seed=SEED,
        **settings,
    )
    return start, [(epoch, contents(backend, epoch)) for epoch in training]


def contents(backend, epoch):
    """What an epoch yielded, as bytes."""
    parameters, buffers, slots, t = epoch.state
    remembered = [*slots.values()] if isinstance(slots, dict) else [slots.gradients]
    trees = [epoch.parameters, parameters, buffers, *remembered]
    arrays = [layer[name] for tree in trees for layer in tree for name in sorted(layer)]
    return t, epoch.train_loss, [backend.to_numpy(array).tobytes() for array in arrays]


def test_a_training_compiles_once_for_each_size_of_a_batch(compiler):
    """Neither the rate nor Adam's corrections nor dropout's step are compiled in."""
    epochs(compiler, Adam(learning_rate=rate))
    # Steps on 6 and on 4 examples, 2 and 1 of them in each epoch; and what stacks their 3 losses.
    assert (compiler.given, compiler.runs, compiler.calls) == (3, 3, 9 + 3)


@pytest.mark.parametrize("compiles", [lambda backend: backend, SingleSteps])
def test_what_is_compiled_is_kept_for_the_next_training(compiles, monkeypatch):
    """In a loop of steps, and step by step."""
    pytest.importorskip("jax")
    traced, forward = [], MLP.forward

    def traced_forward(*arguments):
        traced.append(arguments)
        return forward(*arguments)

    monkeypatch.setattr(MLP, "forward", traced_forward)

    def train_again(rate=0.1):
        backend = compiles(get_backend("jax"))
        mlp = MLP([3, 4, 2], activation="tanh")
        start = mlp.initialize(seed=0, backend=backend, dtype="float64")
        data = examples_on(backend, "", "float64")
        settings = {"batch_size": BATCH, "arithmetic": "native", "seed": SEED, "epochs": 2}
        (*_, last) = training_epochs(
            mlp, start, data, backend=backend, optimizer=SGD(rate), **settings
        )
        return last.train_loss

    first, once = train_again(), len(traced)
    assert train_again() == first
    assert len(traced) == once > 0
    assert train_again(rate=0.2) != first


def test_losses_are_stacked_by_one_compiled_function(compiler, monkeypatch):
    monkeypatch.setattr("pluggable_mlp.training.records._LOSSES_A_STACK", 8)
    epochs(compiler, SGD(), batch_size=1, epochs=2)
    assert (compiler.given, compiler.runs, compiler.calls) == (2, 2, 32 + 4)


@pytest.mark.parametrize(
    ("optimizer", "batch_size"), [(SGD(), 15), (make_optimizer("adam", average=0.9), BATCH)]
)
def test_what_was_given_and_what_was_yielded_stays_as_it_was(compiler, optimizer, batch_size):
    """The memory of the steps between is written over; a batch of one moves no variance."""
    start, yielded = epochs(compiler, optimizer, batch_size=batch_size)
    assert [contents(compiler, epoch) for epoch, _ in yielded] == [then for _, then in yielded]
    again, _ = epochs(NUMPY, optimizer, batch_size=batch_size, epochs=1)
    for one, other in zip(start, again, strict=True):
        assert all(compiler.to_numpy(one[key]).tolist() == other[key].tolist() for key in other)


class Spoiling(Wrapped):
    """A compiler that leaves nothing in the arrays that a call used up, as it may."""

    def compile(self, function, used_up=()):
        def called(*arguments):
            results = function(*arguments)
            self.spoil([arguments[place] for place in used_up])
            return results

        return called

    def spoil(self, used):
        for part in used.values() if isinstance(used, dict) else used:
            if isinstance(part, np.ndarray):
                part.fill(np.nan)
            else:
                self.spoil(part)


@pytest.mark.parametrize("optimizer", [Adam(), make_optimizer("sgd", momentum=0.9, average=0.9)])
@pytest.mark.parametrize("batch_size", [BATCH, COUNT])
def test_what_was_yielded_is_not_used_up(optimizer, batch_size):
    start, yielded = epochs(Spoiling(NUMPY), optimizer, batch_size=batch_size)
    _, plain = epochs(Uncompiled(NUMPY), optimizer, batch_size=batch_size)
    assert [contents(NUMPY, epoch) for epoch, _ in yielded] == [then for _, then in plain]
    assert all(np.isfinite(array).all() for layer in start for array in layer.values())


def test_the_parameters_keep_the_order_of_their_names(compiler):
    """JAX sorts the names of a dict, and hashes of parameters go by their order."""
    start, yielded = epochs(compiler, SGD(), epochs=1)
    names = [list(layer) for layer in start]
    assert any(own != sorted(own) for own in names)
    assert [list(layer) for layer in yielded[0][0].parameters] == names


@pytest.mark.parametrize("arithmetic", [name for name in ARITHMETICS if name != "native"])
def test_where_bits_are_promised_nothing_is_compiled(arithmetic):
    noting = Noting(NUMPY)
    noted, plain = (
        [then for _, then in epochs(place, SGD(), arithmetic=arithmetic)[1]]
        for place in (noting, NUMPY)
    )
    assert noting.given == 0
    assert noted == plain


def test_a_line_search_is_not_compiled():
    noting = Noting(NUMPY)
    epochs(noting, LBFGS(), batch_size=COUNT)
    assert (noting.given, noting.calls) == (1, 3)  # what stacks losses


@pytest.mark.parametrize("has", ["", "weights", "pixels"])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("spec", ["numpy", "array_api_strict:device1"])
def test_what_is_compiled_is_written_in_the_standard(spec, shuffle, has):
    """A compiler that does nothing changes no bit, and one that declines is not missed."""
    noting = Noting(get_backend(spec))
    plain, declining = Uncompiled(noting), Uncompiled(noting)
    declining.compile = lambda function, used_up: None
    settings = {"has": has, "shuffle": shuffle}
    for batch_size in (BATCH, COUNT):
        noted, *others = (
            [then for _, then in epochs(place, Adam(), batch_size=batch_size, **settings)[1]]
            for place in (noting, plain, declining)
        )
        assert others == [noted, noted]
    # Three epochs, of three steps and of one; each stacks its losses, and weights if it has any.
    stacks = 2 if has == "weights" else 1
    assert noting.calls == 3 * (3 + stacks) + 3 * (1 + stacks)
