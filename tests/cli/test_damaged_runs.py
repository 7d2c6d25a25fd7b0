"""Saved runs that are damaged are named, whatever command reads them."""

import json
import shutil

import numpy as np
import pytest

from pluggable_mlp.data import load_dataset
from tests.cli.conftest import ended


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "run"
    assert ended("train", "--quiet", "--epochs", 1, "--output", folder) == 0
    return folder


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
    np.save(tmp_path / "x.npy", load_dataset("digits").test.inputs[:3])
    outcome = command("predict", folder, tmp_path / "x.npy")
    assert (outcome.code, outcome.out) == (2, "")
    assert "config.json is damaged" in outcome.err
    assert "scale" in outcome.err


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
