"""Steps between two looks: the bits of steps that look, whatever turns extreme on the way."""

import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pluggable_mlp import MLP, SGD, DivergenceError, get_backend, train
from pluggable_mlp.training import blind_steps, chunks, kept, loop
from pluggable_mlp.training.examples import make_examples
from pluggable_mlp.training.optimizers import Adam
from tests.simulated_cupy import SimulatedCupyBackend, counting

NUMPY = get_backend("numpy")
BATCH, CHUNK = 4, 3


@pytest.fixture(autouse=True)
def short_chunks(monkeypatch):
    monkeypatch.setattr(chunks, "STEPS_PER_CHUNK", CHUNK)


@pytest.fixture
def verdicts(monkeypatch):
    """Whether each chunk that was taken blindly was right."""
    found = []

    class Noting(blind_steps.BlindSteps):
        def __call__(self, *arguments):
            *results, right = super().__call__(*arguments)
            found.append(right)
            return (*results, right)

    monkeypatch.setattr(chunks, "BlindSteps", Noting)
    return found


def examples(steps, dtype="float64"):
    rng = np.random.default_rng(0)
    return rng.normal(size=(steps * BATCH + 2, 5)).astype(dtype), rng.integers(
        0, 3, steps * BATCH + 2
    )


def trained(backend, x, y, dtype="float64", **settings):
    settings = {"batch_size": BATCH, "arithmetic": "reproducible", "shuffle": False} | settings
    with np.errstate(all="ignore"):
        result = train(MLP([5, 4, 3]), x, y, backend=backend, dtype=dtype, **settings)
    arrays = [
        backend.to_numpy(layer[name]).tobytes() for layer in result.parameters for name in "Wb"
    ]
    return result.history, arrays


# In the middle of an epoch: examples so small or so large that a product needs care.
EXTREMES = {"small": 2.0**-440, "large": 2.0**440, "both": np.asarray([[2.0**-600], [2.0**500]])}


# JAX needs half a minute to compile the single operations of steps that look.
@pytest.mark.parametrize(
    ("kind", "optimizer"),
    [
        ("both", SGD(0.5)),
        pytest.param("both", Adam(0.01), marks=pytest.mark.slow),
        pytest.param("small", SGD(0.5), marks=pytest.mark.slow),
        pytest.param("large", SGD(0.5), marks=pytest.mark.slow),
    ],
)
def test_data_that_turn_extreme_in_the_middle_of_an_epoch(backend, verdicts, kind, optimizer):
    x, y = examples(8)  # chunks of 3, 3 and, with the smaller batch, 3 steps
    x[18:20] *= EXTREMES[kind]
    found = trained(backend, x, y, optimizer=optimizer, epochs=2)
    seen = list(verdicts)
    assert found == trained(NUMPY, x, y, optimizer=optimizer, epochs=2)
    if getattr(backend, "queued", False):
        assert seen == [True, False, True] * 2
    else:
        assert seen == []  # a look costs nothing there


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_usual_data_are_never_taken_again(backend, verdicts, dtype):
    x, y = examples(8, dtype)
    weights = np.linspace(0.5, 2.0, len(y))
    settings = {"dtype": dtype, "sample_weight": weights, "shuffle": True, "epochs": 1}
    found = trained(backend, x, y, **settings)
    seen = list(verdicts)
    assert found == trained(NUMPY, x, y, **settings)
    assert all(seen)


@pytest.mark.parametrize("network", [{"dropout": 0.5, "norm": "batch"}, {"norm": "layer"}])
def test_pixels_dropout_and_normalization(backend, network):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, size=(14, 5), dtype=np.uint8), rng.integers(0, 3, 14)

    def run(backend):
        result = train(
            MLP([5, 4, 3], **network),
            x,
            y,
            backend=backend,
            scale=1 / 256,
            arithmetic="reproducible",
            batch_size=BATCH,
            epochs=1,
        )
        return result.history, [
            backend.to_numpy(array).tobytes()
            for layer in result.parameters
            for _, array in sorted(layer.items())
        ]

    assert run(backend) == run(NUMPY)


@pytest.mark.slow
def test_divergence_is_told_as_by_steps_that_look(backend):
    x = examples(8, "float32")[0] * 1e18
    targets = x[:, :3] * 1e10

    def message(backend):
        with pytest.raises(DivergenceError) as raised:
            train(
                MLP([5, 4, 3], activation="relu", loss="squared_error"),
                x,
                targets,
                backend=backend,
                arithmetic="reproducible",
                batch_size=BATCH,
                optimizer=SGD(0.1),
            )
        return str(raised.value)

    with np.errstate(all="ignore"):
        assert message(backend) == message(NUMPY)


