"""Speculating steps have the bits of steps that look, whatever turns extreme on the way."""

from collections import Counter

import numpy as np
import pytest

from pluggable_mlp import MLP, SGD, Adam, DivergenceError, get_backend, train
from pluggable_mlp.training import steps as steps_module
from pluggable_mlp.training.evaluation import evaluate
from pluggable_mlp.training.examples import make_examples
from pluggable_mlp.training.steps import Steps
from tests.emulated_card import counting
from tests.training.compilers import Spoiling, Uncompiled

NUMPY = get_backend("numpy")
pytestmark = pytest.mark.usefixtures("nothing_kept")
FEW, BETWEEN_LOOKS = 4, 3
SIZES = [4, 4, 4]  # JAX compiles the operations of steps that look for each shape


@pytest.fixture
def short(monkeypatch):
    """Few steps between looks."""
    monkeypatch.setattr(steps_module, "STEPS_BETWEEN_LOOKS", BETWEEN_LOOKS)


@pytest.fixture
def repeated(monkeypatch):
    """How many steps were taken again by a namespace that looks, each time."""
    found = []

    def noted(self, optimizer, examples, starts, losses):
        found.append(len(starts))
        return take_each(self, optimizer, examples, starts, losses)

    take_each = Steps._take_each
    monkeypatch.setattr(Steps, "_take_each", noted)
    return found


def examples(steps, dtype="float64"):
    rng = np.random.default_rng(0)
    count = steps * FEW + 2
    return rng.normal(size=(count, 4)).astype(dtype), rng.integers(0, 4, count)


def trained(backend, x, y, dtype="float64", **settings):
    settings = {"batch_size": FEW, "arithmetic": "reproducible", "shuffle": False} | settings
    with np.errstate(all="ignore"):
        result = train(MLP(SIZES), x, y, backend=backend, dtype=dtype, **settings)
    arrays = [
        backend.to_numpy(layer[name]).tobytes() for layer in result.parameters for name in "Wb"
    ]
    return result.history, arrays


# In the middle of an epoch: examples so small or so large that a product needs care.
EXTREMES = {"small": 2.0**-440, "large": 2.0**440, "both": np.asarray([[2.0**-600], [2.0**500]])}


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    ("kind", "optimizer"),
    [
        ("both", SGD(0.5)),
        pytest.param("both", Adam(0.01), marks=pytest.mark.slow),
        pytest.param("small", SGD(0.5), marks=pytest.mark.slow),
        pytest.param("large", SGD(0.5), marks=pytest.mark.slow),
    ],
)
def test_data_that_turn_extreme_in_the_middle_of_an_epoch(backend, repeated, kind, optimizer):
    x, y = examples(8)  # 3, 3 and, with the smaller batch, 3 steps
    x[18:20] *= EXTREMES[kind]
    found = trained(backend, x, y, optimizer=optimizer, epochs=2)
    seen = list(repeated)
    assert found == trained(Uncompiled(NUMPY), x, y, optimizer=optimizer, epochs=2)
    if getattr(backend, "queued", False):
        assert seen == [3, 3]  # the middle ones of each epoch


def test_steps_that_were_not_valid_begin_with_the_state_before_them():
    """Which compiled ones use up."""
    x, y = examples(8)
    x[18:20] *= EXTREMES["both"]
    assert trained(Spoiling(NUMPY), x, y, epochs=2) == trained(Uncompiled(NUMPY), x, y, epochs=2)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_usual_data_are_never_taken_again(backend, repeated, dtype):
    x, y = examples(8, dtype)
    weights = np.linspace(0.5, 2.0, len(y))
    settings = {"dtype": dtype, "sample_weight": weights, "shuffle": True, "epochs": 1}
    found = trained(backend, x, y, **settings)
    seen = list(repeated)
    assert found == trained(Uncompiled(NUMPY), x, y, **settings)
    assert not (seen and getattr(backend, "queued", False))


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("network", [{"dropout": 0.5, "norm": "batch"}, {"norm": "layer"}])
def test_pixels_dropout_and_normalization(backend, network):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, size=(14, 4), dtype=np.uint8), rng.integers(0, 4, 14)

    def run(backend):
        result = train(
            MLP(SIZES, **network),
            x,
            y,
            backend=backend,
            scale=1 / 256,
            arithmetic="reproducible",
            batch_size=FEW,
            epochs=1,
        )
        return result.history, [
            backend.to_numpy(array).tobytes()
            for layer in result.parameters
            for _, array in sorted(layer.items())
        ]

    assert run(backend) == run(Uncompiled(NUMPY))


