"""Chunks of steps: what many steps in one call give, and how many a chunk has."""

import numpy as np
import pytest

from pluggable_mlp import MLP, SGD, get_backend
from pluggable_mlp.namespaces import namespace_of
from pluggable_mlp.training.chunks import STEPS_PER_CHUNK, steps_at_once
from pluggable_mlp.training.components import make_optimizer
from pluggable_mlp.training.lbfgs import LBFGS
from pluggable_mlp.training.loop import training_epochs
from tests.simulated_cupy import SimulatedCupyBackend
from tests.training.compilers import BATCH, SEED, Uncompiled, examples_on, rate

NUMPY = get_backend("numpy")


class Looping(Uncompiled):
    """NumPy, with a loop of Python's as the call that takes many steps."""

    def compile_loop(self, function):
        def loop(carry, rows, shared, count):
            starts, counts, columns = rows
            found = []
            for i in range(count):
                row = {name: column[i, ...] for name, column in columns.items()}
                carry, result = function(carry, (starts[i, ...], counts[i, ...], row), shared)
                found.append(result)
            meaningless = np.full(len(starts) - count, np.nan)
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
def test_many_steps_in_one_call_are_those_taken_one_by_one(spec, has, norm, optimizer):
    """Losses, parameters, buffers and slots in float64, but for roundings.

    Dropout's masks and the rate depend on t; two whole batches and a smaller one per epoch.
    """
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


def test_a_chunk_has_many_steps_only_where_they_are_taken_together():
    """In one call of the backend, or without a look at values on a queue; those of L-BFGS never."""
    cupy = SimulatedCupyBackend()

    def at_most(backend, arithmetic="native", optimizer=None):
        return steps_at_once(namespace_of(arithmetic, backend), backend, optimizer or SGD())

    assert at_most(NUMPY) == at_most(NUMPY, "reproducible") == at_most(cupy) == 1
    assert at_most(Looping(NUMPY)) == at_most(cupy, "reproducible") == STEPS_PER_CHUNK
    assert at_most(Looping(NUMPY), "reproducible") == 1
    assert at_most(Looping(NUMPY), optimizer=LBFGS()) == 1
    assert at_most(cupy, "reproducible", LBFGS()) == 1
