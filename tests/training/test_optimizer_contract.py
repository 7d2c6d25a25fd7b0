"""What holds for every optimizer by gradient steps: backends, purity, stacked networks, names."""

from itertools import islice

import numpy as np
import pytest

from pluggable_mlp.arrays import map_nested
from pluggable_mlp.training.components import OPTIMIZERS, TRANSFORMS, make_optimizer
from pluggable_mlp.training.lbfgs import LBFGS
from pluggable_mlp.training.optimizer import columns
from pluggable_mlp.training.optimizers import SGD, Adam
from pluggable_mlp.training.schedules import Plateau
from tests.training.optimizer_problem import START, assert_close, gradients, updates

RATE = 0.01
AROUND = {"weight_decay": 0.1, "l1": 0.05, "clip_norm": 2.0, "average": 0.9}
MADE = {
    **{name: make_optimizer(name, learning_rate=RATE) for name in OPTIMIZERS if name != "lbfgs"},
    "nesterov": make_optimizer("sgd", learning_rate=RATE, momentum=0.9, nesterov=True),
    **{
        f"sgd {name}": make_optimizer("sgd", learning_rate=RATE, **{name: value})
        for name, value in AROUND.items()
    },
    "adamw with all": make_optimizer("adamw", learning_rate=RATE, **AROUND),
    "muon with all": make_optimizer("muon", learning_rate=RATE, **AROUND),
}


@pytest.mark.parametrize("name", MADE)
def test_coefficients_are_python_floats(name):
    """NumPy's would make arrays of float32 ones of float64."""
    types = []
    map_nested(lambda number: types.append(type(number)), MADE[name].coefficients_at(3), object)
    assert {*types} == {float}


class Restarted(Adam):
    def coefficients(self, t, rate):
        return super().coefficients(t if t < 900 else t - 900, rate)


@pytest.mark.parametrize("optimizer", [*MADE.values(), Adam(lambda t: 1 / (t + 1)), Restarted()])
def test_many_counts_have_the_coefficients_of_each(optimizer):
    counts = range(700, 1100)
    expected = columns([optimizer.coefficients_at(t) for t in counts])
    np.testing.assert_equal(optimizer.coefficients_of(counts), expected)


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name != "lbfgs"])
def test_schedule_gives_the_rate_of_each_step(name):
    """A schedule of no rate after two steps leaves the parameters where they are then."""
    optimizer = make_optimizer(name, learning_rate=lambda t: (0.1, 0.05, 0.0)[t])
    seen = [parameters for parameters, _ in islice(updates(optimizer, START, gradients), 3)]
    assert_close(seen[2], seen[1], tolerance=0.0)
    assert not np.array_equal(seen[1][0]["W"], seen[0][0]["W"])


def test_plateau_reaches_the_rate_through_what_is_around():
    """No epoch after the first is better: the rate is halved after each, and halved again."""
    optimizer = make_optimizer(
        "sgd", learning_rate=Plateau(0.5, factor=0.5, patience=0), clip_norm=1e9, average=0.5
    )
    assert optimizer.follows_losses
    rates = [optimizer.after([1.0] * epochs).coefficients_at(0)["rate"] for epochs in range(4)]
    assert rates == [0.5, 0.5, 0.25, 0.125]


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
@pytest.mark.parametrize("inner", [LBFGS(), "sgd", SGD], ids=["lbfgs", "a name", "a class"])
def test_what_takes_no_gradient_steps_is_not_transformed(transform, inner):
    with pytest.raises(TypeError, match="optimizer is .*, expected one that takes gradient steps"):
        transform(inner, 0.5)


def test_make_optimizer_names_what_is_taken():
    with pytest.raises(ValueError, match=r"optimizer is 'adma', expected one of .*'adam'\?"):
        make_optimizer("adma")
    with pytest.raises(
        ValueError,
        match=r"optimizer 'sgd' takes no beta1; it takes learning_rate, momentum, nesterov, "
        r"weight_decay, l1, clip_norm, average",
    ):
        make_optimizer("sgd", beta1=0.9)
    with pytest.raises(ValueError, match=r"'lbfgs' takes no learning_rate; it takes history$"):
        make_optimizer("lbfgs", learning_rate=0.1)


def test_make_optimizer_decays_as_each_optimizer_does():
    assert make_optimizer("adamw", weight_decay=0.3) == OPTIMIZERS["adamw"](weight_decay=0.3)
    assert make_optimizer("sgd", weight_decay=0.3) == TRANSFORMS["weight_decay"](
        OPTIMIZERS["sgd"](), 0.3
    )
    assert make_optimizer("lbfgs", history=3) == LBFGS(3)


def test_make_optimizer_clips_before_it_decays():
    optimizer = make_optimizer("sgd", l1=0.1, clip_norm=1.0, weight_decay=0.3, average=0.9)
    kinds = []
    while hasattr(optimizer, "optimizer"):
        kinds.append(type(optimizer).__name__)
        optimizer = optimizer.optimizer
    assert kinds == ["AverageParameters", "ClipByGlobalNorm", "L1", "L2"]
