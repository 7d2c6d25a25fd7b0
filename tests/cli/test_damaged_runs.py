"""Saved runs that are damaged are named, whatever command reads them."""

import json
import shutil
from importlib.util import find_spec

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


@pytest.mark.parametrize("scale", ["absent", "1", True])
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


def possible(*commands):
    """Return the commands, without those that draw where matplotlib is not there."""
    draws = ("plot", "report") if find_spec("matplotlib") is None else ()
    return [command for command in commands if command[0] not in draws]


OBJECTS = ["config.json", "summary.json", "certificate.json"]


@pytest.mark.parametrize(
    "content", ["[]", "5", "null", '"text"', "{}", '{"a":' * 5000, "[" * 200_000]
)
@pytest.mark.parametrize("name", OBJECTS)
def test_another_type_in_the_place_of_an_object_is_named(command, run, tmp_path, name, content):
    folder = shutil.copytree(run, tmp_path / "run")
    (folder / name).write_text(content)
    report = ("report", folder, "--output", tmp_path / "report.html")
    readers = {
        "config.json": [("evaluate", folder), ("train", "--resume", folder), ("verify", folder)],
        "summary.json": [("evaluate", folder), ("train", "--resume", folder)],
        "certificate.json": [("verify", folder)],
    }
    for arguments in possible(*readers[name], *[report] * (content != "{}")):
        outcome = command(*arguments)
        assert (outcome.code, outcome.out) == (2, ""), arguments
        assert name in outcome.err
        assert "unexpected" not in outcome.err


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 2}', "null", 100_000 * "["])
def test_invalid_certificates_are_refused(command, tmp_path, text):
    path = tmp_path / "certificate.json"
    path.write_text(text)
    outcome = command("verify", path)
    assert outcome.code == 2
    assert "is not a certificate" in outcome.err
    assert "Traceback" not in outcome.err


def test_a_missing_certificate(command, tmp_path):
    outcome = command("verify", tmp_path / "certificate.json")
    assert outcome.code == 2
    assert "is missing" in outcome.err


def lacking(name):
    def change(line):
        del line[name]

    return change


def last_checkpoint(folder):
    return max(int(one.name[:12]) for one in (folder / "checkpoints").glob("*.safetensors"))


LINES = [
    (lacking("parameters_sha256"), "`parameters_sha256`"),
    (lacking("train_loss"), "`train_loss`"),
    (lacking("epoch"), "`epoch`"),
    (lacking("validation_loss"), "validation_loss"),
    (lambda line: line.update(train_loss="low"), "`$.train_loss`"),
    (lambda line: line.update(train_loss=None), "got `null`"),
    (lambda line: line.update(seconds=[]), "seconds"),
    (lambda line: line.update(validation_loss=[1.0]), "validation_loss"),
    (lambda line: line.update(parameters_sha256=5), "parameters_sha256"),
    (lambda line: line.update(epoch=1), "of epoch 1"),
    (lambda line: line.update(epoch=True), "epoch"),
]


@pytest.fixture(scope="module")
def stopping(tmp_path_factory):
    """A run of three epochs that watches a validation part, with checkpoints."""
    folder = tmp_path_factory.mktemp("stopping") / "run"
    options = ["--epochs", 3, "--validation", 0.1, "--early-stopping", 5, "--output", folder]
    assert ended("train", "--quiet", "--checkpoint-minutes", 0, *options) == 0
    return folder


@pytest.mark.parametrize(("change", "named"), LINES)
def test_a_line_of_metrics_that_is_whole_and_wrong_is_named(
    command, stopping, tmp_path, change, named
):
    folder = shutil.copytree(stopping, tmp_path / "run")
    path = folder / "metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    change(lines[1])
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    for arguments in possible(
        ("train", "--resume", folder),
        ("verify", folder),
        ("plot", folder, "--output", tmp_path / "plots"),
    ):
        outcome = command(*arguments)
        assert (outcome.code, outcome.out) == (2, ""), arguments
        assert "metrics.jsonl is damaged: " in outcome.err
        assert "line 2" in outcome.err
        assert named in outcome.err


def test_metrics_without_an_epoch_are_named(command, stopping, tmp_path):
    folder = shutil.copytree(stopping, tmp_path / "run")
    (folder / "metrics.jsonl").write_text("")
    for arguments in possible(("verify", folder), ("plot", folder)):
        outcome = command(*arguments)
        assert outcome.code == 2
        assert "metrics.jsonl" in outcome.err
        assert "unexpected" not in outcome.err


@pytest.mark.parametrize(
    "content",
    [
        b"\x93NUMPY\x01\x00\x76\x00" + b"{'descr': '<f8', 'shape': ((((".ljust(118),
        b"\x93NUMPY\x01\x00\x76\x00" + b'"""'.ljust(118),
        b"PK\x03\x04" + bytes(60),
    ],
    ids=["brackets", "quotes", "zip"],
)
def test_a_damaged_npy_header_is_named(command, run, tmp_path, content):
    path = tmp_path / "x.npy"
    path.write_bytes(content)
    outcome = command("predict", run, path)
    assert (outcome.code, outcome.out) == (2, "")
    assert "x.npy: is not a readable .npy file" in outcome.err