def evaluated(backend, factor=1.0, weighted=False):
    x, y = examples(8)
    x[18:20] *= factor
    weights = np.linspace(0.5, 2.0, len(y)) if weighted else None
    mlp = MLP([5, 4, 3])
    settings = {"backend": backend, "arithmetic": "reproducible"}
    held = make_examples(mlp, x, y, dtype="float64", sample_weight=weights, **settings)
    parameters = mlp.initialize(seed=0, backend=backend, dtype="float64")
    return loop.evaluate(mlp, parameters, held, batch_size=20, **settings)


@pytest.mark.parametrize("weighted", [False, True])
def test_evaluation_gives_the_bits_of_one_that_looks(backend, weighted):
    assert evaluated(backend, weighted=weighted) == evaluated(NUMPY, weighted=weighted)


@pytest.mark.slow
def test_evaluation_of_extreme_data(backend):
    assert evaluated(backend, EXTREMES["both"]) == evaluated(NUMPY, EXTREMES["both"])


@pytest.mark.simulated_cupy
def test_an_evaluation_that_was_wrong_is_done_again():
    cupy = SimulatedCupyBackend()
    assert evaluated(cupy, 2.0**1000) == evaluated(NUMPY, 2.0**1000)  # its grid overflows


def waits(steps):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(steps * BATCH, 5)).astype(np.float32)
    with counting() as counts:
        trained(SimulatedCupyBackend(), x, rng.integers(0, 3, len(x)), dtype="float32", epochs=1)
    return counts.waits


@pytest.mark.simulated_cupy
def test_the_device_is_waited_for_once_a_chunk():
    waits(1)  # tries the device's products
    one, three = waits(CHUNK), waits(3 * CHUNK)
    assert (three - one).total() == 2
    assert waits(CHUNK - 1) == one


def test_a_chunk_is_one_state_and_steps_are_compiled_once_for_each_size():
    jax = pytest.importorskip("jax")
    backend = get_backend("jax:cpu")
    given, runs, calls = [], [], []

    class Noting:
        queued = True

        def __getattr__(self, name):
            return getattr(backend, name)

        def compile_exactly(self, function, used_up=()):
            given.append(used_up)

            def run(*arguments):
                runs.append(arguments)
                return function(*arguments)

            compiled = backend.compile_exactly(run, used_up)

            def call(*arguments):
                calls.append(arguments[1])
                return compiled(*arguments)

            return call

    x, y = examples(8)
    start = MLP([5, 4, 3]).initialize(seed=0, backend=backend, dtype="float64")
    trained(Noting(), x, y, epochs=2, parameters=start)
    assert given == [(0,), (0,)]
    assert len(runs) == 2
    assert calls == list(range(18))
    assert not any(array.is_deleted() for array in jax.tree.leaves(start))


def test_equal_trainings_share_what_was_compiled():
    jax = pytest.importorskip("jax")
    given = []

    class Noting:
        queued = True

        def __init__(self):
            self._backend = get_backend("jax:cpu")

        def __getattr__(self, name):
            return getattr(self._backend, name)

        def compile_exactly(self, function, used_up=()):
            given.append(function)
            return jax.jit(function, donate_argnums=used_up)

    x, y = examples(8)
    settings = {"optimizer": SGD(0.5), "seed": 1}
    for changed, compiled in (
        ({}, 2),  # of either size of batch
        ({"epochs": 2}, 2),
        ({"optimizer": SGD(0.5)}, 2),
        ({"optimizer": SGD(0.25)}, 4),
        ({"seed": 2}, 6),
        ({"batch_size": 5}, 7),  # batches of 4 are known
        ({}, 7),
    ):
        trained(Noting(), x, y, **settings | changed)
        assert len(given) == compiled, changed


def test_what_several_threads_ask_for_is_made_once(monkeypatch):
    """Compiling takes seconds: who asks meanwhile waits for it."""
    monkeypatch.setattr(kept, "_recent", deque(maxlen=2))
    made = []

    def make():
        time.sleep(0.01)
        made.append(object())
        return made[-1]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda key: kept.made_once((), (key,), make), [1] * 8))
    assert set(found) == {made[0]}
    assert len(made) == 1
