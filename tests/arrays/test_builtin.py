"""What counts as this package's: nothing that holds a user-defined part, however deep."""

import functools
from dataclasses import dataclass

import numpy as np
import pytest

from pluggable_mlp import MLP, SGD, ClipByGlobalNorm, HuberLoss, LeakyReLU
from pluggable_mlp.arrays.compiling import is_builtin
from pluggable_mlp.estimators.objective import PenalizedMLP, ScaledLoss
from pluggable_mlp.network.activations import ACTIVATIONS, Elementwise, tanh
from pluggable_mlp.network.feature_layers import NORMALIZATIONS, LayerNorm
from pluggable_mlp.network.loss import FunctionLoss
from pluggable_mlp.network.losses import LOSSES
from pluggable_mlp.training.components import OPTIMIZERS, make_optimizer
from pluggable_mlp.training.schedules import Cosine, WarmUp

OWN = [
    *ACTIVATIONS.values(),
    *LOSSES.values(),
    *NORMALIZATIONS.values(),
    *map(make_optimizer, OPTIMIZERS),
    make_optimizer("sgd", momentum=0.9, average=0.9, l1=0.1, weight_decay=0.1),
    ClipByGlobalNorm(make_optimizer("adam", learning_rate=WarmUp(Cosine(0.1, 20), 5)), 0.1),
    MLP([3, 4, 4, 2], activation=["tanh", LeakyReLU(0.2)], norm="batch", dropout=0.1),
    PenalizedMLP([3, 4, 2], loss=ScaledLoss(HuberLoss(), 0.5), norm=LayerNorm(), alpha=0.1),
]


@functools.wraps(tanh)
def like_tanh(xp, x):
    return tanh(xp, x)


class Subclass(MLP):
    pass


@dataclass(frozen=True)
class Loss:
    def __call__(self, xp, z, targets, sample_weight=None):
        return xp.mean(z), z


OF_A_USER = {
    "function": like_tanh,
    "partial": functools.partial(tanh),
    "class": Loss(),
    "its method": Loss().__call__,
    "a loss of a function": FunctionLoss(like_tanh),
    "a pair of functions": Elementwise(tanh, like_tanh),
    "one in a list": MLP([3, 4, 4, 2], activation=["tanh", like_tanh]),
    "a pair in a network": MLP([3, 4, 2], activation=(like_tanh, like_tanh)),
    "loss of a network": MLP([3, 2], loss=Loss()),
    "loss within a loss": PenalizedMLP([3, 2], loss=ScaledLoss(FunctionLoss(Loss()), 0.5)),
    "subclass of MLP": Subclass([3, 2]),
    "optimizer": type("Own", (SGD,), {})(),
    "schedule": ClipByGlobalNorm(SGD(lambda t: 0.1), 0.1),
    "array": ScaledLoss(HuberLoss(), np.ones(2)),
    "dict": {},
}


@pytest.mark.parametrize("component", OWN)
def test_all_of_this_package_is_its_own(component):
    assert is_builtin(component)


@pytest.mark.parametrize("component", OF_A_USER.values(), ids=OF_A_USER)
def test_what_holds_something_of_a_user_is_not(component):
    assert not is_builtin(component)
