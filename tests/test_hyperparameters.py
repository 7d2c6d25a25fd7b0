"""The door's checks of hyperparameters: what passes, as what, and what the error says."""

import re
from dataclasses import dataclass

import numpy as np
import pytest

from pluggable_mlp import MLP, SGD, get_backend, train
from pluggable_mlp.hyperparameters import as_count, as_number, keep_count, keep_number
from pluggable_mlp.network.activations import ELU, LeakyReLU
from pluggable_mlp.network.losses import HuberLoss, PinballLoss, SoftmaxCrossEntropy
from pluggable_mlp.network.normalization import BatchNorm
from pluggable_mlp.training.optimizers import LBFGS, make_optimizer
from pluggable_mlp.training.schedules import Cosine, Plateau, WarmUp


@pytest.mark.parametrize("value", [0, 0.5, 0.999, np.float64(0.5), np.float32(0.5), np.int64(0)])
def test_number_in_range(value):
    number = as_number("x", value, at_least=0.0, below=1.0)
    assert type(number) is float
    assert number == value


@pytest.mark.parametrize(
    "value",
    [-1e-300, 1, float("nan"), float("-inf"), "0.5", None, False, np.False_, 1j, 10**400, [0.5]],
)
def test_number_out_of_range(value):
    expected = f"x is {value!r}, expected a finite number of at least 0 and below 1"
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        as_number("x", value, at_least=0.0, below=1.0)


def test_the_bounds_themselves():
    assert as_number("x", 1.0, at_most=1.0) == as_number("x", 1.0, at_least=1.0) == 1.0
    for bounds, words in (({"above": 1.0}, "above 1"), ({"below": 1.0}, "below 1")):
        with pytest.raises(ValueError, match=f"^x is 1.0, expected a finite number {words}$"):
            as_number("x", 1.0, **bounds)


def test_number_of_any_size_is_finite():
    with pytest.raises(ValueError, match=r"^x is inf, expected a finite number$"):
        as_number("x", float("inf"))


@pytest.mark.parametrize("value", [1, 2**70, np.int64(3), np.uint8(3)])
def test_count_in_range(value):
    count = as_count("n", value, at_least=1)
    assert type(count) is int
    assert count == value


@pytest.mark.parametrize("value", [0, np.int64(0), 1.0, np.float64(1), "1", None, True, np.True_])
def test_count_out_of_range(value):
    with pytest.raises(ValueError, match=r"^n is .*, expected an integer of at least 1$"):
        as_count("n", value, at_least=1)


def test_fields_are_kept_as_pythons_own():
    @dataclass(frozen=True)
    class Piece:
        x: float
        n: int

        def __post_init__(self):
            keep_number(self, "x", below=1.0)
            keep_count(self, "n", at_least=1)

    piece = Piece(np.float32(0.5), np.int8(2))
    assert (type(piece.x), type(piece.n)) == (float, int)
    assert piece == Piece(0.5, 2)
    with pytest.raises(ValueError, match="^x is 1, expected a finite number below 1$"):
        Piece(1, 2)
    with pytest.raises(ValueError, match="^n is 0, expected an integer of at least 1$"):
        Piece(0.5, 0)


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
        "slopes": MLP([3, 4, 4, 2], activation=[LeakyReLU(number(0.25)), ELU(number(0.5))]),
        "smoothing": MLP([3, 2], loss=SoftmaxCrossEntropy(number(0.125))),
        "huber": MLP([3, 2], loss=HuberLoss(number(0.5))),
        "quantile": MLP([3, 2], loss=PinballLoss(number(0.25))),
    }
    cases = {name: (MLP([3, 4, 2]), optimizer, 4) for name, optimizer in optimizers.items()}
    cases |= {name: (mlp, SGD(0.25), 4) for name, mlp in networks.items()}
    return cases | {"lbfgs": (MLP([3, 4, 2]), LBFGS(number(3)), 9)}


@pytest.mark.parametrize("place", ["numpy", "array_api_strict"])
def test_a_scale_of_numpy_is_pythons(place):
    backend, pixels = get_backend(place), np.asarray([[0, 128], [255, 1]], dtype=np.uint8)
    results = [
        train(MLP([2, 2]), pixels, [0, 1], backend=backend, scale=scale, epochs=1).history
        for scale in (1 / 256, np.float64(1 / 256))
    ]
    assert results[0] == results[1]


def as_numpy(value):
    return np.int64(value) if isinstance(value, int) else np.float64(value)


@pytest.mark.parametrize("place", ["numpy", "array_api_strict", "torch", "jax"])
@pytest.mark.parametrize("name", everywhere(lambda value: value))
def test_numbers_of_numpy_train_as_pythons(name, place):
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
