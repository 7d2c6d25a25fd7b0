"""Classification, multilabel and regression from `train` to `predict`, by their targets or by name.

The oracles are scikit-learn's metrics of what `predict` wrote.
"""

import csv
import io
import json

import numpy as np
import pytest

metrics = pytest.importorskip("sklearn.metrics")

generator = np.random.default_rng(5)
INPUTS = generator.normal(size=(210, 4))
SUMS = INPUTS @ np.array([1.0, -2.0, 0.5, 0.0])
TARGETS = {
    "names": np.where(SUMS > 0, "über, 0", "not"),
    "labels": (INPUTS[:, :3] > 0.2).astype(int),
    "numbers": SUMS + 0.25,
    "rows": np.stack([SUMS, 2 - SUMS], axis=1),
    "counts": np.floor(np.abs(SUMS)),
    "codes": np.where(SUMS > 0, 7, 3),
}
TRAIN = ("--epochs", 20, "--learning-rate", 0.05, "--hidden", 8, "--quiet", "--recipe", "none")


@pytest.fixture
def trained(command, tmp_path):
    """Train on one of TARGETS; return the outcome, and what the files of the run say."""

    def run(name, *options):
        path, folder = tmp_path / f"{name}.npz", tmp_path / "run"
        np.savez(path, X=INPUTS, y=TARGETS[name], X_test=INPUTS[:70], y_test=TARGETS[name][:70])
        outcome = command("train", "--data", path, *TRAIN, *options, "--output", folder)
        assert outcome.code == 0, outcome.err
        summary = json.loads((folder / "summary.json").read_text())
        return outcome, json.loads((folder / "config.json").read_text()), summary

    return run


@pytest.fixture
def predicted(command, tmp_path):
    """Predict the test part; return the columns by name."""

    def run():
        np.save(tmp_path / "X.npy", INPUTS[:70])
        rows = list(
            csv.reader(io.StringIO(command("predict", tmp_path / "run", tmp_path / "X.npy").out))
        )
        return dict(zip(rows[0], zip(*rows[1:], strict=True), strict=True))

    return run


def numbers(columns, *names):
    return np.stack([np.asarray(columns[name], float) for name in names], axis=1)


@pytest.mark.parametrize(("name", "labels"), [("names", ["not", "über, 0"]), ("codes", [3, 7])])
def test_classes_are_given_back(trained, predicted, name, labels):
    _, config, summary = trained(name)
    assert (config["task"], config["class_labels"]) == ("classification", labels)
    assert config["settings"]["loss"] == "softmax_cross_entropy"
    columns = predicted()
    assert list(columns) == ["prediction", *(f"p{label}" for label in labels)]
    truth = TARGETS[name][:70].astype(str)
    expected = metrics.accuracy_score(truth, columns["prediction"])
    assert summary["test_accuracy"] == expected > 0.9
    f1 = metrics.f1_score(truth, columns["prediction"], average="macro")
    assert summary["test_macro_f1"] == pytest.approx(f1, abs=1e-15)


def test_multilabel_targets(trained, predicted):
    _, config, summary = trained("labels")
    assert (config["task"], config["target_names"]) == ("multilabel", ["y1", "y2", "y3"])
    assert config["settings"]["loss"] == "sigmoid_cross_entropy"
    columns = predicted()
    assert list(columns) == ["y1", "y2", "y3", "py1", "py2", "py3"]
    said = numbers(columns, "y1", "y2", "y3")
    assert (said == (numbers(columns, "py1", "py2", "py3") > 0.5)).all()
    expected = metrics.accuracy_score(TARGETS["labels"][:70], said.astype(int))
    assert summary["test_accuracy"] == expected > 0.5
    truth = TARGETS["labels"][:70]
    assert summary["test_hamming_loss"] == metrics.hamming_loss(truth, said)
    f1 = metrics.f1_score(truth, said.astype(int), average="macro")
    assert summary["test_macro_f1"] == pytest.approx(f1, abs=1e-15)


@pytest.mark.parametrize(("name", "columns"), [("numbers", ["prediction"]), ("rows", ["y1", "y2"])])
def test_numbers_are_predicted(command, trained, predicted, tmp_path, name, columns):
    outcome, config, summary = trained(name)
    assert (config["task"], config["class_labels"]) == ("regression", None)
    assert outcome.out.startswith("test R² 0.9")
    found = predicted()
    assert list(found) == columns
    truth = TARGETS[name][:70].reshape(70, -1)
    answers = numbers(found, *columns)
    assert summary["test_r2"] == pytest.approx(metrics.r2_score(truth, answers), abs=1e-6)
    expected = metrics.mean_absolute_error(truth, answers)
    assert summary["test_mean_absolute_error"] == pytest.approx(expected, abs=1e-6)
    expected = metrics.root_mean_squared_error(truth, answers)
    assert summary["test_root_mean_squared_error"] == pytest.approx(expected, abs=1e-6)
    measured = json.loads(command("evaluate", "--json", tmp_path / "run").out)
    assert measured["r2"] == summary["test_r2"]
    again = json.loads(
        command("evaluate", "--json", tmp_path / "run", "--data", tmp_path / f"{name}.npz").out
    )
    assert again == measured
    assert command("verify", tmp_path / "run").code == 0
    command("predict", tmp_path / "run", tmp_path / "X.npy", "--output", tmp_path / "p.npy")
    array = np.load(tmp_path / "p.npy")
    assert array.shape == ((70,) if name == "numbers" else (70, 2))
    np.testing.assert_array_equal(array.reshape(70, -1), answers)


def test_labels_have_their_numbers_in_a_table(command, trained, predicted, tmp_path):
    trained("labels")
    truth, said = TARGETS["labels"][:70], numbers(predicted(), "y1", "y2", "y3")
    table = command("evaluate", tmp_path / "run").out.partition("\n\n")[2]
    _, *lines = (line.split() for line in table.splitlines())
    scores = metrics.precision_recall_fscore_support(truth, said, zero_division=0)
    columns = np.stack([scores[3], said.sum(axis=0), *scores[:3]], axis=1)
    assert [name for name, *_ in lines] == ["y1", "y2", "y3"]
    np.testing.assert_allclose(
        np.array([values for _, *values in lines], float), columns, rtol=0, atol=5.1e-5
    )


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a", "b"], ["a", "b", "pa", "pb"]),
        (["a", "pa"], ["a", "pa", "p_a", "p_pa"]),
        (["a", "pa", "p_a"], ["a", "pa", "p_a", "p__a", "p__pa", "p__p_a"]),
        (["rediction"], ["prediction", "p_rediction"]),
    ],
)
def test_columns_of_predictions_have_names_of_their_own(command, tmp_path, names, expected):
    table = tmp_path / "table.csv"
    labels = INPUTS[:, : len(names)] > 0
    header = ",".join(["x", "z", *names])
    rows = np.column_stack([INPUTS[:, :2], labels])
    np.savetxt(table, rows, delimiter=",", header=header, comments="", fmt="%.17g")
    options = ("--target", ",".join(names), "--task", "multilabel", "--output", tmp_path / "run")
    assert command("train", "--data", table, *TRAIN, *options).code == 0
    outcome = command("predict", tmp_path / "run", table)
    assert outcome.code == 0, outcome.err
    header, *rows = csv.reader(io.StringIO(outcome.out))
    assert header == expected
    found = np.array(rows, float)
    assert (found[:, : len(names)] == (found[:, len(names) :] > 0.5)).all()
