"""Adam and AdamW against torch.optim's trajectories."""

import pytest

from pluggable_mlp.training.optimizers import Adam, AdamW
from tests.training.optimizers.problem import assert_follows


@pytest.mark.parametrize(
    ("name", "optimizer"),
    [
        # An epsilon as large as this tells where it stands.
        ("adam", Adam(0.05, beta2=0.99, epsilon=1e-3)),
        ("adamw", AdamW(0.05, weight_decay=0.3)),
    ],
)
def test_follows_torch(name, optimizer):
    assert_follows(name, optimizer)


@pytest.mark.parametrize("name", ["beta1", "beta2"])
def test_betas_out_of_range(name):
    with pytest.raises(ValueError, match=rf"{name} is 1, expected .* of at least 0 and below 1"):
        Adam(**{name: 1})


def test_weight_decay_out_of_range():
    with pytest.raises(ValueError, match=r"weight_decay is -1, expected a finite number of at"):
        AdamW(weight_decay=-1)
