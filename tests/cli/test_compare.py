"""`compare`: agreement ends with 0, disagreement with 1, and both can be read by machines."""

import json

import numpy as np
import pytest

from pluggable_mlp import MLP, SoftmaxCrossEntropy, get_backend, make_optimizer, make_schedule
from pluggable_mlp.consistency.compare import compare
from pluggable_mlp.data import load_dataset


def leaky(xp, x):
    return xp.where(x > 0.0, x, x * 0.2)


def leaky_slope(xp, x):
    return xp.where(x > 0.0, 1.0, 0.2 + 0.0 * x)


def sgd_with(schedule, **parameters):
    """SGD on that schedule over the epoch of 13 batches to which the steps belong."""
    rate = make_schedule(schedule, 0.1, total_steps=13, **parameters)
    return make_optimizer("sgd", learning_rate=rate)


def by_hand(
    sizes, *, data="digits", activation="sigmoid", dropout=0.0, input_dropout=0.0, input_noise=0.0,
    norm=None, loss="softmax_cross_entropy", seed=0, **settings,
):  # fmt: skip
    """The report of the comparison of these components, as a dictionary that was JSON."""
    dataset = load_dataset(data, seed)
    random = {"dropout": dropout, "input_dropout": input_dropout, "input_noise": input_noise}
    report = compare(
        [get_backend("numpy"), get_backend("numpy")],
        MLP(sizes, activation=activation, **random, norm=norm, loss=loss),
        dataset.train.inputs,
        dataset.train.targets,
        scale=dataset.scale,
        arithmetic="reproducible",
        seed=seed,
        **settings,
    )
    return json.loads(json.dumps(report.to_dict()))


def test_two_backends_agree_within_the_bounds(command):
    pytest.importorskip("array_api_strict")
    outcome = command("compare", "--backends", "numpy,array_api_strict:device1", "--steps", 2)
    assert outcome.code == 0
    assert outcome.err == ""
    lines = outcome.out.splitlines()
    assert lines[0] == "native, float32: 2 steps of up to 128 of 1541 examples, seed 0"
    assert [line for line in lines if line.endswith((", float32", ", float64"))] == [
        "layer by layer, float32", "whole step, float64", "whole step, float32"
    ]  # fmt: skip
    # Ulps, part of the bound, smallest fault seen: of a gradient in each of the three.
    rows = [line.split()[3:] for line in lines if line.startswith("layer 1 dW ")]
    assert [len(row) for row in rows] == [3, 3, 3]
    by_layer, in_float64, in_float32 = (float(row[2]) for row in rows)
    assert 1e-7 < by_layer < 2e-5 < in_float32 < 1e-2
    assert in_float64 < 1e-11
    assert lines[-1].startswith("within the bounds of rounding errors around numpy: ")


def test_a_disagreement_ends_with_1_and_names_the_tensor(command, monkeypatch):
    pytest.importorskip("array_api_strict")
    from pluggable_mlp.backends.array_api_strict import ArrayApiStrictBackend

    honest = ArrayApiStrictBackend.asarray

    def crooked(self, data, dtype=None):
        # Parameters are the only floats that come in: they are a little off.
        array = honest(self, data, dtype)
        return array * 1.001 if "float" in str(array.dtype) else array

    monkeypatch.setattr(ArrayApiStrictBackend, "asarray", crooked)
    outcome = command("compare", "--backends", "numpy,array_api_strict", "--steps", 1)
    assert outcome.code == 1
    assert "beyond the bound: array_api_strict, layer 1 y, layer by layer in float32" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--backends", "numpy,numpy", "--steps", "0"], "Invalid value for '--steps'"),
        (["--backends", "numpy,numpy", "--schedule", "plateau"], "plateau follows the loss"),
    ],
)
def test_what_an_option_does_not_take_is_named(command, arguments, words):
    outcome = command("compare", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert words in outcome.err


def test_the_same_bits_are_hashes(command):
    outcome = command(
        "compare", "--backends", "numpy,numpy", "--arithmetic", "reproducible", "--steps", 1
    )
    assert outcome.code == 0
    assert outcome.out.startswith("reproducible, float32: 1 step of up to 128 of 1541 examples")
    assert outcome.out.endswith("same bits: numpy:cpu (1), numpy:cpu (2)\n")


PLAIN = {"sizes": [64, 100, 10], "optimizer": make_optimizer("sgd"), "steps": 2}
# Each option, and what it makes of the plain comparison, put together by hand.
OPTIONS = {
    "--hidden": ("7,5", {"sizes": [64, 7, 5, 10]}),
    "--activation": ("leaky_relu:slope=0.2", {"activation": (leaky, leaky_slope)}),
    "--dropout": (0.5, {"dropout": 0.5}),
    "--input-dropout": (0.5, {"input_dropout": 0.5}),
    "--input-noise": (0.5, {"input_noise": 0.5}),
    "--norm": ("layer", {"norm": "layer"}),
    "--label-smoothing": (0.25, {"loss": SoftmaxCrossEntropy(label_smoothing=0.25)}),
    "--class-weight": ("balanced", {"class_weight": "balanced"}),
    "--optimizer": ("sgd:momentum=0.5", {"optimizer": make_optimizer("sgd", momentum=0.5)}),
    "--learning-rate": (0.5, {"optimizer": make_optimizer("sgd", learning_rate=0.5)}),
    "--weight-decay": (0.5, {"optimizer": make_optimizer("sgd", weight_decay=0.5)}),
    "--clip-norm": (0.01, {"optimizer": make_optimizer("sgd", clip_norm=0.01)}),
    "--schedule": ("cosine", {"optimizer": sgd_with("cosine")}),
    "--warmup": (4, {"optimizer": sgd_with("constant", warmup=4)}),
    "--dtype": ("float64", {"dtype": "float64"}),
    "--batch-size": (50, {"batch_size": 50}),
    "--steps": (3, {"steps": 3}),
    "--seed": (1, {"seed": 1}),
}


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_reaches_the_steps(command, option):
    value, change = OPTIONS[option]
    arguments = {"--steps": 2, option: value}
    outcome = command(
        "compare", "--backends", "numpy,numpy", "--arithmetic", "reproducible", "--json",
        *(part for pair in arguments.items() for part in pair),
    )  # fmt: skip
    found = json.loads(outcome.out)
    expected = by_hand(**{**PLAIN, **change})
    assert found == expected
    assert found["hashes"] != by_hand(**PLAIN)["hashes"]


def test_data_of_your_own_are_divided_by_the_seed(command, tmp_path):
    rng = np.random.default_rng(0)
    arrays = {"X": rng.normal(size=(40, 6)).astype("float32"), "y": rng.integers(0, 3, size=40)}
    np.savez(tmp_path / "own.npz", **arrays)
    outcome = command(
        "compare", "--backends", "numpy,numpy", "--arithmetic", "reproducible", "--json",
        "--steps", 2, "--seed", 5, "--data", tmp_path / "own.npz",
    )  # fmt: skip
    expected = by_hand(**{**PLAIN, "sizes": [6, 100, 3]}, data=tmp_path / "own.npz", seed=5)
    assert json.loads(outcome.out) == expected
