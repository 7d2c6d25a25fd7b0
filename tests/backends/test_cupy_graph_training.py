"""Training by CUDA graphs on CuPy: what NumPy gives, and steps without graphs."""

import numpy as np
import pytest

from pluggable_mlp import MLP, SGD, get_backend, sweep, train
from pluggable_mlp.training.optimizers import Adam
from tests.backends.on_cupy import assert_same_bits
from tests.emulated_card import counting

pytestmark = pytest.mark.usefixtures("cupy_backend")

NETWORKS = {
    "schedule": ({}, SGD(lambda t: 0.1 / (1 + t))),
    "dropout, adam": ({"dropout": 0.5}, Adam()),
    "batch": ({"norm": "batch", "activation": "gelu"}, SGD(0.05, momentum=0.9)),
}


def trained(spec, case, arithmetic, count, epochs):
    network, optimizer = NETWORKS[case]
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(count, 6)).astype("float32"), rng.integers(0, 3, count)
    settings = {"optimizer": optimizer, "epochs": epochs, "batch_size": 8, "seed": 5}
    backend = get_backend(spec)
    with counting() as counts:
        result = train(
            MLP([6, 5, 3], **network), x, y, backend=backend, arithmetic=arithmetic, **settings
        )
    arrays = [backend.to_numpy(x) for layer in result.parameters for x in layer.values()]
    return arrays, counts["graph launch"]


@pytest.mark.parametrize(
    ("arithmetic", "count", "epochs", "least", "case"),
    [
        # So that the smaller last batch has its graph, too.
        *(("native", 12, 14, 2 * 4, case) for case in NETWORKS),
        ("reproducible", 42, 3, 5, "dropout, adam"),
    ],
)
def test_training_by_graphs_is_that_on_numpy(early_graphs, case, arithmetic, count, epochs, least):
    found, graphs = trained("cupy", case, arithmetic, count, epochs)
    expected, _ = trained("numpy", case, arithmetic, count, epochs)
    for one, other in zip(found, expected, strict=True):
        if arithmetic == "reproducible":
            assert_same_bits(one, other)
        else:
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)
    assert graphs >= least


@pytest.mark.parametrize(
    ("arithmetic", "seeds"),
    [
        ("native", (0, 0, 0)),
        pytest.param("reproducible", (1, 2, 3), marks=pytest.mark.slow),
    ],
)
def test_a_sweep_by_graphs_is_that_on_numpy(early_graphs, arithmetic, seeds):
    """Of networks with their own rates, dropout and, with their own seeds, orders."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(48, 6)).astype("float32"), rng.integers(0, 3, 48)
    settings = [
        {"learning_rate": 0.1 * n, "dropout": 0.1 * n, "seed": seed}
        for n, seed in enumerate(seeds, 1)
    ]
    chosen = {"optimizer": "adam", "epochs": 3, "batch_size": 8, "arithmetic": arithmetic}
    with counting() as counts:
        found = sweep(MLP([6, 5, 3]), x, y, settings, backend=get_backend("cupy"), **chosen)
    assert counts["graph launch"] > 8
    expected = sweep(MLP([6, 5, 3]), x, y, settings, backend=get_backend("numpy"), **chosen)
    for one, other in zip(found.networks, expected.networks, strict=True):
        for layer, like in zip(one.parameters, other.parameters, strict=True):
            for name, array in layer.items():
                if arithmetic == "reproducible":
                    assert_same_bits(array.get(), like[name])
                else:
                    np.testing.assert_allclose(array.get(), like[name], rtol=1e-3, atol=1e-5)
