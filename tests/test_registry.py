"""The registry: components by name and as text, checks of their parameters, and the errors."""

import re
from dataclasses import dataclass

import numpy as np
import pytest

from pluggable_mlp import MLP, get_backend, train
from pluggable_mlp.fields import catalogue, choose, make, parse_component, split_components
from pluggable_mlp.network.activations import LeakyReLU
from pluggable_mlp.training.components import make_optimizer
from pluggable_mlp.training.schedules import WarmUp

TABLE = {"sigmoid": 1, "tanh": 2}


def test_a_known_name_gives_its_component():
    assert choose(TABLE, "tanh", "activation") == 2


def test_an_unknown_name_lists_the_known_ones_and_suggests_the_nearest():
    with pytest.raises(ValueError, match=r"^activation is 'sigmod', expected one of sigmoid, tanh"):
        choose(TABLE, "sigmod", "activation")
    with pytest.raises(ValueError, match=r"; did you mean 'sigmoid'\?$"):
        choose(TABLE, "sigmod", "activation")


def test_no_suggestion_where_no_name_is_close():
    with pytest.raises(ValueError, match=r"expected one of sigmoid, tanh$"):
        choose(TABLE, "qqq", "activation")


@pytest.mark.parametrize("name", [None, 3, ["tanh"]])
def test_a_name_of_another_type_is_unknown(name):
    with pytest.raises(ValueError, match=re.escape(f"activation is {name!r}, expected")):
        choose(TABLE, name, "activation")


@dataclass(frozen=True)
class Slope:
    slope: float = 0.5
    offset: float = 1.0


COMPONENTS = {"plain": len, "slope": Slope()}


def test_make_replaces_the_given_parameters_only():
    assert make(COMPONENTS, "slope", "activation", slope=2.0) == Slope(2.0, 1.0)
    assert make(COMPONENTS, "slope:slope=2", "activation", offset=3.0) == Slope(2, 3.0)
    assert make(COMPONENTS, "slope", "activation") is COMPONENTS["slope"]
    assert make(COMPONENTS, "plain", "activation") is len


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "slope",
            r"^activation 'slope' takes no slop; it takes slope, offset; did you mean 'slope'",
        ),
        ("plain", r"^activation 'plain' takes no slop; it takes no parameters$"),
    ],
)
def test_make_refuses_an_unknown_parameter(name, message):
    with pytest.raises(ValueError, match=message):
        make(COMPONENTS, name, "activation", slop=2.0)


@dataclass(frozen=True)
class Every:
    every: int
    learning_rate: float = 0.1
    fast: bool = False


def test_a_table_in_words_has_parameters_and_defaults():
    assert catalogue(COMPONENTS) == "plain, slope (slope=0.5, offset=1)"
    table = {"changed": Slope(1e-5), "class": Every}
    words = "changed (slope=1e-05, offset=1), class (every, fast=false)"
    assert catalogue(table, leave_out=["learning_rate"]) == words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("adam", [("adam", {})]),
        ("adam:beta1=0.95,epsilon=1e-7", [("adam", {"beta1": 0.95, "epsilon": 1e-7})]),
        ("sgd:momentum=0.9,nesterov=true", [("sgd", {"momentum": 0.9, "nesterov": True})]),
        ("step:every=100", [("step", {"every": 100})]),
        ("relu,tanh", [("relu", {}), ("tanh", {})]),
        ("leaky_relu:slope=0.2, elu:alpha=2,relu",
         [("leaky_relu", {"slope": 0.2}), ("elu", {"alpha": 2}), ("relu", {})]),
    ],
)  # fmt: skip
def test_names_and_parameters_as_text(text, expected):
    components = [parse_component(one, "activation") for one in split_components(text)]
    assert components == expected
    assert repr(components) == repr(expected)  # an integer is not the float that equals it


@pytest.mark.parametrize(
    "text",
    ["slope:slope", "slope=0.9", "slope:slope=x", "plain,slope", "plain:", "slope:slope=1,slope=2"],
)
def test_a_text_of_another_form_is_refused(text):
    with pytest.raises(ValueError, match=f"optimizer is '{text}', expected"):
        make(COMPONENTS, text, "optimizer")


def test_numpy_scalars_train_like_python_numbers():
    """Beside an array of float32, numpy.float64 would make all that follows float64."""
    pixels, found = np.arange(27, dtype=np.uint8).reshape(9, 3), []
    for real, whole in ((float, int), (np.float64, np.int64)):
        rate = WarmUp(lambda step, real=real: real(0.25), whole(2))
        around = {"weight_decay": real(0.5), "clip_norm": real(1.0)}
        parameters = train(
            MLP([3, 4, 2], activation=LeakyReLU(real(0.25)), dropout=real(0.25)),
            pixels,
            np.arange(9) % 2,
            backend=get_backend("numpy"),
            optimizer=make_optimizer("adamw", learning_rate=rate, **around),
            epochs=whole(2),
            batch_size=whole(4),
            seed=whole(3),
            scale=real(1 / 256),
        ).parameters
        found.append([array.tobytes() for layer in parameters for array in layer.values()])
    assert found[0] == found[1]
