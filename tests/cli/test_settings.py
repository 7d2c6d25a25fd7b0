"""Every option of `train` reaches the run: the same parameters as `train()` from Python gives.

The command line and `pluggable_mlp.train` share no code but the loop, so that one is an oracle for
the other.  What each option asks for is put together here by hand, from the classes themselves.
"""

import hashlib
import json
import math
from functools import cache, partial
from typing import Any

import numpy as np
import pytest

from pluggable_mlp import MLP, PoissonLoss, SoftmaxCrossEntropy, SquaredError, get_backend, train
from pluggable_mlp.cli.app import program
from pluggable_mlp.network.activations import LeakyReLU, gelu, relu, tanh
from pluggable_mlp.network.feature_layers import BatchNorm, LayerNorm
from pluggable_mlp.training.lbfgs import LBFGS
from pluggable_mlp.training.muon import Muon
from pluggable_mlp.training.optimizers import SGD, Adam, AdamW, Lion, RMSprop
from pluggable_mlp.training.schedules import (
    Constant,
    Cosine,
    Exponential,
    InverseScaling,
    OneCycle,
    Plateau,
    Step,
    WarmUp,
)
from pluggable_mlp.training.transforms import L2, ClipByGlobalNorm

EXAMPLES, FEATURES, CLASSES = 203, 8, 3
STEPS = 3 * math.ceil(EXAMPLES / 16)  # of three epochs in batches of 16, the last of each smaller

PLAIN: dict[str, Any] = {
    "hidden": (12,), "activation": "sigmoid", "dropout": 0.0, "input_dropout": 0.0,
    "input_noise": 0.0, "norm": None, "smoothing": 0.0,
    "optimizer": SGD(0.1), "batch_size": 16, "epochs": 3, "dtype": "float32",
    "arithmetic": "native", "seed": 0, "class_weight": None, "micro_batch": None, "data": 0,
    "loss": None, "outputs": CLASSES, "minmax": False, "standardized": False,
}  # fmt: skip


def sgd(schedule) -> dict[str, SGD]:
    return {"optimizer": SGD(schedule)}


