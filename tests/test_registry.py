"""The registry: components by name and as text, checks of their parameters, and the errors."""

import re
from dataclasses import dataclass

import numpy as np
import pytest

from pluggable_mlp import MLP, SGD, get_backend, train
from pluggable_mlp.network.activations import ELU, LeakyReLU
from pluggable_mlp.network.losses import HuberLoss, PinballLoss, SoftmaxCrossEntropy
from pluggable_mlp.network.normalization import BatchNorm
from pluggable_mlp.registry import (
    catalogue,
    choose,
    make,
    parse_component,
    parse_components,
)
from pluggable_mlp.training.components import make_optimizer
from pluggable_mlp.training.lbfgs import LBFGS
from pluggable_mlp.training.schedules import Cosine, Plateau, WarmUp

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
    components = parse_components(text, "activation")
    assert components == expected
    assert repr(components) == repr(expected)  # an integer is not the float that equals it


@pytest.mark.parametrize("text", ["sgd:momentum", "sgd:=1", "momentum=0.9", "sgd:momentum=fast"])
def test_a_text_of_another_form_is_refused(text):
    with pytest.raises(ValueError, match="optimizer is .*expected"):
        parse_component(text, "optimizer")


def test_a_single_component_as_text():
    with pytest.raises(ValueError, match="expected a single one"):
        parse_component("adam,sgd", "optimizer")


def everywhere(number):
    """Trainings that meet a number in every place that takes one."""
    around = {"weight_decay": 0.5, "l1": 0.25, "clip_norm": 1.0, "average": 0.5}
    around = {name: number(value) for name, value in around.items()}
    rates = {
        "number": number(0.25),
        "function": lambda step: number(0.25),
        "cosine": Cosine(number(0.5), total_steps=number(9), final=number(0.25)),
        "plateau": Plateau(number(0.5), patience=number(0), factor=number(0.5)),
        "warm-up": WarmUp(lambda step: number(0.25), number(2)),
    }
    optimizers = {name: SGD(rate, momentum=number(0.5)) for name, rate in rates.items()}
    optimizers |= {
        name: make_optimizer(name, learning_rate=number(0.25), **around)
        for name in ("rmsprop", "adam", "adamw", "lion", "muon")
    }
    networks = {
        "dropout": MLP([3, 4, 2], dropout=number(0.25), norm=BatchNorm(number(0.5), number(0.25))),
        "inputs": MLP([3, 4, 2], input_dropout=number(0.25), input_noise=number(0.5)),
        "slopes": MLP([3, 4, 4, 2], activation=[LeakyReLU(number(0.25)), ELU(number(0.5))]),
        "smoothing": MLP([3, 2], loss=SoftmaxCrossEntropy(number(0.125))),
        "huber": MLP([3, 2], loss=HuberLoss(number(0.5))),
        "quantile": MLP([3, 2], loss=PinballLoss(number(0.25))),
    }
    cases = {name: (MLP([3, 4, 2]), optimizer, 4) for name, optimizer in optimizers.items()}
    cases |= {name: (mlp, SGD(0.25), 4) for name, mlp in networks.items()}
    return cases | {"lbfgs": (MLP([3, 4, 2]), LBFGS(number(3)), 9)}


@pytest.mark.parametrize("place", ["numpy", "array_api_strict"])
def test_a_numpy_scale_is_kept_as_a_python_float(place):
    backend, pixels = get_backend(place), np.asarray([[0, 128], [255, 1]], dtype=np.uint8)
    results = [
        train(MLP([2, 2]), pixels, [0, 1], backend=backend, scale=scale, epochs=1).history
        for scale in (1 / 256, np.float64(1 / 256))
    ]
    assert results[0] == results[1]


def as_numpy(value):
    return np.int64(value) if isinstance(value, int) else np.float64(value)


@pytest.mark.parametrize("place", ["numpy", "torch"])
@pytest.mark.parametrize("name", everywhere(lambda value: value))
def test_numpy_scalars_train_like_python_numbers(name, place):
    """Beside an array of float32, numpy.float64 would make all that follows float64."""
    pytest.importorskip(place)
    backend = get_backend(place)
    x = np.linspace(-1.0, 1.0, 27).reshape(9, 3)
    y = np.arange(9) % 2

    def bits(number):
        mlp, optimizer, batch_size = everywhere(number)[name]
        labels = y if mlp.objective.targets == "classes" else np.stack([y, 1 - y], axis=1) * 1.0
        parameters = train(
            mlp,
            x,
            labels,
            backend=backend,
            optimizer=optimizer,
            epochs=number(2),
            batch_size=number(batch_size),
            seed=number(3),
        ).parameters
        return [
            (key, array.dtype.name, array.tobytes())
            for of in parameters
            for key, array in ((key, backend.to_numpy(array)) for key, array in of.items())
        ]

    found = bits(as_numpy)
    assert {dtype for _, dtype, _ in found} == {"float32"}
    assert found == bits(lambda value: value)
