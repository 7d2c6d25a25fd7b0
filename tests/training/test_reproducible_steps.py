"""Reproducible steps, compiled or not, have the same bits, whatever turns extreme on the way."""

from collections import Counter

import numpy as np
import pytest

from pluggable_mlp import MLP, SGD, Adam, DivergenceError, get_backend, train
from pluggable_mlp.training.evaluation import evaluate
from pluggable_mlp.training.examples import make_examples
from tests.emulated_card import counting
from tests.training.compilers import Uncompiled

NUMPY = get_backend("numpy")
pytestmark = pytest.mark.usefixtures("nothing_kept")
FEW = 4
SIZES = [4, 4, 4]  # JAX compiles operations for each shape


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


@pytest.mark.parametrize(
    ("kind", "optimizer"),
    [
        ("both", SGD(0.5)),
        pytest.param("both", Adam(0.01), marks=pytest.mark.slow),
        pytest.param("small", SGD(0.5), marks=pytest.mark.slow),
        pytest.param("large", SGD(0.5), marks=pytest.mark.slow),
    ],
)
def test_data_that_turn_extreme_in_the_middle_of_an_epoch(backend, kind, optimizer):
    x, y = examples(8)
    x[18:20] *= EXTREMES[kind]
    settings = {"optimizer": optimizer, "epochs": 2}
    assert trained(backend, x, y, **settings) == trained(Uncompiled(NUMPY), x, y, **settings)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weighted_and_shuffled_data(backend, dtype):
    x, y = examples(8, dtype)
    weights = np.linspace(0.5, 2.0, len(y))
    settings = {"dtype": dtype, "sample_weight": weights, "shuffle": True, "epochs": 1}
    assert trained(backend, x, y, **settings) == trained(Uncompiled(NUMPY), x, y, **settings)


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
def test_divergence_is_told_as_by_steps_that_are_not_compiled(backend):
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
def test_evaluation(backend, weighted):
    assert evaluated(backend, weighted=weighted) == evaluated(NUMPY, weighted=weighted)


@pytest.mark.slow
def test_evaluation_of_extreme_data(backend):
    assert evaluated(backend, EXTREMES["both"]) == evaluated(NUMPY, EXTREMES["both"])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_steps_wait_for_no_device(dtype, cupy_backend):
    def waits(steps):
        rng = np.random.default_rng(0)
        x = rng.normal(size=(steps * FEW, 4)).astype(dtype)
        y = rng.integers(0, 4, len(x))
        with counting() as counts:
            trained(cupy_backend, x, y, dtype=dtype, epochs=1)
        trials = ("cupy_tracing.py:", "cupy_kernels.py:")
        return Counter({line: n for line, n in counts.lines.items() if not line.startswith(trials)})

    waits(1)  # tries the device's products
    assert waits(2) == waits(9)
