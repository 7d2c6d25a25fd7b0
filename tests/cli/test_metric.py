"""`--metric`: the measure that chooses the best epoch, from training to certificates."""

import hashlib
import json
import math

import numpy as np
import pytest

from pluggable_mlp.files import json_lines
from pluggable_mlp.runs.predict import load_run
from pluggable_mlp.runs.saved import read_history
from tests.cli.certificates import edited
from tests.cli.saved_runs import content, lines

TRAIN = ("train", "--hidden", 8, "--recipe", "realmlp-td-s", "--epochs", 6, "--validation", 0.2)


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 3))
    y = x[:, 0] + 0.5 * rng.normal(size=120) > 0
    rows = [f"{','.join(map(repr, row))},{['no', 'yes'][label]}" for row, label in
            zip(x.tolist(), y.tolist(), strict=True)]  # fmt: skip
    path = tmp_path / "table.csv"
    path.write_text("a,b,c,y\n" + "\n".join(rows) + "\n")
    return path


@pytest.mark.parametrize(("metric", "best"), [("neg_log_loss", min), ("roc_auc", max)])
def test_results_begin_with_it_and_the_best_epoch_is_kept(command, table, tmp_path, metric, best):
    name = metric.removeprefix("neg_")
    run = tmp_path / "run"
    words = name.replace("_", " ")
    outcome = command(*TRAIN, "--data", table, "--metric", metric, "--output", run)
    *_, last = outcome.out.splitlines()
    assert last.startswith(f"test {words} 0.")
    assert f"  validation {words} 0." in outcome.out
    measured = [line[f"validation_{name}"] for line in lines(run)]
    summary = content(run, "summary.json")
    assert summary[f"validation_{name}"] == best(measured) == measured[summary["kept_epoch"] - 1]
    assert content(run, "config.json")["settings"]["metric"] == metric
    evaluated = command("evaluate", run).out.splitlines()
    assert evaluated[1].split("  ")[0] == words
    assert list(json.loads(command("evaluate", run, "--json").out))[1] == name
    assert command("verify", run).code == 0
    pytest.importorskip("matplotlib")
    from pluggable_mlp.figures.report import learning_curves

    labels = [ax.get_ylabel() for ax in learning_curves([load_run(run)]).axes]
    assert labels == ["loss", words, "accuracy"]
    assert command("report", run).code == 0
    page = (run / "report.html").read_text()
    assert 0 < page.index(f"<th>test {words}</th>") < page.index("<th>test loss</th>")


def test_a_resumed_run_keeps_the_same_epoch(command, table, tmp_path):
    """It is best by the metric before and after the interruption."""
    options = "--data", table, "--metric", "log_loss", "--schedule", "none"
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    command(*TRAIN, *options, "--output", whole)
    command(*TRAIN, *options, "--output", parts, "--epochs", 3)
    assert command("train", "--resume", parts, "--epochs", 6, "--metric", "log_loss").code == 0
    hashes = [content(folder, "summary.json")["parameters_sha256"] for folder in (whole, parts)]
    assert hashes[0] == hashes[1]
    outcome = command("train", "--resume", parts, "--epochs", 7, "--metric", "roc_auc")
    assert (outcome.code, outcome.err) == (
        2,
        "Error: metric is roc_auc, expected log_loss as trained\n",
    )


def test_a_metric_without_a_value_is_refused_and_an_old_run_left_alone(command, tmp_path):
    """Classes are all 0, or inputs so large that outputs are NaN."""
    data, run = tmp_path / "data.npz", tmp_path / "run"
    X, y = np.linspace(-1, 1, 70)[:, None], np.arange(70) % 2
    np.savez(data, X=X, y=y, X_validation=X[::2] * 3e38, y_validation=y[::2])
    train = ("train", "--data", data, "--epochs", 1, "--hidden", 3, "--scaling", "none")
    train += ("--activation", "relu", "--output", run)
    assert command(*train).code == 0
    before = (run / "summary.json").read_bytes()
    for metric, fault in (("roc_auc", "and all valid"), ("log_loss", "which is NaN: expected")):
        outcome = command(*train, "--metric", metric, "--overwrite")
        assert (outcome.code, f"metric is '{metric}', {fault}" in outcome.err) == (2, True)
        assert (run / "summary.json").read_bytes() == before


def test_a_certificate_that_states_another_metric_is_of_another_run(command, table, tmp_path):
    run = tmp_path / "run"
    command(
        *TRAIN, "--data", table, "--learning-rate", 0.3, "--metric", "log_loss", "--output", run
    )

    def state_another(stated):
        stated["settings"]["metric"] = "roc_auc"
        text = json.dumps(stated["settings"], sort_keys=True, separators=(",", ":"))
        stated["settings_sha256"] = hashlib.sha256(text.encode()).hexdigest()

    alone = tmp_path / "certificate.json"
    alone.write_bytes((run / "certificate.json").read_bytes())
    assert command("verify", alone).code == 0
    edited(alone, state_another)
    outcome = command("verify", alone)
    assert outcome.code == 1
    assert "kept_epoch: certified" in outcome.out


def test_an_infinite_log_loss_is_read_as_such(tmp_path):
    """JSON has null for it; a run that is resumed compares it with others."""
    line = {"epoch": 1, "train_loss": 0.5, "validation_log_loss": math.inf, "seconds": 0.1}
    line |= {"validation_loss": 0.5, "validation_r2": -math.inf, "parameters_sha256": ""}
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(json_lines(line))
    (found,) = read_history(path)
    assert math.isnan(found["validation_r2"])
    assert found == line | {"validation_r2": found["validation_r2"]}
