"""A run that an older version wrote: before the settings target_scaling, block_size, micro_batch.

Its certificate has format 2 and its checkpoint format 1.
"""

import json
import shutil
import warnings
from pathlib import Path

import pytest


@pytest.fixture
def older(tmp_path):
    """`train --arithmetic reproducible --epochs 2 --hidden 4 --batch-size 256 --optimizer adam`."""
    return shutil.copytree(Path(__file__).parent / "older_run", tmp_path / "run")


@pytest.mark.parametrize("alone", [False, True])
def test_it_is_verified(command, older, alone):
    if alone:
        (older / "config.json").unlink()
    outcome = command("verify", older / "certificate.json" if alone else older)
    assert outcome.code == 0, outcome.err + outcome.out
    assert "same bits: 2 epochs on numpy" in outcome.out


def test_its_config_is_still_compared(command, older):
    config = json.loads((older / "config.json").read_text())
    for changed in ({"target_scaling": {"kind": "standard"}}, {"columns": []}, {"features": 65}):
        (older / "config.json").write_text(json.dumps(config | changed))
        outcome = command("verify", older)
        assert (outcome.code, outcome.out) == (2, "")
        assert "config.json is not what was certified" in outcome.err


def test_a_scaling_of_targets_cannot_be_left_out(command, tmp_path):
    """Not an older run, nor one that scaled no targets."""
    run = tmp_path / "run"
    given = ("--task", "regression", "--epochs", 1, "--hidden", 4, "--batch-size", 256)
    assert command("train", *given, "--output", run).code == 0
    config = json.loads((run / "config.json").read_text())
    assert config.pop("target_scaling")["kind"] == "standard"
    (run / "config.json").write_text(json.dumps(config))
    outcome = command("verify", run)
    assert (outcome.code, outcome.out) == (2, "")
    assert "config.json is not what was certified" in outcome.err


def test_it_is_evaluated(command, older):
    summary = json.loads((older / "summary.json").read_text())
    outcome = command("evaluate", older)
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["accuracy"] == summary["test_accuracy"]


def test_it_begins_again_where_it_is_to_be_longer(command, older):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        ended = command("train", "--resume", older)
        longer = command("train", "--quiet", "--resume", older, "--epochs", 3)
    assert ended.code == 2
    assert "a run that has ended, and no checkpoint to go on from" in ended.err
    assert longer.code == 0, longer.err
    assert "is damaged and left aside: its format is 1, expected 2" in longer.err
    assert "the run begins again with its first epoch" in longer.err
    assert "same bits: 3 epochs on numpy" in command("verify", older).out
