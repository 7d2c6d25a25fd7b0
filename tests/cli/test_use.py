"""`evaluate` and `predict`: a saved run gives what it gave when it was trained."""

import csv
import io
import json

import numpy as np
import pytest

from pluggable_mlp import namespaces
from pluggable_mlp.backends import get_backend
from pluggable_mlp.data import load_dataset
from pluggable_mlp.namespaces import ARITHMETICS
from pluggable_mlp.runs.predict import load_run
from tests.cli.digits import PIXELS, SAVED, save
from tests.cli.saved_runs import trained


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A CSV file of three classes, 1, 2 and 5, sorted, that are easy to tell apart."""
    path = tmp_path_factory.mktemp("table") / "table.csv"
    labels = np.repeat([1, 2, 5], [140, 70, 70])
    features = np.stack([labels == 1, labels == 2], axis=1) + np.arange(280)[:, None] / 2800
    rows = np.column_stack([features, labels])
    np.savetxt(path, rows, delimiter=",", header="a,b,class", fmt="%.17g")
    return path


@pytest.fixture(scope="module")
def table_run(tmp_path_factory, table):
    folder = tmp_path_factory.mktemp("run")
    settings = {"hidden": (), "learning_rate": 1.0, "dtype": "float64", "seed": 3, "recipe": "none"}
    return trained(folder, data=str(table), **settings)


def assert_it_measures(outcome, run, examples):
    """The same as training did, to the last bit."""
    summary = json.loads((run / "summary.json").read_text())
    names = ("loss", "accuracy", "macro_f1")
    expected = {name: summary[f"test_{name}"] for name in names}
    assert (outcome.code, outcome.err) == (0, "")
    assert json.loads(outcome.out) == {"examples": examples, **expected}


def test_standardized_pixels_are_pixels_later(command, tmp_path):
    """Their unit is that of training, whatever was made of them there."""
    folder = tmp_path / "run"
    options = ("--epochs", 2, "--hidden", 8, "--scaling", "standard", "--output", folder)
    assert command("train", *options).code == 0
    for form in ("uint8", "float64"):
        labelled, _ = save(tmp_path, form, "npz")
        assert_it_measures(command("evaluate", "--json", folder, "--data", labelled), folder, 256)


def test_evaluate_measures_the_test_part_of_data_that_have_one(command, run, tmp_path):
    digits = load_dataset("digits")
    parts = {"X": digits.train.inputs[:70], "y": digits.train.targets[:70]}
    np.savez(tmp_path / "x.npz", **parts, X_test=digits.test.inputs, y_test=digits.test.targets)
    assert_it_measures(command("evaluate", "--json", run, "--data", tmp_path / "x.npz"), run, 256)
    assert_it_measures(command("evaluate", "--json", run, "--data", "digits"), run, 256)


def test_a_table_is_divided_once_and_for_all(command, told, table, table_run):
    """The part that training kept for testing, by its seed; with --data, every row."""
    assert_it_measures(command("evaluate", "--json", table_run), table_run, 40)
    labels = np.loadtxt(table, delimiter=",")[:, -1]
    config = json.loads((table_run / "config.json").read_text())
    assert config["data_sha256"] == load_dataset(table, seed=3).sha256()
    outcome = told("evaluate", "--json", table_run, "--data", table)
    assert json.loads(outcome.out)["examples"] == labels.size == 280
    assert outcome.err == ""


def test_other_rows_of_one_class_can_be_measured(command, table_run, tmp_path):
    """What training needs, two classes and seven rows, measuring does not."""
    (tmp_path / "x.csv").write_text("a,b,class\n0,1,2\n")
    outcome = command("evaluate", "--json", table_run, "--data", tmp_path / "x.csv")
    assert (outcome.code, json.loads(outcome.out)["examples"]) == (0, 1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("arithmetic", ["native", "reproducible"])
def test_a_run_is_used_in_its_own_arithmetic_and_dtype(
    command, tmp_path, arithmetic, dtype, monkeypatch
):
    """The loss and every probability, to the last bit, where there is no other arithmetic."""
    monkeypatch.setattr(namespaces, "ARITHMETICS", {arithmetic: ARITHMETICS[arithmetic]})
    settings = {"hidden": (20,), "epochs": 2, "activation": "tanh"}
    run = trained(tmp_path, **settings, arithmetic=arithmetic, dtype=dtype)
    assert_it_measures(command("evaluate", "--json", run), run, 256)
    backend = get_backend("numpy")
    saved = load_run(run, backend)
    inputs = np.random.default_rng(0).uniform(0, 1, (50, 64))
    np.save(tmp_path / "x.npy", inputs)
    x = inputs.astype(dtype)
    expected = saved.mlp.predict_proba(saved.parameters, x, arithmetic=arithmetic)
    rows = list(csv.reader(io.StringIO(command("predict", run, tmp_path / "x.npy").out)))[1:]
    assert [[float(p) for p in row[1:]] for row in rows] == expected.tolist()


def test_another_backend_is_used_and_agrees(command, run, tmp_path, monkeypatch):
    pytest.importorskip("array_api_strict")
    from pluggable_mlp.backends.array_api_strict import ArrayApiStrictBackend

    seen, compute = [], ArrayApiStrictBackend.to_numpy
    monkeypatch.setattr(
        ArrayApiStrictBackend, "to_numpy", lambda self, x: seen.append(self) or compute(self, x)
    )
    np.save(tmp_path / "x.npy", PIXELS)
    for arguments in (["evaluate", "--json", run], ["predict", run, tmp_path / "x.npy"]):
        here = command(*arguments).out
        seen.clear()
        there = command(*arguments, "--backend", "array_api_strict:device1").out
        assert {backend.device for backend in seen} == {"device1"}
        assert len(there.splitlines()) == len(here.splitlines())
        if arguments[0] == "evaluate":
            assert json.loads(there)["accuracy"] == json.loads(here)["accuracy"]


@pytest.fixture
def piped(monkeypatch):
    """Make bytes what comes from standard input."""

    def give(content):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))

    return give


@pytest.mark.parametrize("ending", ["npy", "csv"])
def test_standard_input_is_a_file_like_any_other(command, run, tmp_path, piped, ending):
    kind = ("float64", "csv") if ending == "csv" else ("uint8", "npz")
    labelled, unlabelled = save(tmp_path, *kind)
    if ending == "npy":
        unlabelled = tmp_path / "x.npy"
        np.save(unlabelled, SAVED["uint8"])
    piped(unlabelled.read_bytes())
    arguments = (run, "-", "--suffix", unlabelled.suffix)
    assert command("predict", *arguments).out == command("predict", run, unlabelled).out
    piped(labelled.read_bytes())
    arguments = (run, "--data", "-", "--suffix", labelled.suffix)
    assert_it_measures(command("evaluate", "--json", *arguments), run, 256)


def test_classes_have_their_numbers_in_a_table(told, table_run, tmp_path):
    """Against scikit-learn's report, of rows whose first ten are labelled wrongly."""
    metrics = pytest.importorskip("sklearn.metrics")
    truth = np.repeat([1, 2], [30, 10])
    truth[:10] = 5
    said = np.repeat([1, 2], [30, 10])
    rows = np.stack([said == 1, said == 2, truth], axis=1)
    np.savetxt(tmp_path / "x.csv", rows, delimiter=",", header="a,b,class", fmt="%d")
    outcome = told("evaluate", table_run, "--data", tmp_path / "x.csv")
    assert outcome.code == 0
    measures, _, table = outcome.out.partition("\n\n")
    assert [line.rsplit(maxsplit=1)[0].rstrip() for line in measures.splitlines()] == [
        "examples", "loss", "accuracy", "macro f1"
    ]  # fmt: skip
    assert "accuracy  0.75\n" in measures
    header, *lines = (line.split() for line in table.splitlines())
    assert header == ["class", "examples", "predicted", "precision", "recall", "F1"]
    scores = metrics.precision_recall_fscore_support(truth, said, labels=[1, 2, 5], zero_division=0)
    for label, line, precision, recall, f1, count in zip((1, 2, 5), lines, *scores, strict=True):
        shown = "-" if label == 5 else f"{precision:.4f}"  # none is predicted
        predicted = str((said == label).sum())
        assert line == [str(label), str(count), predicted, shown, f"{recall:.4f}", f"{f1:.4f}"]
