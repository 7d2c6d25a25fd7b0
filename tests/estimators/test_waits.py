"""How often `fit` waits for a GPU, on the emulated card: no more often than `train`."""

import numpy as np
import pytest
import sklearn.neural_network

from pluggable_mlp import MLP, MLPClassifier, get_backend, train
from pluggable_mlp.network.parameters import map_arrays
from pluggable_mlp.training.lbfgs import LBFGS
from pluggable_mlp.training.optimizers import Adam
from tests.emulated_card import counting

pytestmark = pytest.mark.usefixtures("cupy_backend")

BATCH = 32
ARITHMETICS = ("native", "reproducible")


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
        waits.append(counts.lines)
    return waits[2] - waits[1]


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_a_step_of_fit_waits_no_more_often_than_one_of_train(arithmetic):
    allowed = waits_of_steps(by_train, arithmetic)
    waits = waits_of_steps(by_fit, arithmetic)
    assert waits.total() <= allowed.total(), f"by the line that asked: {waits}"


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_an_iteration_of_lbfgs_waits_no_more_often_than_one_of_train(arithmetic):
    """From the same parameters, so that both look at the loss in the same places."""
    generator = np.random.default_rng(0)
    X, y = generator.normal(size=(60, 20)).astype("float32"), np.arange(60) % 3
    reference = sklearn.neural_network.MLPClassifier((5,), max_iter=1).fit(X, y)
    start = [{"W": W, "b": b} for W, b in zip(reference.coefs_, reference.intercepts_, strict=True)]
    backend = get_backend("cupy")

    def by_fit(iterations):
        model = MLPClassifier.from_sklearn(reference).set_params(
            solver="lbfgs", warm_start=True, max_iter=iterations, alpha=0.0, arithmetic=arithmetic
        )
        model.fit(backend.asarray(X), backend.asarray(y))

    def by_train(iterations):
        train(
            MLP([20, 5, 3], activation="relu"),
            X,
            y,
            backend=backend,
            parameters=map_arrays(backend.asarray, start),
            optimizer=LBFGS(),
            epochs=iterations,
            batch_size=60,
            arithmetic=arithmetic,
        )

    found = {}
    for run in (by_fit, by_train):
        for iterations in (2, 2, 7):
            with counting() as counts:
                run(iterations)
            found[run, iterations] = counts.lines
    fit, trained = (found[run, 7] - found[run, 2] for run in (by_fit, by_train))
    assert fit.total() <= trained.total(), f"by the line that asked: {fit}, {trained}"
