"""`evaluate` and `predict`: a saved run gives what it gave when it was trained."""

import csv
import io
import json
import shutil

import numpy as np
import pytest

from pluggable_mlp.data import load_dataset


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    from pluggable_mlp.backends import get_backend
    from pluggable_mlp.runs import Run
    from pluggable_mlp.settings import Settings

    folder = tmp_path_factory.mktemp("run")
    trained = Run(Settings(epochs=15), get_backend("numpy"))
    for _ in trained.epochs(on_batch=lambda count: None):
        pass
    trained.save(folder)
    return folder


def test_evaluate_repeats_the_summary(command, run):
    outcome = command("evaluate", run)
    assert outcome.code == 0
    measured = json.loads(outcome.out)
    summary = json.loads((run / "summary.json").read_text())
    assert measured["accuracy"] == summary["test_accuracy"]
    assert measured["loss"] == summary["test_loss"]
    assert measured["examples"] == 256


def test_evaluate_on_another_backend_agrees(command, run, monkeypatch):
    pytest.importorskip("array_api_strict")
    from pluggable_mlp.backends.array_api_strict import ArrayApiStrictBackend

    seen, compute = [], ArrayApiStrictBackend.to_numpy
    monkeypatch.setattr(
        ArrayApiStrictBackend, "to_numpy", lambda self, x: seen.append(self) or compute(self, x)
    )
    outcome = command("evaluate", run, "--backend", "array_api_strict:device1")
    assert {backend.device for backend in seen} == {"device1"}
    here = json.loads(command("evaluate", run).out)
    assert json.loads(outcome.out)["accuracy"] == here["accuracy"]


@pytest.mark.parametrize("ending", ["npy", "npz", "csv", "idx"])
def test_predict_reads_every_format_and_is_as_right_as_evaluate(command, run, tmp_path, ending):
    digits = load_dataset("digits")
    path = tmp_path / f"inputs.{ending}"
    pixels, values = digits.test_inputs, digits.test_inputs * digits.scale
    if ending == "npy":
        np.save(path, pixels)
    elif ending == "npz":
        np.savez(path, X=values)
    elif ending == "csv":
        np.savetxt(path, values, delimiter=",")
    else:
        header = b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (256, 8, 8))
        path.write_bytes(header + pixels.tobytes())
    outcome = command("predict", run, path)
    assert outcome.code == 0
    rows = list(csv.DictReader(io.StringIO(outcome.out)))
    predictions = np.asarray([int(row["prediction"]) for row in rows])
    summary = json.loads((run / "summary.json").read_text())
    assert (predictions == digits.test_labels).mean() == summary["test_accuracy"]
    sums = [sum(float(row[f"p{k}"]) for k in range(10)) for row in rows]
    # Ten float32 probabilities, each within a few units in the last place of at most 1.
    assert np.abs(np.asarray(sums) - 1.0).max() < 10 * 2.0**-22


def test_predict_writes_a_file(command, run, tmp_path):
    np.save(tmp_path / "x.npy", load_dataset("digits").test_inputs[:3])
    outcome = command("predict", run, tmp_path / "x.npy", "--output", tmp_path / "p.csv")
    assert outcome.code == 0
    assert outcome.out == ""
    assert len((tmp_path / "p.csv").read_text().splitlines()) == 4


def test_predict_writes_as_it_goes(command, run, tmp_path, monkeypatch):
    """Never all rows at once: when the last thousand are computed, others are in the file."""
    from pluggable_mlp.backends.numpy import NumpyBackend

    path, sizes, compute = tmp_path / "p.csv", [], NumpyBackend.to_numpy

    def note(self, array):
        sizes.append(path.stat().st_size if path.exists() else 0)
        return compute(self, array)

    np.save(tmp_path / "x.npy", np.resize(load_dataset("digits").test_inputs, (2001, 64)))
    monkeypatch.setattr(NumpyBackend, "to_numpy", note)
    assert command("predict", run, tmp_path / "x.npy", "--output", path).code == 0
    assert len(sizes) == 3
    assert 0 < sizes[1] < sizes[2] < path.stat().st_size
    assert len(path.read_text().splitlines()) == 2002


