"""The average of the parameters against optax's debiased moving average."""

import pytest

from pluggable_mlp.training.optimizers import SGD, AverageParameters, averaged_parameters
from tests.training.optimizers.problem import (
    NUMPY,
    RECORDED,
    START,
    assert_close,
    assert_follows,
    gradients,
)


def test_follows_optax():
    assert_follows("sgd average", AverageParameters(SGD(0.05), 0.8))


def test_training_does_not_change():
    optimizer = AverageParameters(SGD(0.05), 0.8)
    parameters, state = START, optimizer.init(START)
    for step in range(3):
        parameters, state = optimizer.update(
            NUMPY.xp, gradients(parameters, step), state, parameters
        )
    assert_close(parameters, RECORDED["trajectories"]["sgd"]["3"])


def test_before_the_first_step_it_is_the_parameters():
    assert averaged_parameters(AverageParameters(SGD(), 0.9).init(START), START) is START


def test_without_an_average_it_is_the_parameters():
    assert averaged_parameters(SGD().init(START), START) is START


def test_out_of_range():
    with pytest.raises(ValueError, match="average is 1, expected"):
        AverageParameters(SGD(), 1)