# What stands on the command line, and what it changes in PLAIN.
CASES: dict[str, dict[str, Any]] = {
    "--hidden 7,5": {"hidden": (7, 5)},
    "--hidden ": {"hidden": ()},
    "--activation tanh": {"activation": tanh},
    "--hidden 12,12 --activation leaky_relu:slope=0.25,gelu": {
        "hidden": (12, 12),
        "activation": [LeakyReLU(slope=0.25), gelu],
    },
    "--activation relu": {"activation": relu},
    "--dropout 0.5": {"dropout": 0.5},
    "--input-dropout 0.5": {"input_dropout": 0.5},
    "--input-noise 0.5": {"input_noise": 0.5},
    "--norm layer": {"norm": LayerNorm()},
    "--norm batch:momentum=0.5": {"norm": BatchNorm(momentum=0.5)},
    "--task regression": {
        "loss": SquaredError(),
        "outputs": 1,
        "standardized": True,
        "optimizer": SGD(0.01),
    },
    "--task regression --target-scaling none": {
        "loss": SquaredError(),
        "outputs": 1,
        "optimizer": SGD(0.01),
    },
    "--loss poisson --learning-rate 0.02": {
        "loss": PoissonLoss(),
        "outputs": 1,
        "optimizer": SGD(0.02),
    },
    "--scaling minmax": {"minmax": True},
    "--label-smoothing 0.25": {"smoothing": 0.25},
    "--class-weight balanced": {"class_weight": "balanced"},
    "--optimizer sgd:momentum=0.9,nesterov=true": {
        "optimizer": SGD(0.1, momentum=0.9, nesterov=True)
    },
    "--optimizer rmsprop": {"optimizer": RMSprop(0.001)},
    "--optimizer adam:beta1=0.8": {"optimizer": Adam(0.001, beta1=0.8)},
    "--optimizer adamw": {"optimizer": AdamW(0.001)},
    "--optimizer lion": {"optimizer": Lion(0.0001)},
    "--optimizer muon": {"optimizer": Muon(0.001)},
    "--optimizer lbfgs --batch-size 203": {"optimizer": LBFGS(), "batch_size": 203},
    "--learning-rate 0.02": {"optimizer": SGD(0.02)},
    "--optimizer adam --learning-rate 0.02": {"optimizer": Adam(0.02)},
    "--weight-decay 0.125": {"optimizer": L2(SGD(0.1), 0.125)},
    "--optimizer adamw --weight-decay 0.125": {"optimizer": AdamW(0.001, weight_decay=0.125)},
    "--clip-norm 0.0625": {"optimizer": ClipByGlobalNorm(SGD(0.1), 0.0625)},
    "--clip-norm 0.0625 --weight-decay 0.125": {
        "optimizer": ClipByGlobalNorm(L2(SGD(0.1), 0.125), 0.0625)
    },
    "--schedule constant --learning-rate 0.02": sgd(Constant(0.02)),
    "--schedule step:every=3": sgd(Step(0.1, every=3)),
    "--schedule exponential:factor=0.5": sgd(Exponential(0.1, factor=0.5)),
    "--schedule inverse_scaling": sgd(InverseScaling(0.1)),
    "--schedule cosine": sgd(Cosine(0.1, total_steps=STEPS)),
    "--schedule cosine --learning-rate 0.02": sgd(Cosine(0.02, total_steps=STEPS)),
    "--schedule cosine --optimizer adam": {"optimizer": Adam(Cosine(0.001, total_steps=STEPS))},
    "--schedule one_cycle": sgd(OneCycle(0.1, total_steps=STEPS)),
    "--schedule plateau:patience=0,threshold=0.9": sgd(Plateau(0.1, patience=0, threshold=0.9)),
    "--warmup 20": sgd(WarmUp(Constant(0.1), 20)),
    "--schedule cosine --warmup 20": sgd(WarmUp(Cosine(0.1, total_steps=STEPS - 20), 20)),
    "--batch-size 64": {"batch_size": 64},
    "--micro-batch 5": {"micro_batch": 5},
    "--epochs 2": {"epochs": 2},
    "--dtype float64": {"dtype": "float64"},
    "--arithmetic reproducible": {"arithmetic": "reproducible"},
    "--seed 1": {"seed": 1},
    "--data": {"data": 1},
    "--header no": {"data": 2},
    "--encoding latin-1": {"data": 3},
    "--decimal comma": {"data": 5},
}
AS_THEY_ARE = [
    "--recipe",
    "none",
    "--scaling",
    "none",
    "--test-share",
    0,
]  # a table's numbers and rows