def test_a_file_of_predictions_that_cannot_be_written_is_named(command, run, tmp_path):
    np.save(tmp_path / "x.npy", load_dataset("digits").test_inputs[:3])
    for path in (tmp_path / "absent" / "p.csv", tmp_path):
        outcome = command("predict", run, tmp_path / "x.npy", "--output", path)
        assert outcome.code == 2
        assert f"--output {path} cannot be written: " in outcome.err
        assert "name a file in a folder where you may write" in outcome.err


def test_wrong_inputs_are_refused(command, run, tmp_path):
    np.save(tmp_path / "narrow.npy", np.zeros((2, 63)))
    np.save(tmp_path / "nan.npy", np.full((2, 64), np.nan))
    (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY")
    for name, word in (
        ("narrow.npy", "63 features"),
        ("nan.npy", "NaN"),
        ("broken.npy", "no readable .npy"),
        ("absent.npy", "no such file"),
    ):
        outcome = command("predict", run, tmp_path / name)
        assert (outcome.code, outcome.out) == (2, "")
        assert name in outcome.err
        assert word in outcome.err
        assert "Traceback" not in outcome.err


@pytest.mark.parametrize("victim", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("damage", ["missing", "truncated", "other"])
def test_a_damaged_run_is_named(command, run, tmp_path, victim, damage):
    folder = shutil.copytree(run, tmp_path / "run")
    path = folder / victim
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:50])
    else:
        path.write_text('{"settings": {}}')
    outcome = command("evaluate", folder)
    assert outcome.code == 2
    assert victim in outcome.err
    assert ("is missing" in outcome.err) == (damage == "missing")
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("scale", ["absent", "1", 0.0, -0.5, float("nan"), True])
def test_a_wrong_scale_is_named(command, run, tmp_path, scale):
    folder = shutil.copytree(run, tmp_path / "run")
    config = json.loads((folder / "config.json").read_text())
    config["scale"] = scale
    if scale == "absent":
        del config["scale"]
    (folder / "config.json").write_text(json.dumps(config))
    np.save(tmp_path / "x.npy", load_dataset("digits").test_inputs[:3])
    outcome = command("predict", folder, tmp_path / "x.npy")
    assert (outcome.code, outcome.out) == (2, "")
    assert "config.json is damaged" in outcome.err
    assert "scale" in outcome.err


def test_integers_for_a_network_of_floats_are_refused(command, run, tmp_path):
    folder = shutil.copytree(run, tmp_path / "run")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"scale": None}))
    np.save(tmp_path / "x.npy", load_dataset("digits").test_inputs[:3])
    outcome = command("predict", folder, tmp_path / "x.npy")
    assert (outcome.code, outcome.out) == (2, "")
    assert "x.npy: holds integers of 8 bits, but training saw floats; scale them" in outcome.err


@pytest.mark.parametrize(
    ("name", "value"),
    [("data", 5), ("activation", 5), ("optimizer", None), ("norm", 5), ("epochs", True)],
)
def test_a_setting_of_another_kind_is_named(command, run, tmp_path, name, value):
    folder = shutil.copytree(run, tmp_path / "run")
    config = json.loads((folder / "config.json").read_text())
    config["settings"][name] = value
    (folder / "config.json").write_text(json.dumps(config))
    outcome = command("evaluate", folder)
    assert outcome.code == 2
    assert f"{name} is {value!r}, expected" in outcome.err


def test_wrong_inputs_leave_an_old_file_of_predictions_alone(command, run, tmp_path):
    np.save(tmp_path / "narrow.npy", np.zeros((2, 63)))
    (tmp_path / "p.csv").write_text("old")
    outcome = command("predict", run, tmp_path / "narrow.npy", "--output", tmp_path / "p.csv")
    assert outcome.code == 2
    assert (tmp_path / "p.csv").read_text() == "old"
