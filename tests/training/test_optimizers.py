"""Plain gradient descent: by hand in powers of two, pure, and checked at its door."""

import math

import numpy as np
import pytest

from pluggable_mlp import SGD
from pluggable_mlp.arithmetic import get_arithmetic
from pluggable_mlp.training.optimizers import OPTIMIZERS


def update(backend, optimizer, parameters, gradients, steps=1):
    """The parameters after some steps with the same gradients, on the host."""
    arithmetic = get_arithmetic("native", backend.xp)
    w, g = (
        [{name: backend.asarray(array) for name, array in layer.items()} for layer in tree]
        for tree in (parameters, gradients)
    )
    state = optimizer.init(w)
    for _ in range(steps):
        w, state = optimizer.update(g, state, w, arithmetic)
    return [{name: backend.to_numpy(array) for name, array in layer.items()} for layer in w]


PARAMETERS = [
    {"W": np.asarray([[1.0, -2.0], [0.5, 0.0]]), "b": np.asarray([4.0, 0.0])},
    {"W": np.asarray([[8.0], [16.0]]), "b": np.asarray([-1.0])},
]
GRADIENTS = [
    {"W": np.asarray([[1.0, 2.0], [-4.0, 0.0]]), "b": np.asarray([16.0, -8.0])},
    {"W": np.asarray([[0.5], [-0.5]]), "b": np.asarray([0.0])},
]


def test_sgd_by_hand(backend):
    """w - g / 4, twice: w - g / 2.  Powers of two: nothing is rounded."""
    once = update(backend, SGD(0.25), PARAMETERS, GRADIENTS)
    assert once[0]["W"].tolist() == [[0.75, -2.5], [1.5, 0.0]]
    assert once[0]["b"].tolist() == [0.0, 2.0]
    assert once[1]["W"].tolist() == [[7.875], [16.125]]
    assert once[1]["b"].tolist() == [-1.0]
    twice = update(backend, SGD(0.25), PARAMETERS, GRADIENTS, steps=2)
    assert twice[0]["W"].tolist() == [[0.5, -3.0], [2.5, 0.0]]
    assert twice[1]["W"].tolist() == [[7.75], [16.25]]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sgd_keeps_dtypes_and_structure(backend, dtype):
    trees = [
        [{name: array.astype(dtype) for name, array in layer.items()} for layer in tree]
        for tree in (PARAMETERS, GRADIENTS)
    ]
    result = update(backend, SGD(0.1), *trees)
    for layer, expected in zip(result, trees[0], strict=True):
        assert {n: (a.shape, a.dtype) for n, a in layer.items()} == {
            n: (a.shape, a.dtype) for n, a in expected.items()
        }


def test_a_learning_rate_of_zero_changes_nothing(backend):
    result = update(backend, SGD(0.0), PARAMETERS, GRADIENTS)
    for layer, expected in zip(result, PARAMETERS, strict=True):
        assert all((layer[name] == expected[name]).all() for name in expected)


def test_sgd_changes_nothing_in_place():
    import array_api_compat.numpy as xp

    def contents():
        return [a.tobytes() for tree in (PARAMETERS, GRADIENTS) for of in tree for a in of.values()]

    before = contents()
    optimizer = SGD(0.1)
    optimizer.update(
        GRADIENTS, optimizer.init(PARAMETERS), PARAMETERS, get_arithmetic("native", xp)
    )
    assert contents() == before


@pytest.mark.parametrize("rate", [-0.1, math.inf, math.nan])
def test_a_learning_rate_out_of_range_is_refused(rate):
    with pytest.raises(ValueError, match=f"learning_rate is {rate}, expected"):
        SGD(rate)


def test_the_table_knows_it_by_name():
    assert OPTIMIZERS["sgd"] is SGD
