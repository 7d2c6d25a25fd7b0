"""SGD against torch.optim's trajectories, and by hand in powers of two."""

import numpy as np
import pytest

from pluggable_mlp.training.optimizers import OPTIMIZERS, SGD
from tests.training.optimizers.problem import assert_follows


@pytest.mark.parametrize(
    ("name", "optimizer"),
    [
        ("sgd", SGD(0.05)),
        ("sgd momentum", SGD(0.02, momentum=0.9)),
        ("sgd nesterov", SGD(0.02, momentum=0.9, nesterov=True)),
    ],
)
def test_follows_torch(name, optimizer):
    assert_follows(name, optimizer)


def test_nesterov_needs_momentum():
    with pytest.raises(ValueError, match="nesterov is True, but momentum is 0"):
        SGD(0.1, nesterov=True)
    with pytest.raises(ValueError, match="nesterov is 'no', expected True or False"):
        SGD(0.1, momentum=0.9, nesterov="no")


@pytest.mark.parametrize("momentum", [-0.1, 1.0, float("nan"), "0.9", True])
def test_momentum_out_of_range(momentum):
    with pytest.raises(ValueError, match=r"momentum is .*, expected .* at least 0 and below 1"):
        SGD(0.1, momentum=momentum)


@pytest.mark.parametrize("learning_rate", [-0.1, float("inf"), float("nan"), "fast", None])
def test_learning_rate_out_of_range(learning_rate):
    with pytest.raises(ValueError, match=r"learning_rate is .*, expected a finite number of at"):
        SGD(learning_rate)


def update(backend, optimizer, parameters, gradients, steps):
    """The parameters after some steps with the same gradients, on the host."""
    w, g = (
        [{name: backend.asarray(array) for name, array in layer.items()} for layer in tree]
        for tree in (parameters, gradients)
    )
    state = optimizer.init(w)
    for _ in range(steps):
        w, state = optimizer.update(backend.xp, g, state, w)
    return [{name: backend.to_numpy(array).tolist() for name, array in of.items()} for of in w]


PARAMETERS = [
    {"W": np.asarray([[1.0, -2.0], [0.5, 0.0]]), "b": np.asarray([4.0, 0.0])},
    {"W": np.asarray([[8.0], [16.0]]), "b": np.asarray([-1.0])},
]
GRADIENTS = [
    {"W": np.asarray([[1.0, 2.0], [-4.0, 0.0]]), "b": np.asarray([16.0, -8.0])},
    {"W": np.asarray([[0.5], [-0.5]]), "b": np.asarray([0.0])},
]


def test_by_hand(backend):
    """w - g / 4, twice: w - g / 2.  Powers of two: nothing is rounded."""
    assert update(backend, SGD(0.25), PARAMETERS, GRADIENTS, steps=1) == [
        {"W": [[0.75, -2.5], [1.5, 0.0]], "b": [0.0, 2.0]},
        {"W": [[7.875], [16.125]], "b": [-1.0]},
    ]
    twice = update(backend, SGD(0.25), PARAMETERS, GRADIENTS, steps=2)
    assert twice[0]["W"] == [[0.5, -3.0], [2.5, 0.0]]
    assert twice[1]["W"] == [[7.75], [16.25]]


def test_a_learning_rate_of_zero_changes_nothing(backend):
    assert update(backend, SGD(0.0), PARAMETERS, GRADIENTS, steps=1) == [
        {name: array.tolist() for name, array in of.items()} for of in PARAMETERS
    ]


def test_the_table_knows_it_by_name():
    assert OPTIMIZERS["sgd"] is SGD
