"""How often `fit` waits for a GPU, on the simulated CuPy: no more often than `train`."""

import numpy as np
import pytest

from pluggable_mlp import MLP, MLPClassifier, get_backend, train
from pluggable_mlp.training.optimizers import Adam
from tests.simulated_cupy import counting

pytestmark = pytest.mark.simulated_cupy

BATCH = 32


def by_fit(backend, X, y, arithmetic):
    model = MLPClassifier((50,), batch_size=BATCH, max_iter=1, arithmetic=arithmetic)
    with pytest.warns(match="Maximum iterations"):
        model.fit(backend.asarray(X), backend.asarray(y))


def by_train(backend, X, y, arithmetic):
    settings = {"epochs": 1, "batch_size": BATCH, "dtype": "float32", "arithmetic": arithmetic}
    train(MLP([20, 50, 10]), X, y, backend=backend, optimizer=Adam(), **settings)


def waits_of_steps(run, arithmetic):
    """Return the waits of three steps more, by the lines that ask for them."""
    generator = np.random.default_rng(0)
    waits = []
    for steps in (1, 3, 6):  # the first run makes tables and the like
        X = generator.normal(size=(steps * BATCH, 20)).astype("float32")
        y = np.arange(steps * BATCH) % 10
        with counting() as counts:
            run(get_backend("cupy"), X, y, arithmetic)
        waits.append(counts.waits)
    return waits[2] - waits[1]


@pytest.mark.parametrize("arithmetic", ["native", "reproducible"])
def test_a_step_of_fit_waits_no_more_often_than_one_of_train(arithmetic):
    allowed = waits_of_steps(by_train, arithmetic)
    waits = waits_of_steps(by_fit, arithmetic)
    assert waits.total() <= allowed.total(), f"by the line that asked: {waits}"
