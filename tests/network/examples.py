"""Small networks with parameters, inputs and labels for the tests, drawn on the host."""

from itertools import pairwise

import numpy as np

from tests.network.differences import on_grid

SIZES = {1: [3, 4], 2: [3, 6, 4], 3: [3, 6, 2, 4], 4: [3, 6, 6, 2, 4]}  # by depth


def example(depth, seed=0):
    """Parameters on a grid (`differences.py` says why), x (5, 3) and labels (5,)."""
    rng = np.random.default_rng(seed)
    parameters = [
        {"W": on_grid(rng.normal(size=shape)), "b": on_grid(rng.normal(size=shape[1]))}
        for shape in pairwise(SIZES[depth])
    ]
    return parameters, rng.normal(size=(5, 3)), rng.integers(0, 4, size=5)


def moved(backend, parameters, dtype="float64"):
    """The parameters on a backend."""
    return [
        {name: backend.asarray(array, dtype=dtype) for name, array in layer.items()}
        for layer in parameters
    ]
