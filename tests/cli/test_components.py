"""The components on the command line: by name, with their parameters, and what each refuses."""

import json
import re
import subprocess
import sys

import pytest

from pluggable_mlp.settings import Settings


@pytest.mark.slow
def test_all_at_once(command, tmp_path):
    outcome = command(
        "train", "--epochs", 5, "--hidden", "64,32", "--activation", "leaky_relu:slope=0.1,gelu",
        "--optimizer", "adamw:beta1=0.95", "--learning-rate", 0.003, "--weight-decay", 0.01,
        "--schedule", "cosine", "--warmup", 50, "--dropout", 0.2, "--norm", "layer",
        "--label-smoothing", 0.1, "--clip-norm", 1, "--class-weight", "balanced",
        "--output", tmp_path / "run",
    )  # fmt: skip
    assert outcome.code == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["test_accuracy"] > 0.9
    again = command("evaluate", "--json", tmp_path / "run")
    assert json.loads(again.out)["accuracy"] == summary["test_accuracy"]


ADDED = """
from dataclasses import dataclass
from pluggable_mlp.network.activations import ACTIVATIONS
from pluggable_mlp.network.normalization import NORMALIZATIONS
from pluggable_mlp.training.components import OPTIMIZERS
from pluggable_mlp.training.schedules import SCHEDULES

@dataclass(frozen=True)
class Added:
    learning_rate: float = 0.1
    width: float = 0.25

for number, table in enumerate([ACTIVATIONS, NORMALIZATIONS, OPTIMIZERS, SCHEDULES]):
    table[f"added{number}"] = Added()

"""


@pytest.mark.slow
def test_help_shows_what_is_added_to_a_table():
    program = f"{ADDED}from pluggable_mlp.cli import main; main()"
    arguments = [sys.executable, "-c", program, "train", "--help"]
    shown = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
    words = " ".join(shown.replace("│", " ").split())
    assert re.findall(r"added\d \(.*?\)", words) == [
        "added0 (learning_rate=0.1, width=0.25)",
        "added1 (learning_rate=0.1, width=0.25)",
        "added2 (width=0.25)",
        "added3 (width=0.25)",
    ]


def test_the_examples_in_the_help_are_taken(command):
    words = command("train", "--help").out.replace("│", " ").split()
    given = [word.strip(".:") for word in words if re.search(r"\w:\w+=", word)]
    assert len(given) == 2
    Settings(hidden=(4, 4), activation=given[0], optimizer=given[1])


@pytest.mark.parametrize("optimizer", ["sgd:momentum=0.9", "rmsprop", "adam", "lion", "muon"])
def test_every_optimizer_lowers_the_loss(command, optimizer):
    outcome = command("train", "--epochs", 4, "--optimizer", optimizer)
    losses = [float(line.split("train loss ")[1].split()[0]) for line in epochs(outcome)]
    assert losses[-1] < losses[0]


def test_lbfgs_takes_all_examples_at_once(command):
    outcome = command("train", "--optimizer", "lbfgs", "--batch-size", 2000, "--epochs", 8)
    losses = [float(line.split("train loss ")[1].split()[0]) for line in epochs(outcome)]
    assert losses == sorted(losses, reverse=True)
    refused = command("train", "--optimizer", "lbfgs")
    assert refused.code == 2
    assert "expected at least the 1541 examples" in refused.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--optimizer", "adma"], ["'adma'", "did you mean 'adam'"]),
        (["--optimizer", "adam:momentum=0.9"], ["takes no momentum", "beta1"]),
        (["--optimizer", "lbfgs", "--weight-decay", "0.1"], ["takes no weight_decay"]),
        (["--optimizer", "lbfgs", "--learning-rate", "1"], ["takes no learning_rate"]),
        (["--schedule", "cosin"], ["'cosin'", "did you mean 'cosine'"]),
        (["--schedule", "step"], ["needs every"]),
        (["--schedule", "cosine:every=3"], ["takes no every"]),
        (["--schedule", "cosine:total_steps=3"], ["without total_steps, which follows from other"]),
        (["--schedule", "cosine:warmup=5"], ["'cosine:warmup=5'", "without warmup, which follows"]),
        (["--schedule", "constant:learning_rate=3"], ["without learning_rate"]),
        (["--norm", "batch:eps=1"], ["takes no eps", "did you mean 'epsilon'"]),
        (["--norm", "group"], ["norm is 'group'", "layer, batch"]),
        (["--activation", "relu:slope=1"], ["takes no slope"]),
        (["--activation", "relu,tanh"], ["list of 2, expected 1, one for each hidden layer"]),
        (["--dropout", "1.5"], ["dropout is 1.5"]),
        (["--input-dropout", "1.5"], ["input_dropout is 1.5"]),
        (["--input-noise", "-1"], ["input_noise is -1"]),
        (["--label-smoothing", "2"], ["label_smoothing is 2.0"]),
        (["--clip-norm", "-1"], ["clip_norm is -1"]),
        (["--class-weight", "unfair"], ["class_weight is 'unfair'", "balanced"]),
        (["--warmup", "-1"], ["warmup is -1"]),
    ],
)
def test_invalid_components_exit_with_2(command, arguments, words):
    outcome = command("train", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    for word in words:
        assert word in outcome.err


def epochs(outcome) -> list[str]:
    """Return the lines of the epochs."""
    return [line for line in outcome.out.splitlines() if line.startswith("epoch")]
