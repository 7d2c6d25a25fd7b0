"""`train --resume`: what goes on, what does not fit, and what is damaged."""

import json
import os
import re
import shutil
import time
import warnings
from itertools import chain, count, repeat
from types import SimpleNamespace

import numpy as np
import pytest

from pluggable_mlp.runs.checkpoints import FOLDER, checkpoint_steps
from tests.cli.children import running
from tests.cli.conftest import ended
from tests.cli.saved_runs import content, told
from tests.conftest import present


@pytest.mark.parametrize("other", ["torch", "array_api_strict:device1", "cupy"])
def test_a_run_moves_between_backends_with_the_same_bits(command, tmp_path, other):
    place = present(other)
    options = ("--hidden", 12, "--optimizer", "adam", "--batch-size", 128)
    options += ("--arithmetic", "reproducible")
    command("train", *options, "--epochs", 4, "--output", tmp_path / "whole")
    command("train", *options, "--epochs", 2, "--output", tmp_path / "moved")
    outcome = command("train", "--resume", tmp_path / "moved", "--epochs", 4, "--backend", other)
    assert outcome.code == 0, outcome.err
    summary = content(tmp_path / "moved", "summary.json")
    assert (summary["backend"], summary["device"]) == (place.name, str(place.device))
    assert told(tmp_path / "moved") == told(tmp_path / "whole")
    assert command("verify", tmp_path / "moved").code == 0


def test_more_epochs_are_those_of_a_longer_run(command, tmp_path):
    arguments = ("train", "--hidden", 8, "--quiet")
    command(*arguments, "--epochs", 5, "--output", tmp_path / "long")
    command(*arguments, "--epochs", 2, "--output", tmp_path / "run")
    assert command("train", "--quiet", "--resume", tmp_path / "run", "--epochs", 5).code == 0
    assert told(tmp_path / "run") == told(tmp_path / "long")
    again = command("train", "--quiet", "--resume", tmp_path / "run")  # nothing is left to do
    assert again.code == 0
    assert "after 5 epochs" in again.out
    assert told(tmp_path / "run") == told(tmp_path / "long")


