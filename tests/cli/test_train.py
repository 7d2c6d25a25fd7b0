"""`train`: what it reaches, what it prints, what it leaves, what it refuses."""

import json

import pytest

from pluggable_mlp import MLP


def test_the_readme_command_reaches_95_percent_on_the_embedded_digits(command):
    outcome = command("train", "--backend", "numpy")
    assert outcome.code == 0
    last = outcome.out.splitlines()[-1]
    accuracy = float(last.removeprefix("test accuracy ").split("%")[0])
    assert accuracy >= 95.0
    assert outcome.err == ""  # progress is for terminals


def test_the_seed_decides_the_start_and_the_order(command, tmp_path, monkeypatch):
    """Each by itself: the start by its hash, the order by runs with the same start."""
    honest = MLP.initialize

    def hashes(name, seed):
        command("train", "--quiet", "--epochs", 1, "--seed", seed, "--output", tmp_path / name)
        content = json.loads((tmp_path / name / "certificate.json").read_text())
        return content["initial_parameters_sha256"], content["final_parameters_sha256"]

    assert hashes("a", 0)[0] != hashes("b", 1)[0]
    monkeypatch.setattr(
        MLP, "initialize", lambda self, **given: honest(self, **given | {"seed": 7})
    )
    first, second = hashes("c", 0), hashes("d", 1)
    assert first[0] == second[0]
    assert first[1] != second[1]


# An option each, and the beginning of what it says: that names it and the value.
REFUSED = [
    (["--activation", "sigmod"], "activation is 'sigmod', expected one of"),
    (["--activation", "logistic"], "did you mean 'sigmoid'?"),
    (["--data", "absent.npz", "--schedule", "foo"], "schedule is 'foo', expected one of"),
    (["--activation", "relu,tanh"], "activation is a list of 2, expected 1"),
    (["--arithmetic", "exact"], "arithmetic is 'exact', expected one of native, reproducible"),
    (["--backend", "numpi"], "backend is 'numpi', expected one of"),
    (["--backend", "numpy:abc"], "device is 'abc'"),
    (["--batch-size", "0"], "batch_size is '0', expected an integer of at least 1"),
    (["--block-size", "-1"], "block_size is '-1'"),
    (["--checkpoint-minutes", "-1"], "Invalid value for '--checkpoint-minutes'"),
    (["--class-weight", "unfair"], "class_weight is 'unfair'"),
    (["--clip-norm", "-1"], "clip_norm is '-1', expected"),
    (["--data", "nowhere.csv"], "nowhere.csv: there is no such file"),
    (["--data", ""], "''"),
    (["--dropout", "1.5"], "dropout is '1.5'"),
    (["--dtype", "float16"], "dtype is 'float16', expected one of float32, float64"),
    (["--early-stopping", "non"], "early_stopping is 'non', expected an integer of at least 1, or"),
    (["--early-stopping", "5"], "expected a validation part to watch; keep one with --valid"),
    (["--epochs", "-1"], "epochs is '-1'"),
    (["--epochs", "1e1"], "epochs is '1e1', expected an integer of at least 1"),
    (["--hidden", "10,x"], "hidden is '10,x', expected integers of at least 1, separated by com"),
    (["--input-dropout", "1.5"], "input_dropout is '1.5'"),
    (["--input-noise", "-1"], "input_noise is '-1'"),
    (["--label-smoothing", "2"], "label_smoothing is '2'"),
    (["--learning-rate", "nan"], "learning_rate is 'nan'"),
    (["--log", "tensorbord", "--output", "run"], "log is 'tensorbord'"),
    (["--loss", "mse"], "did you mean 'squared_error'?"),
    (["--metric", "auc"], "metric is 'auc', expected one of accuracy, log_loss, roc_auc, "),
    (["--metric", "squared_error"], "metric for classification is 'squared_error', expected one"),
    (["--task", "regression", "--loss", "softmax_cross_entropy"], "loss for regression is 'soft"),
    (["--norm", "group"], "norm is 'group'"),
    (["--optimizer", "adma"], "optimizer is 'adma'"),
    (["--optimizer", "lbfgs"], "expected at least the 1541 examples"),
    (["--optimizer", "lbfgs", "--weight-decay", "0.1"], "takes no weight_decay"),
    (["--recipe", "tabmm"], "recipe is 'tabmm', expected one of realmlp-td-s, realmlp-td,"),
    (["--scaling", "standrad"], "scaling is 'standrad'"),
    (["--schedule", "step"], "needs every"),
    (["--schedule", "cosine:total_steps=7"], "expected it without total_steps, which follows from"),
    (["--schedule", "cosine:learning_rate=5"], "expected it without learning_rate, which follows"),
    (["--target", "y"], "digits: target is 'y'"),
    (["--target-scaling", "standard"], "expected none for classes or labels"),
    (["--task", "clasification"], "task is 'clasification'"),
    (["--task", "regression", "--label-smoothing", 0.1], "'squared_error' takes no label_smooth"),
    (["--test-share", "1"], "test_share is '1'"),
    (["--validation", "0.0001"], "0.0001 of 1541 examples are 0"),
    (["--warmup", "-1"], "warmup is '-1'"),
    (["--bakend", "numpy"], "Error: No such option: --bakend"),
    (["--lr", "0.1"], "did you mean 'learning-rate'?"),
    (["my.csv"], "(my.csv); name the data by --data FILE"),
]


