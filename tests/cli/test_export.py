"""`export`: ONNX Runtime gives for rows of a file what `predict` gives for the file."""

import csv
import sys
from pathlib import Path

import numpy as np
import pytest

from pluggable_mlp.data import load_dataset
from tests.cli.conftest import ended

N = 40
RANDOM = np.random.default_rng(0)
NUMBERS = RANDOM.normal(1e6, 20.0, size=(N, 3))
COLUMNS = {
    "width": NUMBERS[:, 0],
    "colour": RANDOM.choice(["red", "green", ""], N),
    "weight": np.where(RANDOM.random(N) < 0.3, np.nan, RANDOM.normal(size=N)),
    "cabin": np.array([f"C{k}" if k % 3 else "" for k in range(N)]),
}
TARGETS = {
    "labels": (NUMBERS[:, :2] > 1e6).astype(int),
    "numbers": 1e4 * (NUMBERS[:, :2] - 1e6),
}


def write_table(path, columns):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        rows = zip(*(of.tolist() for of in columns.values()), strict=True)
        writer.writerows([["" if str(of) == "nan" else of for of in row] for row in rows])


def predicted(command, run, path):
    """What `predict` gives, as an array (n, columns) of texts."""
    outcome = command("predict", run, path)
    assert outcome.code == 0, outcome.err
    return np.asarray([line.split(",") for line in outcome.out.splitlines()[1:]])


def exported(command, run, folder, inputs):
    """What ONNX Runtime gives for inputs, all of them and the first alone."""
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("ndonnx")
    path = folder / "model.onnx"
    outcome = command("export", run, "--output", path)
    assert (outcome.code, outcome.out) == (0, f"{path}\n"), outcome.err
    assert [f"input {name}: " in outcome.err for name in inputs] == [True] * len(inputs)
    session = runtime.InferenceSession(path)
    names = [output.name for output in session.get_outputs()]
    first, every = (
        session.run(None, {name: of[:n] for name, of in inputs.items()}) for n in (1, None)
    )
    assert [len(of) for of in first] == [1] * len(names)
    return dict(zip(names, every, strict=True))


def train(folder, data, *options):
    given = ["--data", data, "--epochs", 3, "--hidden", 5, "--norm", "batch", "--recipe", "none"]
    assert ended("train", "--quiet", *given, "--output", folder / "run", *options) == 0
    return folder / "run"


@pytest.mark.parametrize("target", ["labels", "numbers"])
def test_arrays(command, tmp_path, target):
    np.savez(tmp_path / "data.npz", X=NUMBERS, y=TARGETS[target])
    np.save(tmp_path / "x.npy", NUMBERS)
    run = train(tmp_path, tmp_path / "data.npz", "--scaling", "standard")
    found = exported(command, run, tmp_path, {"X": NUMBERS})
    expected = predicted(command, run, tmp_path / "x.npy").astype(float)
    if target == "numbers":
        assert np.abs(found["prediction"] - expected).max() <= 1e-5 * np.abs(expected).max()
    else:
        np.testing.assert_array_equal(found["label"], expected[:, :2])
        assert np.abs(found["probabilities"] - expected[:, 2:]).max() < 1e-5


def test_pixels(command, tmp_path):
    run = train(tmp_path, "digits")
    images = load_dataset("digits").test.inputs
    np.save(tmp_path / "x.npy", images)
    found = exported(command, run, tmp_path, {"X": images.reshape(len(images), -1)})
    expected = predicted(command, run, tmp_path / "x.npy").astype(float)
    np.testing.assert_array_equal(found["label"], expected[:, 0])
    assert np.abs(found["probabilities"] - expected[:, 1:]).max() < 1e-5


def test_columns_of_a_table(command, tmp_path):
    """Texts, and values that are missing, which are empty texts and NaN in the graph."""
    words = np.where(NUMBERS[:, 0] > 1e6, "big", "small")
    write_table(tmp_path / "data.csv", COLUMNS | {"y": words})
    write_table(tmp_path / "x.csv", COLUMNS)
    run = train(tmp_path, tmp_path / "data.csv")
    inputs = COLUMNS | {name: COLUMNS[name].astype(object) for name in ("colour", "cabin")}
    found = exported(command, run, tmp_path, inputs)
    expected = predicted(command, run, tmp_path / "x.csv")
    np.testing.assert_array_equal(found["label"], expected[:, 0])
    assert np.abs(found["probabilities"] - expected[:, 1:].astype(float)).max() < 1e-5


def test_what_is_made_of_a_run_stands_in_it_and_goes_with_it(command, tmp_path, monkeypatch):
    pytest.importorskip("ndonnx")
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    run = train(Path(), "digits", "--epochs", 1)
    assert command("export", run).out == "run/model.onnx\n"
    assert command("report", run).out == "run/report.html\n"
    assert "run/plots/first-layer.png" in command("plot", run).out.splitlines()
    assert not Path("model.onnx").exists()
    assert command("verify", run).code == 0
    assert command("train", "--resume", run).code == 0  # it has had its epoch
    assert {path.name for path in run.iterdir()} >= {"model.onnx", "report.html", "plots"}
    assert command("train", "--resume", run, "--epochs", 2).code == 0
    for name in ("model.onnx", "report.html", "plots"):  # they showed other parameters
        assert not (run / name).exists()
    assert command("export", run).code == 0
    train(Path(), "digits", "--epochs", 1, "--overwrite")
    assert not (run / "model.onnx").exists()


def test_what_cannot_be_written_is_said(command, tmp_path, monkeypatch):
    run = train(tmp_path, "digits", "--epochs", 1)
    pytest.importorskip("ndonnx")
    outcome = command("export", tmp_path)
    assert (outcome.code, outcome.out) == (2, "")
    assert "config.json is missing" in outcome.err
    outcome = command("export", run, "--output", tmp_path / "nowhere" / "model.onnx")
    assert (outcome.code, outcome.out) == (2, "")
    remedy = "No such file or directory\n"
    assert f"nowhere/model.onnx cannot be written: {remedy}" in outcome.err
    monkeypatch.setitem(sys.modules, "ndonnx", None)
    outcome = command("export", run, "--output", tmp_path / "model.onnx")
    assert (outcome.code, outcome.out) == (2, "")
    assert "pip install 'pluggable-mlp[onnx]'" in outcome.err
    assert not (tmp_path / "model.onnx").exists()
