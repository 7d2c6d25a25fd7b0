"""`train --log tensorboard`: the numbers of metrics.jsonl in event files."""

import json
import struct
import sys

import pytest

pytest.importorskip("tensorboardX")


def events(folder):
    """The scalars of all event files: TFRecords, each a length, its check, an event, its check."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in sorted(folder.glob("events*")):
        data, place = path.read_bytes(), 0
        while place < len(data):
            (length,) = struct.unpack_from("<Q", data, place)
            event = Event.FromString(data[place + 12 : place + 12 + length])
            found += [(event.step, value.tag, value.simple_value) for value in event.summary.value]
            place += length + 16
    return found


def test_every_number_of_an_epoch_is_logged(command, tmp_path):
    run = tmp_path / "run"
    given = ("train", "--epochs", 3, "--validation", 0.1, "--output", run, "--log", "tensorboard")
    assert command(*given).code == 0
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    names = ("train_loss", "validation_loss", "validation_accuracy", "seconds")
    expected = [(line["epoch"], n.replace("_", "/"), line[n]) for line in lines for n in names]
    found = events(run / "tensorboard")
    assert [(step, tag) for step, tag, _ in found] == [(step, tag) for step, tag, _ in expected]
    for (*_, logged), (*_, number) in zip(found, expected, strict=True):
        assert logged == pytest.approx(number, rel=1e-6)
    assert command("train", "--resume", run, "--epochs", 4, "--log", "tensorboard").code == 0
    assert {step for step, *_ in events(run / "tensorboard")} == {1, 2, 3, 4}
    assert command(*given, "--overwrite").code == 0


def test_a_log_that_cannot_be_written_does_not_end_training(command, tmp_path):
    run = tmp_path / "run"
    assert command("train", "--epochs", 1, "--output", run).code == 0
    (run / "tensorboard").write_text("not a folder")
    outcome = command("train", "--resume", run, "--epochs", 3, "--log", "tensorboard")
    assert outcome.code == 0
    assert outcome.err.count(f"'{run / 'tensorboard'}'; training goes on") == 1
    assert "Traceback" not in outcome.err
    assert json.loads((run / "summary.json").read_text())["epochs"] == 3


def test_it_needs_the_folder_of_a_run(command):
    outcome = command("train", "--log", "tensorboard")
    assert (outcome.code, outcome.out) == (2, "")
    assert "expected --output, the folder to write it to" in outcome.err


def test_without_tensorboardx_the_extra_is_named(command, tmp_path, monkeypatch):
    """Before the data are read."""
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    given = ("--data", tmp_path / "table.csv", "--output", tmp_path / "run")
    outcome = command("train", *given, "--log", "tensorboard")
    assert (outcome.code, outcome.out) == (2, "")
    assert "python -m pip install 'pluggable-mlp[tensorboard]'" in outcome.err
    assert not (tmp_path / "run").exists()
