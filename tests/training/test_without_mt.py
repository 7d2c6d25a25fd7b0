"""Arrays without the attribute `mT`, as dask's, train, and give the same bits."""

import array_api_strict
import numpy as np
import pytest

from pluggable_mlp import MLP, get_backend, train
from pluggable_mlp.namespaces import ARITHMETICS
from pluggable_mlp.training.muon import Muon

STRICT = get_backend("array_api_strict")


def trained(arithmetic):
    """Return the parameters after a step of Muon; batches of 64 and more are stored by columns."""
    rng = np.random.default_rng(3)
    x, labels = rng.normal(size=(64, 6)).astype(np.float32), rng.integers(0, 3, size=64)
    settings = {"arithmetic": arithmetic, "optimizer": Muon(), "batch_size": 64, "epochs": 1}
    done = train(MLP([6, 5, 4, 3]), x, labels, backend=STRICT, **settings)
    return [STRICT.to_numpy(w).tobytes() for layer in done.parameters for w in layer.values()]


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_training_gives_the_same_bits(monkeypatch, arithmetic):
    with_it = trained(arithmetic)
    monkeypatch.delattr(array_api_strict._array_object.Array, "mT")
    assert trained(arithmetic) == with_it