@pytest.mark.parametrize(("arguments", "words"), REFUSED, ids=lambda of: str(of)[:40])
def test_what_an_option_does_not_take_is_named(command, monkeypatch, arguments, words):
    monkeypatch.setenv("COLUMNS", "200")
    outcome = command("train", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert words in " ".join(outcome.err.split())
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("spec", ["cupy", "cupy:abc"])  # which devices, only the library knows
def test_an_unavailable_backend_ends_with_3_and_the_remedy(command, monkeypatch, spec):
    from pluggable_mlp import backends

    monkeypatch.setattr(backends, "find_spec", lambda name: None)
    outcome = command("train", "--backend", spec)
    assert outcome.code == 3
    assert "cupy is not installed" in outcome.err
    assert "cupy-cuda12" in outcome.err


TOO_STEEP = ("--learning-rate", "1e38", "--activation", "relu", "--epochs", "9")


@pytest.mark.parametrize("arithmetic", ["native", "reproducible"])
def test_divergence_is_reported_and_exits_with_2(command, tmp_path, arithmetic):
    options = (*TOO_STEEP, "--arithmetic", arithmetic, "--output", tmp_path / "run")
    outcome = command("train", *options)
    assert (outcome.code, outcome.out) == (2, "")
    (line,) = outcome.err.splitlines()
    assert line.startswith(
        "Error: training diverged in epoch 1: its loss is nan from step 2 of 97 on, where the "
        "output of layer 1 (Dense) is the first that is not finite; try a smaller learning rate, "
    )
    assert command("train", "--epochs", "1", "--output", tmp_path / "run").code == 0  # not blocked


def test_epochs_before_divergence_are_kept(command, tmp_path):
    """The third of five epochs meets a learning rate that no network bears."""
    schedule = "step:every=194,factor=1e38"  # 97 steps per epoch
    run = tmp_path / "run"
    options = ("--epochs", "5", "--schedule", schedule, "--output", run, "--activation", "relu")
    outcome = command("train", *options)
    assert outcome.code == 2
    assert "Error: training diverged in epoch 3: " in outcome.err
    assert "after 2 epochs" in outcome.out
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in metrics] == [1, 2]
    summary = json.loads((run / "summary.json").read_text(), parse_constant=pytest.fail)
    assert summary["parameters_sha256"] == metrics[-1]["parameters_sha256"]
    measured = json.loads(command("evaluate", "--json", run).out)
    assert measured["loss"] == summary["test_loss"]
