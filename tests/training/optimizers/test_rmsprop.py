"""RMSprop against torch.optim's trajectory."""

import pytest

from pluggable_mlp.training.optimizers import RMSprop
from tests.training.optimizers.problem import assert_follows


def test_follows_torch():
    assert_follows("rmsprop", RMSprop(0.01, rho=0.9))


def test_rho_and_epsilon_out_of_range():
    with pytest.raises(ValueError, match=r"rho is 1\.0, expected .* of at least 0 and below 1"):
        RMSprop(rho=1.0)
    with pytest.raises(
        ValueError, match="epsilon is 0, expected a finite number of at least 1e-30"
    ):
        RMSprop(epsilon=0)
