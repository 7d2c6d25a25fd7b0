"""Decay in the gradient against torch.optim's: its weight_decay, and |W| in its loss."""

import pytest

from pluggable_mlp.training.optimizers import L1, L2, SGD, Adam
from tests.training.optimizers.problem import assert_follows


@pytest.mark.parametrize(
    ("name", "optimizer"),
    [
        ("sgd weight_decay", L2(SGD(0.05), 0.3)),
        ("adam weight_decay", L2(Adam(0.05), 0.3)),
        ("sgd l1", L1(SGD(0.05), 0.2)),
    ],
)
def test_follows_torch(name, optimizer):
    assert_follows(name, optimizer)


def test_out_of_range():
    with pytest.raises(ValueError, match="weight_decay is -1, expected"):
        L2(SGD(), -1)
    with pytest.raises(ValueError, match="l1 is nan, expected"):
        L1(SGD(), float("nan"))
