"""Clipping against optax's trajectory, and at the ends of its range."""

import numpy as np
import pytest

from pluggable_mlp.training.optimizers import SGD, ClipByGlobalNorm
from pluggable_mlp.training.optimizers.clipping import global_norm
from tests.training.optimizers.problem import NUMPY, assert_follows


def test_follows_optax():
    assert_follows("sgd clip_norm", ClipByGlobalNorm(SGD(0.05), 5.0))


def test_norm_by_hand():
    gradients = [{"W": np.array([[1.0, 2.0], [2.0, 4.0]]), "b": np.array([6.0, 8.0])}]
    # 1 + 4 + 4 + 16 + 36 + 64 = 125
    assert global_norm(NUMPY.xp, gradients) == np.sqrt(125.0)


def test_one_norm_a_network():
    gradients = [{"W": np.array([[[3.0]], [[0.0]]]), "b": np.array([[4.0], [2.0]])}]
    assert global_norm(NUMPY.xp, gradients).tolist() == [5.0, 2.0]


def step(g, clip_norm):
    """The step of SGD with rate 1 from a parameter 0."""
    optimizer = ClipByGlobalNorm(SGD(1.0), clip_norm)
    parameters = [{"W": np.zeros((1, 1)), "b": np.zeros(1)}]
    gradients = [{"W": np.full((1, 1), g), "b": np.zeros(1)}]
    return optimizer.update(NUMPY.xp, gradients, optimizer.init(parameters), parameters)[0]


@pytest.mark.parametrize(
    ("g", "clip_norm", "expected"),
    [
        (0.0, 0.1, 0.0),
        (0.3, 0.3, -0.3),  # a norm that is just not too large changes nothing
        (0.1, 0.3, -0.1),
        (-7.0, 1.0, 1.0),
        (1e200, 1.0, 0.0),  # its square overflows
    ],
)
def test_ends_of_the_range(g, clip_norm, expected):
    with np.errstate(over="ignore"):
        assert step(g, clip_norm)[0]["W"] == expected


def test_out_of_range():
    with pytest.raises(ValueError, match="clip_norm is 0, expected"):
        ClipByGlobalNorm(SGD(), 0)
