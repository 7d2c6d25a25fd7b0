"""Lion against optax's trajectory."""

import pytest

from pluggable_mlp.training.optimizers import Lion
from tests.training.optimizers.problem import assert_follows


def test_follows_optax():
    assert_follows("lion", Lion(0.01, weight_decay=0.1))


def test_out_of_range():
    with pytest.raises(ValueError, match="beta2 is 1, expected"):
        Lion(beta2=1)
    with pytest.raises(ValueError, match="weight_decay is -1, expected"):
        Lion(weight_decay=-1)