@pytest.fixture(scope="module")
def three_and_four_epochs(tmp_path_factory):
    """A run of three epochs, with two checkpoints, and the same one with an epoch more."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pluggable_mlp.runs.folder.SHORTEST_SECONDS", 0.0)
        for epochs in (3, 4):
            arguments = ("train", "--hidden", 8, "--quiet", "--epochs", epochs)
            assert ended(*arguments, "--output", folder / str(epochs)) == 0
    files = sorted(path.name for path in (folder / "3" / FOLDER).iterdir())
    assert files == ["000000000194.safetensors", "000000000291.safetensors"]  # 97 an epoch
    return folder


@pytest.fixture
def stopped(three_and_four_epochs, tmp_path, monkeypatch):
    """The run of three epochs, to be changed; beside it, as `whole`, the one of four."""
    monkeypatch.setattr("pluggable_mlp.runs.folder.SHORTEST_SECONDS", 0.0)
    for epochs, name in (("3", "run"), ("4", "whole")):
        shutil.copytree(three_and_four_epochs / epochs, tmp_path / name)
    return tmp_path / "run"


@pytest.mark.parametrize("damage", ["truncated", "flipped"])
@pytest.mark.parametrize("both", [False, True])
def test_a_damaged_checkpoint_is_told_and_the_one_before_is_used(
    command, stopped, tmp_path, damage, both
):
    for path in sorted((stopped / FOLDER).iterdir())[0 if both else 1 :]:
        data = bytearray(path.read_bytes())
        if damage == "flipped":
            data[-len(data) // 3] ^= 4
        path.write_bytes(data[:-9] if damage == "truncated" else data)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        outcome = command("train", "--quiet", "--resume", stopped, "--epochs", 4)
    assert outcome.code == 0, outcome.err
    assert len(re.findall("safetensors is damaged: .*; it is left aside", outcome.err)) == 1 + both
    assert told(stopped) == told(tmp_path / "whole")


@pytest.mark.parametrize(("line", "name"), [(0, "train_loss"), (2, "seconds")])
def test_metrics_that_were_edited_are_refused(command, stopped, line, name):
    path = stopped / "metrics.jsonl"
    lines = [json.loads(one) for one in path.read_text().splitlines()]
    lines[line][name] /= 2
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))
    before = told_files(stopped)
    outcome = command("train", "--resume", stopped, "--epochs", 4)
    assert (outcome.code, outcome.out) == (2, "")
    assert "config.json or metrics.jsonl was changed after the last checkpoint" in outcome.err
    assert told_files(stopped) == before


@pytest.mark.skipif(os.name != "posix", reason="locks of POSIX")
def test_a_run_in_training_is_refused(command, tmp_path):
    options = ("--epochs", 1_000_000, "--hidden", 8, "--output", tmp_path / "run")
    with running("train", *options) as child:
        child.stdout.readline()
        outcome = command("train", "--resume", tmp_path / "run")
        assert (outcome.code, outcome.out) == (2, "")
        assert "run: another process trains it" in outcome.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--hidden", 9], "hidden is 9, expected 8 as trained"),
        (["--output", "other"], "--output is given, expected --resume"),
        (["--overwrite"], "--overwrite is given, expected --resume"),
        (["--epochs", 2], "epochs is 2, but the run has 3 already"),
    ],
)
def test_what_does_not_fit_is_named(command, stopped, options, words):
    outcome = command("train", "--resume", stopped, *options)
    assert (outcome.code, outcome.out) == (2, "")
    assert words in outcome.err


def test_options_that_are_the_runs_may_be_given_again(command, stopped, tmp_path):
    file = tmp_path / "options.toml"
    again = f"hidden = 8\nepochs = 4\noutput = '{stopped}'\noverwrite = true\nrecipe = 'none'\n"
    file.write_text(again)
    outcome = command("train", "--resume", stopped, "--config", file, "--seed", 0)
    assert outcome.code == 0, outcome.err
    assert content(stopped, "summary.json")["epochs"] == 4
    file.write_text(again + "seed = 7\n")
    outcome = command("train", "--resume", stopped, "--config", file, "--epochs", 5)
    assert outcome.code == 2
    assert "seed is 7, expected 0 as trained" in outcome.err


def edit_settings(folder, **changed):
    config = content(folder, "config.json")
    config["settings"] |= changed
    (folder / "config.json").write_text(json.dumps(config, indent=2))


@pytest.mark.parametrize(
    ("killed", "name", "value"), [(False, "learning_rate", 0.2), (True, "validation", 0.5)]
)
def test_settings_that_were_edited_are_refused(command, stopped, killed, name, value):
    """A run that was killed has no summary: its checkpoints know what it was trained with."""
    if killed:
        (stopped / "summary.json").unlink()
    edit_settings(stopped, **{name: value})
    before = told_files(stopped)
    outcome = command("train", "--resume", stopped, "--epochs", 4)
    assert (outcome.code, outcome.out) == (2, "")
    fault = " or metrics.jsonl was changed after" if killed else " is not what the run was"
    assert f"config.json{fault}" in outcome.err
    assert told_files(stopped) == before


def told_files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.filterwarnings("ignore::pluggable_mlp.data.DataWarning")
def test_a_run_with_an_infinite_loss_of_validation_goes_on(command, tmp_path):
    """It is infinite until the only weight, which falls in each epoch, is small enough."""
    inputs = {"X": np.tile([[-1.0], [1.0]], (4, 1)), "X_validation": np.full((2, 1), 4e19)}
    np.savez(tmp_path / "data.npz", y=np.zeros(8), y_validation=np.zeros(2), **inputs)
    options = ("--data", tmp_path / "data.npz", "--test-share", 0, "--task", "regression")
    options += ("--hidden", "", "--learning-rate", 0.1, "--target-scaling", "none", "--quiet")
    options += ("--early-stopping", 9)
    for name, epochs in (("run", 2), ("whole", 9)):
        command("train", *options, "--epochs", epochs, "--output", tmp_path / name)
    lines = (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()
    is_infinite = [json.loads(line)["validation_loss"] is None for line in lines]
    assert is_infinite[:2] == [True, True]
    assert not is_infinite[-1]
    assert command("train", "--quiet", "--resume", tmp_path / "run", "--epochs", 9).code == 0
    assert told(tmp_path / "run") == told(tmp_path / "whole")


def test_a_run_that_is_done_says_so(command, stopped, tmp_path):
    outcome = command("train", "--resume", stopped)
    assert (outcome.code, outcome.err) == (
        0, "The run ended after 3 of 3 epochs; nothing is left to train.\n"
    )  # fmt: skip
    run = tmp_path / "early"
    options = ("--validation", 0.2, "--early-stopping", 1, "--learning-rate", 9.0, "--hidden", 8)
    assert command("train", *options, "--output", run).code == 0
    done = content(run, "summary.json")["epochs"]
    before = (run / "model.safetensors").read_bytes()
    outcome = command("train", "--resume", run)
    assert outcome.code == 0
    assert outcome.err.startswith(f"The run ended after {done} of ")
    assert (run / "model.safetensors").read_bytes() == before


def test_a_run_without_checkpoints_does_not_begin_again_unasked(command, stopped, tmp_path):
    model = (stopped / "model.safetensors").read_bytes()
    shutil.rmtree(stopped / FOLDER)
    outcome = command("train", "--resume", stopped)
    assert (outcome.code, outcome.out) == (2, "")
    assert "a run that has ended, and no checkpoint to go on from; use --overwrite" in outcome.err
    assert (stopped / "model.safetensors").read_bytes() == model
    (stopped / "summary.json").unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        outcome = command("train", "--quiet", "--resume", stopped)
    assert outcome.code == 0
    assert "holds no checkpoint: the run begins again with its first epoch" in outcome.err


def test_a_run_goes_on_on_its_own_backend(command, tmp_path):
    pytest.importorskip("array_api_strict")
    options = ("--backend", "array_api_strict:device1", "--epochs", 1, "--hidden", 8)
    command("train", *options, "--output", tmp_path / "run")
    assert command("train", "--resume", tmp_path / "run", "--epochs", 2).code == 0
    summary = content(tmp_path / "run", "summary.json")
    assert (summary["backend"], summary["device"]) == ("array_api_strict", "device1")


def test_a_checkpoint_that_fails_is_not_tried_after_each_short_epoch(
    command, tmp_path, monkeypatch
):
    tried = []

    def fail(*_):
        tried.append(1)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pluggable_mlp.runs.folder.SHORTEST_SECONDS", 1e6)
    monkeypatch.setattr("pluggable_mlp.runs.checkpoints.save_checkpoint", fail)
    outcome = command("train", "--hidden", 8, "--epochs", 5, "--output", tmp_path / "run")
    assert (outcome.code, len(tried)) == (2, 2)  # after the first epoch, and at the end


DIVERGING = ("--hidden", 8, "--learning-rate", 1e38)
"""In the second step."""


@pytest.mark.parametrize(("minutes", "seconds", "is_due"), [(2, 119, False), (2, 121, True)])
def test_the_minutes_between_checkpoints(command, tmp_path, monkeypatch, minutes, seconds, is_due):
    """By a clock that stands still after the start, of a run that has nothing but a checkpoint."""
    times = chain([0.0], repeat(float(seconds)))
    clock = SimpleNamespace(monotonic=lambda: next(times))
    monkeypatch.setattr("pluggable_mlp.runs.folder.time", clock)
    options = ("--checkpoint-minutes", minutes, "--output", tmp_path / "run")
    assert command("train", *DIVERGING, *options).code == 2
    assert (tmp_path / "run").exists() == is_due


@pytest.mark.parametrize(("seconds", "steps"), [(0.0, [97, 291]), (1.1, [194, 291])])
def test_epochs_of_a_second_have_a_checkpoint_each(command, tmp_path, monkeypatch, seconds, steps):
    """Shorter ones share some; by a clock that goes on by so much when it is looked at."""
    clock = count(0.0, seconds)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    options = ("--quiet", "--hidden", 8, "--epochs", 3, "--checkpoint-minutes", 1e6)
    assert command("train", *options, "--output", tmp_path / "run").code == 0
    assert checkpoint_steps(tmp_path / "run" / FOLDER) == steps
