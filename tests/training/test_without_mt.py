"""Arrays without the attribute `mT`, as dask's, train, and give the same bits."""

import array_api_strict
import numpy as np
import pytest

from pluggable_mlp import MLP, SGD, get_backend, train
from pluggable_mlp.namespaces import ARITHMETICS
from pluggable_mlp.training.muon import Muon

STRICT = get_backend("array_api_strict")


def trained(arithmetic, optimizer, batch_size):
    """Return the parameters after two epochs; batches of 64 and more are stored by columns."""
    rng = np.random.default_rng(3)
    x, labels = rng.normal(size=(128, 6)).astype(np.float32), rng.integers(0, 3, size=128)
    settings = {"arithmetic": arithmetic, "optimizer": optimizer, "batch_size": batch_size}
    done = train(MLP([6, 5, 4, 3]), x, labels, backend=STRICT, epochs=2, **settings)
    return [STRICT.to_numpy(w).tobytes() for layer in done.parameters for w in layer.values()]


@pytest.mark.parametrize(
    ("optimizer", "batch_size"),
    [
        (SGD(), 64),
        # They take several times as long as the others together.
        pytest.param(Muon(), 64, marks=pytest.mark.slow),
        pytest.param(Muon(), 16, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_training_gives_the_same_bits(monkeypatch, arithmetic, optimizer, batch_size):
    with_it = trained(arithmetic, optimizer, batch_size)
    monkeypatch.delattr(array_api_strict._array_object.Array, "mT")
    assert trained(arithmetic, optimizer, batch_size) == with_it
