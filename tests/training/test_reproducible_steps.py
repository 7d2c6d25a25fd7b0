"""Reproducible steps, compiled or not, have the same bits, whatever turns extreme on the way."""

import numpy as np
import pytest

from pluggable_mlp import MLP, SGD, get_backend, train
from tests.training.compilers import Uncompiled

NUMPY = get_backend("numpy")
pytestmark = pytest.mark.usefixtures("nothing_kept")
FEW = 4
SIZES = [4, 4, 4]  # JAX compiles operations for each shape


def trained(backend, x, y):
    settings = {"batch_size": FEW, "arithmetic": "reproducible", "shuffle": False, "epochs": 2}
    settings |= {"optimizer": SGD(0.5), "dtype": "float64"}
    with np.errstate(all="ignore"):
        result = train(MLP(SIZES), x, y, backend=backend, **settings)
    arrays = [
        backend.to_numpy(layer[name]).tobytes() for layer in result.parameters for name in "Wb"
    ]
    return result.history, arrays


def test_data_that_turn_extreme_in_the_middle_of_an_epoch(backend):
    """Examples so small and so large that a product needs care."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8 * FEW, 4)), rng.integers(0, 4, 8 * FEW)
    x[18:20] *= np.asarray([[2.0**-600], [2.0**500]])
    assert trained(backend, x, y) == trained(Uncompiled(NUMPY), x, y)