@pytest.mark.slow
@pytest.mark.usefixtures("short")
def test_divergence_is_told_as_by_steps_that_look(backend):
    x = examples(8, "float32")[0] * 1e18
    targets = x * 1e10

    def message(backend):
        with pytest.raises(DivergenceError) as raised:
            train(
                MLP(SIZES, activation="relu", loss="squared_error"),
                x,
                targets,
                backend=backend,
                arithmetic="reproducible",
                batch_size=FEW,
                optimizer=SGD(0.1),
            )
        return str(raised.value)

    with np.errstate(all="ignore"):
        assert message(backend) == message(Uncompiled(NUMPY))


@pytest.mark.usefixtures("short")
def test_an_epoch_that_diverged_is_not_finished(repeated, cupy_backend):
    """After NaN, every speculation would be taken again."""
    x = examples(30, "float32")[0] * 1e18
    targets = x * 1e10
    settings = {"backend": cupy_backend, "arithmetic": "reproducible"}
    with np.errstate(all="ignore"), pytest.raises(DivergenceError):
        train(
            MLP(SIZES, activation="relu", loss="squared_error"),
            x,
            targets,
            batch_size=FEW,
            optimizer=SGD(0.1),
            **settings,
        )
    assert sum(repeated) < 15


def evaluated(backend, factor=1.0, weighted=False):
    x, y = examples(8)
    x[18:20] *= factor
    weights = np.linspace(0.5, 2.0, len(y)) if weighted else None
    mlp = MLP(SIZES)
    settings = {"backend": backend, "arithmetic": "reproducible"}
    held = make_examples(mlp, x, y, dtype="float64", sample_weight=weights, **settings)
    parameters = mlp.initialize(seed=0, backend=backend, dtype="float64")
    return evaluate(mlp, parameters, held, batch_size=20, **settings)


@pytest.mark.parametrize("weighted", [False, True])
def test_evaluation_gives_the_bits_of_one_that_looks(backend, weighted):
    assert evaluated(backend, weighted=weighted) == evaluated(NUMPY, weighted=weighted)


@pytest.mark.slow
def test_evaluation_of_extreme_data(backend):
    assert evaluated(backend, EXTREMES["both"]) == evaluated(NUMPY, EXTREMES["both"])


def test_an_evaluation_that_was_not_valid_is_done_again(cupy_backend):
    assert evaluated(cupy_backend, 2.0**1000) == evaluated(NUMPY, 2.0**1000)  # its grid overflows


@pytest.mark.usefixtures("short")
def test_the_device_is_waited_for_once_a_speculation(cupy_backend):
    def waits(steps):
        rng = np.random.default_rng(0)
        x = rng.normal(size=(steps * FEW, 4)).astype(np.float32)
        y = rng.integers(0, 4, len(x))
        with counting() as counts:
            trained(cupy_backend, x, y, dtype="float32", epochs=1)
        fusing = ("cupy_tracing.py:", "cupy_launches.py:")
        found = {line: n for line, n in counts.lines.items() if not line.startswith(fusing)}
        return Counter(found)

    waits(1)  # tries the device's products
    one, three = waits(BETWEEN_LOOKS), waits(3 * BETWEEN_LOOKS)
    assert (three - one).total() == 2
    assert waits(BETWEEN_LOOKS - 1) == one
