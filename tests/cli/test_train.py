"""`train`: what it reaches, what it prints, what it leaves, what it refuses."""

import hashlib
import json

import pytest
from safetensors.numpy import load_file

from pluggable_mlp import MLP


def test_the_readme_command_reaches_95_percent_on_the_embedded_digits(command):
    outcome = command("train", "--backend", "numpy")
    assert outcome.code == 0
    last = outcome.out.splitlines()[-1]
    accuracy = float(last.removeprefix("test accuracy ").split("%")[0])
    assert accuracy >= 95.0
    assert outcome.err == ""  # progress is for terminals


@pytest.mark.slow
def test_other_seeds_reach_it_too(command):
    for seed in (1, 2):
        outcome = command("train", "--quiet", "--seed", seed)
        assert float(outcome.out.removeprefix("test accuracy ").split("%")[0]) >= 95.0


def test_a_run_folder_holds_what_the_design_names(command, tmp_path):
    folder = tmp_path / "run"
    outcome = command("train", "--epochs", 2, "--hidden", "20,10", "--output", folder)
    assert outcome.code == 0
    summary = json.loads((folder / "summary.json").read_text())
    names = (
        "backend device versions arithmetic dtype seed epochs train_loss test_accuracy seconds "
        "examples_per_second parameters_sha256"
    )
    assert set(names.split()) <= set(summary)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert summary["train_loss"] == lines[-1]["train_loss"]
    tensors = load_file(folder / "model.safetensors")
    assert {name: t.shape for name, t in tensors.items()} == {
        "0.W": (64, 20), "0.b": (20,), "1.W": (20, 10), "1.b": (10,), "2.W": (10, 10), "2.b": (10,)
    }  # fmt: skip
    # The hash by its definition: layer order, W before b, little-endian bytes in C order.
    order = ("0.W", "0.b", "1.W", "1.b", "2.W", "2.b")
    expected = hashlib.sha256(b"".join(tensors[name].astype("<f4").tobytes() for name in order))
    assert summary["parameters_sha256"] == expected.hexdigest()


def test_the_seed_decides_the_result(command, tmp_path):
    hashes = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        command("train", "--quiet", "--epochs", 1, "--seed", seed, "--output", tmp_path / name)
        hashes.append(json.loads((tmp_path / name / "summary.json").read_text()))
    a, b, c = (summary["parameters_sha256"] for summary in hashes)
    assert a == b != c


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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--activation", "sigmod"], ["activation", "'sigmod'", "did you mean 'sigmoid'"]),
        (["--dtype", "float16"], ["dtype", "'float16'", "float32, float64"]),
        (["--hidden", "10,x"], ["hidden is '10,x'", "of at least 1, separated by commas"]),
        (["--hidden", "0"], ["hidden is '0'", "integers of at least 1"]),
        (["--batch-size", "0"], ["batch_size is 0", "at least 1"]),
        (["--epochs", "-1"], ["epochs is -1"]),
        (["--learning-rate", "nan"], ["learning_rate is nan"]),
        (["--seed", "-1"], ["seed is -1"]),
        (["--seed", str(2**64)], ["seed is", "2**64 - 1"]),
        (["--arithmetic", "exact"], ["arithmetic is 'exact'", "native"]),
        (["--backend", "numpi"], ["backend is 'numpi'", "did you mean 'numpy'"]),
        (["--data", "nowhere.csv"], ["nowhere.csv", "no such file"]),
    ],
)
def test_wrong_arguments_are_named_with_what_was_expected(command, arguments, words):
    outcome = command("train", *arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    for word in words:
        assert word in outcome.err
    assert "Traceback" not in outcome.err


def test_an_unknown_option_is_an_error(command):
    outcome = command("train", "--bakend", "numpy")
    assert outcome.code == 2
    assert "--bakend" in outcome.err


@pytest.mark.parametrize("spec", ["cupy", "cupy:abc"])  # which devices, only the library knows
def test_an_unavailable_backend_ends_with_3_and_the_remedy(command, monkeypatch, spec):
    from pluggable_mlp import backends

    monkeypatch.setattr(backends, "find_spec", lambda name: None)
    outcome = command("train", "--backend", spec)
    assert outcome.code == 3
    assert "cupy is not installed" in outcome.err
    assert "cupy-cuda12" in outcome.err


def test_a_malformed_device_is_a_wrong_argument(command):
    outcome = command("train", "--backend", "numpy:abc")
    assert outcome.code == 2
    assert "device is 'abc'" in outcome.err


def test_a_folder_that_holds_something_is_refused_before_training(command, tmp_path):
    (tmp_path / "precious.txt").write_text("keep")
    outcome = command("train", "--output", tmp_path)
    assert outcome.code == 2
    assert "is not empty" in outcome.err
    assert (tmp_path / "precious.txt").read_text() == "keep"


def test_a_folder_that_cannot_be_made_is_named(command, tmp_path):
    (tmp_path / "file").write_text("")
    outcome = command("train", "--quiet", "--output", tmp_path / "file" / "run")
    assert outcome.code == 2
    assert f"--output {tmp_path / 'file' / 'run'} cannot be created" in outcome.err


TOO_STEEP = ("--learning-rate", "1e38", "--activation", "relu", "--epochs", "9")


@pytest.mark.parametrize("arithmetic", ["native", "reproducible"])
def test_divergence_is_reported_and_exits_with_2(command, tmp_path, arithmetic):
    given = (*TOO_STEEP, "--arithmetic", arithmetic, "--output", tmp_path / "run")
    outcome = command("train", *given)
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
    given = ("--epochs", "5", "--schedule", schedule, "--output", run, "--activation", "relu")
    outcome = command("train", *given)
    assert outcome.code == 2
    assert "Error: training diverged in epoch 3: " in outcome.err
    assert "after 2 epochs" in outcome.out
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in metrics] == [1, 2]
    summary = json.loads((run / "summary.json").read_text(), parse_constant=pytest.fail)
    assert summary["parameters_sha256"] == metrics[-1]["parameters_sha256"]
    measured = json.loads(command("evaluate", "--json", run).out)
    assert measured["loss"] == summary["test_loss"]


def test_one_epoch_is_one(command, tmp_path):
    outcome = command("train", "--epochs", 1, "--hidden", 8, "--output", tmp_path / "run")
    assert " after 1 epoch in " in outcome.out
    assert "same bits: 1 epoch on numpy" in command("verify", tmp_path / "run").out
