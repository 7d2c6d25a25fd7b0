"""A run whose data are elsewhere: the missing path is named, and `--data` says the new one."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from pluggable_mlp.data import load_dataset


@pytest.fixture
def moved(command, tmp_path, monkeypatch):
    """A folder beside a run and its data, whose path was given from another folder."""
    digits = load_dataset("digits").train
    np.savez(tmp_path / "data.npz", X=digits.inputs[:140] / 16, y=digits.targets[:140])
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    given = ("--data", "data.npz", "--epochs", 1, "--hidden", 8)
    assert command("train", *given, "--output", "run").code == 0
    monkeypatch.chdir(tmp_path / "elsewhere")


def assert_data_are_missed(outcome):
    assert outcome.code == 2
    assert f"data.npz: there is no such file; check the path, which begins in {os.getcwd()}, " \
        "or say with --data, and --test, where those of the run are" in outcome.err  # fmt: skip


def test_the_data_of_a_run_may_be_elsewhere(command, moved):
    for arguments in (("evaluate", "../run"), ("train", "--resume", "../run")):
        assert_data_are_missed(command(*arguments))
    outcome = command("train", "--epochs", 2, "--resume", "../run", "--data", "../data.npz")
    assert outcome.code == 0, outcome.err
    assert json.loads(Path("../run/config.json").read_text())["settings"]["data"] == "../data.npz"


def test_figures_are_drawn_of_data_elsewhere(command, moved):
    pytest.importorskip("matplotlib")
    assert_data_are_missed(command("plot", "../run"))
    assert command("plot", "../run", "--data", "../data.npz").code == 0
    outcome = command("report", "../run", "--data", "../data.npz")
    assert outcome.code == 0
    assert "Without the figures" not in outcome.err
