"""Training and evaluation: buffers, dropout's steps, and what is saved."""

import numpy as np

from pluggable_mlp import MLP, SGD, train
from pluggable_mlp.network.normalization import BatchNorm


def data(count=20):
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, 3)), rng.integers(0, 2, size=count)


def test_running_statistics_are_moved_by_every_step_and_by_no_optimizer(backend):
    """One hidden layer with learning rate 0: two epochs in order, by the recursion itself."""
    mlp = MLP([3, 4, 2], norm=BatchNorm(momentum=0.25))
    x, labels = data(10)
    start = mlp.initialize(seed=0, backend=backend, dtype="float64")
    result = train(
        mlp,
        x,
        labels,
        backend=backend,
        parameters=start,
        optimizer=SGD(0.0),
        epochs=2,
        batch_size=4,
        dtype="float64",
        shuffle=False,
    )
    W, b = (backend.to_numpy(start[0][name]) for name in ("W", "b"))
    mean, variance = np.zeros(4), np.ones(4)
    for batch in (x[:4], x[4:8], x[8:]) * 2:
        z = batch @ W + b
        mean = 0.75 * mean + 0.25 * z.mean(axis=0)
        variance = 0.75 * variance + 0.25 * z.var(axis=0, ddof=1)
    trained = {name: backend.to_numpy(array) for name, array in result.parameters[1].items()}
    # Some hundred roundings of numbers of the order of 1.
    np.testing.assert_allclose(trained["running_mean"], mean, atol=1e-14)
    np.testing.assert_allclose(trained["running_variance"], variance, atol=1e-14)
    assert trained["gamma"].tolist() == [1.0] * 4
    assert set(trained) == {"gamma", "beta", "running_mean", "running_variance"}