def data(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return examples (203, 8) of three classes, the first as frequent as both others.

    Those of 2 begin with a row that reads as a header, 1 to 8; the classes of 3 are swapped; 5 are
    written with decimal commas.
    """
    generator = np.random.default_rng(number % 2)
    inputs = generator.normal(size=(EXAMPLES, FEATURES))
    labels = np.asarray([0, 1, 0, 2] * EXAMPLES)[:EXAMPLES]
    inputs += labels[:, None]
    if number == 2:
        inputs[0] = range(1, FEATURES + 1)
    return inputs, 2 - labels if number == 3 else labels


def write_table(path, number: int, classes: list[str], encoding: str) -> None:
    """Write the examples of a number as a table without a header."""
    rows = zip(*data(number), strict=True)
    lines = [",".join([*(f"{x:.17g}" for x in row), classes[label]]) for row, label in rows]
    text = "\n".join(lines)
    if number == 5:
        text = text.replace(",", ";").replace(".", ",")
    path.write_text(text, encoding=encoding)


def sha256(parameters) -> str:
    """Return the hash by its definition: layers, names within them, little-endian C order."""
    arrays = [array for layer in parameters for _, array in sorted(layer.items())]
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for number in (0, 1):
        inputs, labels = data(number)
        path = folder / f"{number}.npz"
        np.savez(path, X=inputs, y=labels, X_test=inputs[:20], y_test=labels[:20])
    write_table(folder / "2.csv", 2, ["a", "b", "c"], "utf-8")
    write_table(folder / "3.csv", 3, ["a", "é", "ü"], "latin-1")
    write_table(folder / "5.csv", 5, ["a", "b", "c"], "utf-8")
    return folder


def by_hand(**changes: Any) -> tuple[str, list[float]]:
    """Return the hash of the trained parameters, and the loss of each epoch."""
    values = PLAIN | changes
    mlp = MLP(
        [FEATURES, *values["hidden"], values["outputs"]],
        activation=values["activation"],
        loss=values["loss"] or SoftmaxCrossEntropy(label_smoothing=values["smoothing"]),
        dropout=values["dropout"],
        input_dropout=values["input_dropout"],
        input_noise=values["input_noise"],
        norm=values["norm"],
    )
    names = ["optimizer", "batch_size", "epochs", "dtype", "arithmetic", "seed", "class_weight"]
    names.append("micro_batch")
    inputs, labels = data(values["data"])
    if values["minmax"]:
        inputs = (inputs - inputs.min(axis=0)) / np.ptp(inputs, axis=0)
    if values["standardized"]:
        labels = (labels - labels.mean()) / labels.std()
    result = train(
        mlp,
        inputs,
        labels,
        backend=get_backend("numpy"),
        **{name: values[name] for name in names},
    )
    return sha256(result.parameters), result.history


@cache
def plain() -> tuple[str, list[float]]:
    """Return the same without options."""
    return by_hand()


def by_command(command, folder, files, text: str) -> tuple[str, list[float]]:
    """Return the same of a run of the command line."""
    number = CASES.get(text, {}).get("data", 0)
    given: list[Any] = [] if text in ("", "--data") else text.split(" ")
    name = f"{number}.npz"
    if number > 1:
        pytest.importorskip("polars")
        name, given = f"{number}.csv", [*given, *AS_THEY_ARE]
    hidden = [] if "--hidden" in given else ["--hidden", 12]
    epochs = [] if "--epochs" in given else ["--epochs", 3]
    outcome = command("train", "--data", files / name, *hidden, *epochs, *given, "--output", folder)
    assert outcome.code == 0, outcome.err
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    summary = json.loads((folder / "summary.json").read_text())
    return summary["parameters_sha256"], [line["train_loss"] for line in lines]


@pytest.mark.parametrize("text", CASES)
def test_an_option_reaches_the_run_and_nothing_else_changes(command, tmp_path, files, text):
    run = partial(by_command, command, tmp_path / "run", files)
    computed, losses = run(text)
    expected, history = by_hand(**CASES[text])
    assert losses == history
    assert computed == expected
    assert computed != plain()[0]


def test_without_options_it_is_the_plain_run(command, tmp_path, files):
    assert by_command(command, tmp_path / "run", files, "") == plain()


def test_the_backend_reaches_the_run(command, tmp_path):
    pytest.importorskip("array_api_strict")
    folder = tmp_path / "run"
    command("train", "--epochs", 1, "--backend", "array_api_strict:device1", "--output", folder)
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["backend"], summary["device"]) == ("array_api_strict", "device1")


def test_quiet_prints_only_the_last_line(command):
    loud = command("train", "--epochs", 2).out.splitlines()
    assert [line.split()[0] for line in loud] == ["epoch", "epoch", "test"]
    quiet = command("train", "--epochs", 2, "--quiet").out.splitlines()
    assert [line.split()[0] for line in quiet] == ["test"]


def test_every_option_of_train_has_a_case():
    options = {name for parameter in program.commands["train"].params for name in parameter.opts}
    tried = {word for text in CASES for word in text.split() if word.startswith("--")}
    elsewhere = {
        "--target",
        "--recipe",
        "--test",
        "--test-share",
        "--validation",
        "--early-stopping",
        "--metric",
        "--validation-by",
        "--config",
        "--overwrite",
        "--json",
        "--resume",
        "--log",
        "--checkpoint-minutes",
        "--block-size",
    }  # files of their own
    of_runs = {"--backend", "--distributed", "--output", "--quiet", "--help"}
    assert options - tried == of_runs & options | elsewhere
