"""`train --config`: every option from a file, and what the command line has over it.

The file is written by hand, or the config.json of a run.
"""

import json

import pytest

from pluggable_mlp.cli.app import program
from pluggable_mlp.fields import kind_of
from pluggable_mlp.options import Options

OPTIONS = """
data = "digits"
task = "classification"
scaling = "minmax"
target-scaling = "none"
validation = 0.25
recipe = "none"
hidden = [12, 7]
activation = ["tanh", "leaky_relu:slope=0.25"]
dropout = 0.125
input-dropout = 0.0625
input-noise = 0.75
norm = "layer"
loss = "softmax_cross_entropy"
label-smoothing = 0.25
class_weight = "balanced"
optimizer = "adamw:beta1=0.8"
learning-rate = 0.01
weight-decay = 0.125
clip-norm = 5
schedule = "cosine"
warmup = 2
batch-size = 256
epochs = 1
micro-batch = 100
block-size = 512
metric = "neg_log_loss"
early-stopping = 4
dtype = "float64"
arithmetic = "native"
seed = 3
backend = "numpy"
checkpoint-minutes = 1
quiet = true
json = true
"""
EXPECTED = {
    "data": "digits", "task": "classification", "target": None, "header": None,
    "encoding": None, "decimal": "point", "scaling": "minmax",
    "target_scaling": "none", "test": None, "test_share": None, "validation": 0.25,
    "validation_by": None,
    "recipe": "none",
    "hidden": [12, 7], "activation": "tanh,leaky_relu:slope=0.25", "dropout": 0.125,
    "input_dropout": 0.0625, "input_noise": 0.75, "norm": "layer", "loss": "softmax_cross_entropy",
    "label_smoothing": 0.25, "class_weight": "balanced",
    "optimizer": "adamw:beta1=0.8", "learning_rate": 0.01,
    "weight_decay": 0.125, "clip_norm": 5.0, "schedule": "cosine", "warmup": 2,
    "batch_size": 256, "micro_batch": 100, "block_size": 512, "epochs": 1,
    "metric": "neg_log_loss", "early_stopping": 4, "dtype": "float64",
    "arithmetic": "native", "seed": 3,
}  # fmt: skip

ELSEWHERE = {
    "target",
    "header",
    "encoding",
    "decimal",
    "test",
    "test-share",
    "validation-by",
}  # for other data
NUMBERS = {int: 3, float: 0.25}
for name, field in Options.__dataclass_fields__.items():
    if name not in EXPECTED:  # new ones; of the others each has a value of its own
        EXPECTED[name] = NUMBERS[kind_of(field)]
        OPTIONS += f"{name} = {EXPECTED[name]}\n"
EXPECTED = {name: value for name, value in EXPECTED.items() if value is not None}


@pytest.fixture
def file(tmp_path):
    def write(text):
        (tmp_path / "train.toml").write_text(text)
        return tmp_path / "train.toml"

    return write


def settings(folder):
    return json.loads((folder / "config.json").read_text())["settings"]


def test_every_option_may_stand_in_a_file(command, tmp_path, file):
    run = tmp_path / "run"
    for _ in range(2):  # the second replaces the first
        outcome = command("train", "--config", file(f"{OPTIONS}output = '{run}'\noverwrite = true"))
        assert outcome.code == 0, outcome.err
        assert json.loads(outcome.out)["epochs"] == 1
        assert settings(run) == EXPECTED
    keys = {line.partition(" ")[0].replace("_", "-") for line in OPTIONS.split("\n") if line}
    options = {
        name.removeprefix("--")
        for parameter in program.commands["train"].params
        for name in parameter.opts
    }
    others = {"config", "distributed", "output", "overwrite", "resume", "log", "help"}
    assert options - keys == ELSEWHERE | (others & options)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("train.toml", "epoch = 3", "'epoch' is not an option of train; did you mean 'epochs'?"),
        ("train.toml", "config = 'other.toml'", "'config' is not an option of train"),
        ("train.toml", "[optimizer]\nname = 'sgd'", "optimizer is"),
        ("train.toml", "loss = 'mse'", "loss is 'mse', expected"),
        ("train.toml", "lr = 0.1", "'lr' is not an option of train; did you mean 'learning-rate'?"),
        ("train.toml", "epochs 3", "train.toml is damaged: "),
        ("absent.toml", None, "absent.toml is missing; expected a TOML file"),
        ("config.json", "{}", "config.json"),
        ("config.json", '{"format": 7, "settings": {"epoch": 3}, "data_sha256": ""}',
         "'epoch' is not an option of train; did you mean 'epochs'?"),
    ],
)  # fmt: skip
def test_a_fault_in_a_file_is_named(command, tmp_path, name, text, words):
    if text is not None:
        (tmp_path / name).write_text(text)
    outcome = command("train", "--config", tmp_path / name)
    assert (outcome.code, outcome.out) == (2, "")
    assert words in " ".join(outcome.err.split())


def test_the_settings_of_a_run_are_those_of_another(command, tmp_path, file):
    """All of them, and the same bits; those of its command that are no settings are not there."""
    first, second, third, fourth = (tmp_path / name for name in "abcd")
    assert command("train", "--config", file(OPTIONS), "--output", first).code == 0
    config = first / "config.json"
    assert command("train", "--config", config, "--output", second, "--quiet").code == 0
    assert settings(second) == EXPECTED
    hashes = [
        json.loads((run / "summary.json").read_text())["parameters_sha256"]
        for run in (first, second)
    ]
    assert hashes[0] == hashes[1]
    changed = ("--dropout", 0, "--hidden", "", "--activation", "relu", "--seed", 4)
    assert command("train", "--config", config, *changed, "--output", third).code == 0
    assert settings(third) == EXPECTED | {
        "dropout": 0.0, "hidden": [], "activation": "relu", "seed": 4,
    }  # fmt: skip
    assert command("train", "--config", third / "config.json", "--output", fourth).code == 0
    assert settings(fourth) == settings(third)
