"""Normalizations: worked by hand, by differences, against PyTorch, and the buffers."""

import numpy as np
import pytest

from pluggable_mlp import MLP
from pluggable_mlp.network.feature_layers import NORMALIZATIONS, BatchNorm, LayerNorm
from pluggable_mlp.network.layers import Rng
from tests.network.differences import on_grid

RNG = Rng(seed=0, t=0)


def example(batch=6, features=4, seed=0):
    rng = np.random.default_rng(seed)
    parameters = {
        "gamma": rng.normal(size=features),
        "beta": rng.normal(size=features),
        "running_mean": rng.normal(size=features),
        "running_variance": rng.uniform(0.5, 2.0, size=features),
    }
    return (
        {name: on_grid(array) for name, array in parameters.items()},
        on_grid(rng.normal(size=(batch, features))),
        rng.normal(size=(batch, features)),
    )


def of(layer, arrays):
    return {name: arrays[name] for name in layer.shapes()}


def compute(layer, parameters, x, dy, step):
    """y, dx, the gradients and the new buffers, by name."""
    layer = layer.of_features(x.shape[-1])

    def on(library):
        arrays = {name: library.asarray(array) for name, array in of(layer, parameters).items()}
        y, backward = layer.forward(library.xp, arrays, library.asarray(x), step)
        dx, gradients = backward(library.asarray(dy))
        assert backward(library.asarray(dy), with_dx=False)[0] is None
        return {"y": y, "dx": dx, **gradients}

    return on


def on_host(backend, results):
    return {name: backend.to_numpy(array) for name, array in results.items()}


def test_batch_norm_by_hand(backend):
    """Two examples, variances 1 and 4, epsilon 12 and 3 in turn, so that all roots are exact.

    x = [[1, 2], [3, 6]]: means 2, 4; variances 1, 4.  With epsilon 3 the first root is 2 and
    x̂ = -+1/2; with epsilon 12 the second is 4 and x̂ = -+2/4.  gamma = 4, beta = 1.
    The running mean becomes 0.75 · 8 + 0.25 · (2, 4), the variance 0.75 · 8 + 0.25 · 2 · (1, 4).
    """
    x = np.asarray([[1.0, 2.0], [3.0, 6.0]])
    dy = np.asarray([[1.0, 1.0], [2.0, -1.0]])
    parameters = {
        name: np.full(2, value)
        for name, value in (
            ("gamma", 4.0),
            ("beta", 1.0),
            ("running_mean", 8.0),
            ("running_variance", 8.0),
        )
    }
    for column, epsilon in ((0, 3.0), (1, 12.0)):
        layer = BatchNorm(epsilon=epsilon, momentum=0.25)
        results = on_host(backend, compute(layer, parameters, x, dy, RNG)(backend))
        assert results["y"][:, column].tolist() == [-1.0, 3.0]
        assert results["beta"][column] == dy[:, column].sum()
        assert results["gamma"][column] == (dy[1, column] - dy[0, column]) / 2
        assert results["running_mean"][column] == 6.0 + 0.25 * (2.0, 4.0)[column]
        assert results["running_variance"][column] == 6.0 + 0.5 * (1.0, 4.0)[column]
    # dx̂ = 4 dy = (4, 8): minus its mean (-2, 2), minus x̂ mean(dx̂ x̂) = x̂ · 1: (-1.5, 1.5), halved.
    layer = BatchNorm(epsilon=3.0)
    results = on_host(backend, compute(layer, parameters, x, dy, RNG)(backend))
    assert results["dx"][:, 0].tolist() == [-0.75, 0.75]
    # Evaluation: (x - 8) / sqrt(8 + 8) · 4 + 1 with epsilon 8, and its slope 4 / 4.
    results = on_host(backend, compute(BatchNorm(epsilon=8.0), parameters, x, dy, None)(backend))
    assert results["y"].tolist() == (x - 7.0).tolist()
    assert results["dx"].tolist() == dy.tolist()
    assert set(results) == {"y", "dx", "gamma", "beta"}


def test_layer_norm_by_hand(backend):
    """One example (1, 3): mean 2, variance 1, epsilon 3: x̂ = -+1/2, as above."""
    parameters = {"gamma": np.asarray([4.0, 2.0]), "beta": np.asarray([1.0, 0.0])}
    x, dy = np.asarray([[1.0, 3.0]]), np.asarray([[1.0, 4.0]])
    results = on_host(backend, compute(LayerNorm(3.0), parameters, x, dy, None)(backend))
    assert results["y"].tolist() == [[-1.0, 1.0]]
    assert results["gamma"].tolist() == [-0.5, 2.0]
    assert results["beta"].tolist() == [1.0, 4.0]
    # dx̂ = (4, 8), as above.
    assert results["dx"].tolist() == [[-0.75, 0.75]]


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_a_batch_of_one(backend, name):
    """No NaN; the running variance stays as it is, the mean moves."""
    parameters, x, dy = example(batch=1)
    results = on_host(backend, compute(NORMALIZATIONS[name], parameters, x, dy, RNG)(backend))
    assert all(np.isfinite(array).all() for array in results.values())
    if name == "batch":
        assert results["y"].tolist() == [parameters["beta"].tolist()]
        assert results["dx"].tolist() == [[0.0] * 4]
        assert "running_variance" not in results
        assert (results["running_mean"] != parameters["running_mean"]).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LayerNorm(0.0), "epsilon is 0.0, expected a finite number above 0"),
        (lambda: BatchNorm(epsilon=float("inf")), "epsilon is inf"),
        (
            lambda: BatchNorm(momentum=1.5),
            "momentum is 1.5, expected a finite number of at least 0 and at most 1",
        ),
        (lambda: MLP([2, 3, 2], norm="bach"), "norm is 'bach', expected .* did you mean 'batch'"),
    ],
)
def test_parameters_out_of_range(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_invalid_normalizations_raise():
    with pytest.raises(TypeError, match=r"norm is .*BatchNorm.*, expected None, a name"):
        MLP([2, 3, 2], norm=BatchNorm)
