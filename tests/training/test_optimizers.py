"""Optimizers against the trajectories of torch.optim and optax, and by hand in powers of two."""

import pytest

from pluggable_mlp.training.muon import Muon
from pluggable_mlp.training.optimizers import SGD, Adagrad, Adam, AdamW, Lion, RMSprop
from pluggable_mlp.training.schedules import Plateau, WarmUp
from tests.training.optimizer_problem import assert_follows

TORCH = {
    "sgd": SGD(0.05),
    "sgd momentum": SGD(0.02, momentum=0.9),
    "sgd nesterov": SGD(0.02, momentum=0.9, nesterov=True),
    "adagrad": Adagrad(0.2, epsilon=1e-2),
    "rmsprop": RMSprop(0.01, rho=0.9),
    # An epsilon as large as this tells where it stands.
    "adam": Adam(0.05, beta2=0.99, epsilon=1e-3),
    "adamw": AdamW(0.05, weight_decay=0.3),
}


@pytest.mark.parametrize("name", TORCH)
def test_follows_torch(name):
    assert_follows(name, TORCH[name])


def test_lion_follows_optax():
    assert_follows("lion", Lion(0.01, weight_decay=0.1))


@pytest.mark.parametrize(
    ("optimizer", "name", "value"),
    [
        (RMSprop, "rho", 1.0),
        (Adam, "beta1", 1),
        (Adam, "beta2", 1),
        (Lion, "beta1", 1),
        (Lion, "beta2", 1),
        (Muon, "momentum", 1),
        (SGD, "momentum", -0.1),
        (SGD, "momentum", 1.0),
        (SGD, "momentum", float("nan")),
        (SGD, "momentum", "0.9"),
        (SGD, "momentum", True),
    ],
)
def test_decay_out_of_range_raises(optimizer, name, value):
    with pytest.raises(ValueError, match=rf"{name} is .*, expected .* at least 0 and below 1"):
        optimizer(**{name: value})


@pytest.mark.parametrize("optimizer", [RMSprop, Adam, Adagrad])
def test_epsilon_out_of_range_raises(optimizer):
    with pytest.raises(ValueError, match="epsilon is 0, expected a finite .* of at least 1e-30"):
        optimizer(epsilon=0)


@pytest.mark.parametrize("optimizer", [AdamW, Lion, Muon])
def test_weight_decay_out_of_range_raises(optimizer):
    with pytest.raises(ValueError, match=r"weight_decay is -1, expected a finite number of at"):
        optimizer(weight_decay=-1)


@pytest.mark.parametrize("schedule", [Plateau(0.01), WarmUp(Plateau(0.01), 5)], ids=repr)
def test_a_weight_decay_that_follows_losses_is_refused(schedule):
    """It gets no losses, and would never fall."""
    with pytest.raises(ValueError, match=r"weight_decay is .*Plateau.*, expected a number or a f"):
        AdamW(weight_decay=schedule)


def test_nesterov_without_momentum_raises():
    with pytest.raises(ValueError, match="nesterov is True, but momentum is 0"):
        SGD(0.1, nesterov=True)
    with pytest.raises(ValueError, match="nesterov is 'no', expected True or False"):
        SGD(0.1, momentum=0.9, nesterov="no")


@pytest.mark.parametrize("learning_rate", [-0.1, float("inf"), float("nan"), "fast", None])
def test_learning_rate_out_of_range_raises(learning_rate):
    with pytest.raises(ValueError, match=r"learning_rate is .*, expected a finite number of at"):
        SGD(learning_rate)
