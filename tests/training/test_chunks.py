"""Chunks of steps: what many steps in one call give, and how many a chunk has."""

import numpy as np
import pytest

from pluggable_mlp import MLP, SGD, Adam, get_backend
from pluggable_mlp.namespaces import namespace_of
from pluggable_mlp.training.chunks import STEPS_PER_CALL, STEPS_PER_CHUNK, Pace, first_pace
from pluggable_mlp.training.components import make_optimizer
from pluggable_mlp.training.lbfgs import LBFGS
from pluggable_mlp.training.loop import training_epochs
from tests.simulated_cupy import SimulatedCupyBackend
from tests.training.compilers import BATCH, SEED, Uncompiled, examples_on, rate

NUMPY = get_backend("numpy")


class Looping(Uncompiled):
    """NumPy, with a loop of Python's as the call that takes many steps."""

    def compile_loop(self, function, most):
        def loop(carry, rows, shared, count):
            found = []
            for i in range(count):
                row = {name: np.asarray(column[i]) for name, column in rows.items()}
                carry, result = function(carry, i, row, shared)
                found.append(result)
            meaningless = np.full(most - count, np.nan)
            return carry, [
                None if each[0] is None else np.concat([np.stack(each), meaningless])
                for each in zip(*found, strict=True)
            ]

        return loop


def looping(spec):
    if spec == "numpy":
        return Looping(NUMPY)
    pytest.importorskip(spec)
    return get_backend(spec)


@pytest.mark.parametrize("spec", ["numpy", "jax"])
@pytest.mark.parametrize("has", ["", "order weights", "pixels"])
@pytest.mark.parametrize(
    ("norm", "optimizer"),
    [  # before batch normalization a bias has no gradient but rounding, which Adam would scale up
        ("batch", SGD(0.5)),
        ("layer", make_optimizer("adam", learning_rate=rate, average=0.9)),
    ],
)
def test_many_steps_in_one_call_are_those_taken_one_by_one(spec, has, norm, optimizer, monkeypatch):
    """Losses, parameters, buffers and slots in float64, but for roundings.

    Dropout's masks and the rate depend on t; two whole batches and a smaller one per epoch.
    """
    monkeypatch.setattr("pluggable_mlp.training.chunks.SECONDS_PER_CALL", 1e9)
    backend = looping(spec)
    assert hasattr(backend, "compile_loop")
    trained = []
    for place in (backend, Uncompiled(backend)):
        mlp = MLP([3, 8, 2], norm=norm, dropout=0.25)
        start = mlp.initialize(seed=0, backend=place, dtype="float64")
        first, *_, last = training_epochs(
            mlp,
            start,
            examples_on(place, has, "float64"),
            backend=place,
            optimizer=optimizer,
            arithmetic="native",
            epochs=3,
            seed=SEED,
            batch_size=BATCH,
            shuffle="order" in has,
        )
        slots = last.state.slots
        trees = [last.parameters, last.state.buffers, *(slots[name] for name in sorted(slots))]
        arrays = [of[name] for tree in trees for of in tree for name in sorted(of)]
        trained.append([last.train_loss, arrays])
        assert last.state.t == 9
        for tree in (start, first.parameters, first.state.parameters):  # not used up
            assert np.isfinite(place.to_numpy(tree[0]["W"])).all()
    (loss, arrays), (expected_loss, expected) = trained
    assert loss == pytest.approx(expected_loss, rel=1e-13)
    for array, right in zip(arrays, expected, strict=True):
        np.testing.assert_allclose(
            backend.to_numpy(array), backend.to_numpy(right), rtol=1e-11, atol=1e-13
        )


@pytest.mark.simulated_cupy
def test_a_chunk_has_many_steps_only_where_they_are_taken_together():
    """In one call of the backend, or without a look at values on a queue; those of L-BFGS never."""
    cupy = SimulatedCupyBackend()

    def at_first(backend, arithmetic="native", optimizer=None):
        return first_pace(namespace_of(arithmetic, backend), backend, optimizer or SGD())

    def at_most(*arguments):
        pace = at_first(*arguments)
        for _ in range(9):
            pace.note(pace.steps, 1e-9)
        return pace.steps

    assert at_most(NUMPY) == at_most(NUMPY, "reproducible") == at_most(cupy) == 1
    assert at_first(cupy, "reproducible").steps == at_most(cupy, "reproducible") == STEPS_PER_CHUNK
    assert at_first(Looping(NUMPY)).steps == 1
    assert at_most(Looping(NUMPY)) == STEPS_PER_CALL
    assert at_most(Looping(NUMPY), "reproducible") == 1
    assert at_most(Looping(NUMPY), "native", LBFGS()) == 1
    assert at_most(cupy, "reproducible", LBFGS()) == 1


def test_a_call_takes_about_a_twentieth_of_a_second():
    """Whatever a step takes: callbacks, the display and checkpoints come between calls."""
    pace, steps = Pace(1, 4096), []
    for seconds_per_step in [0.5, *[1e-4] * 5, *[0.02] * 2, 1.0, 1.0]:  # compiling, then steps
        pace.note(pace.steps, pace.steps * seconds_per_step)
        steps.append(pace.steps)
    assert steps == [1, 8, 64, 500, 500, 500, 2, 2, 1, 1]


@pytest.mark.parametrize(("seconds", "steps"), [(0.01, 512), (1.0, 5)])
def test_fewer_steps_than_were_allowed_lower_the_pace_alone(seconds, steps):
    """As at the end of an epoch: most of a quick call may be the call itself."""
    pace = Pace(512, 4096)
    pace.note(100, seconds)
    assert pace.steps == steps


def test_quick_steps_are_taken_together_and_callbacks_hear_of_each_call(monkeypatch):
    """64 batches: 1, 1 as the first call compiles, then 8 times as many each, within a second."""
    monkeypatch.setattr("pluggable_mlp.training.chunks.SECONDS_PER_CALL", 1e9)
    backend, heard = Looping(NUMPY), []
    mlp = MLP([3, 2])
    (_,) = training_epochs(
        mlp,
        mlp.initialize(seed=0, backend=backend, dtype="float64"),
        examples_on(backend, "", "float64"),
        backend=backend,
        optimizer=SGD(0.5),
        arithmetic="native",
        epochs=1,
        seed=SEED,
        batch_size=1,
        shuffle=False,
        on_batch=heard.append,
    )
    assert heard == [1, 8, 7]


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
