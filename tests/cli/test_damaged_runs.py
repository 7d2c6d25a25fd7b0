"""Saved runs that are damaged are named, whatever command reads them."""

import json
import shutil
from importlib.util import find_spec

import pytest

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


def possible(*commands):
    """Return the commands, without those that draw where matplotlib is not there."""
    draws = ("plot", "report") if find_spec("matplotlib") is None else ()
    return [command for command in commands if command[0] not in draws]


OBJECTS = ["config.json", "summary.json", "certificate.json"]


@pytest.mark.parametrize("content", ["[]", "{}", '{"a":' * 5000])
@pytest.mark.parametrize("name", OBJECTS)
def test_another_type_in_the_place_of_an_object_is_named(command, run, tmp_path, name, content):
    folder = shutil.copytree(run, tmp_path / "run")
    (folder / name).write_text(content)
    report = ("report", folder, "--output", tmp_path / "report.html")
    readers = {
        "config.json": [("evaluate", folder), ("train", "--resume", folder), ("verify", folder)],
        "summary.json": [("evaluate", folder), ("train", "--resume", folder), report],
        "certificate.json": [("verify", folder)],
    }
    for arguments in possible(*readers[name]):
        outcome = command(*arguments)
        assert (outcome.code, outcome.out) == (2, ""), arguments
        assert name in outcome.err
        assert "unexpected" not in outcome.err


def lacking(name):
    def change(line):
        del line[name]

    return change


LINES = [
    (lacking("parameters_sha256"), "`parameters_sha256`"),
    (lambda line: line.update(train_loss="low"), "`$.train_loss`"),
    (lambda line: line.update(epoch=1), "of epoch 1"),
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
