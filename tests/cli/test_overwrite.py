"""`train --overwrite`: an old run is replaced by a checkpoint; what is none, or in use, is not."""

import json
import os

import pytest

from tests.cli.children import posix
from tests.cli.saved_runs import FILES, assert_complete, lines, names


def test_an_old_run_is_replaced_where_that_is_asked_for(command, tmp_path):
    folder = tmp_path / "run"
    train = ("train", "--quiet", "--hidden", 8, "--output", folder)
    assert command(*train, "--epochs", 2, "--seed", 1, "--overwrite").code == 0  # nothing is there
    refused = command(*train, "--epochs", 1)
    assert refused.code == 2
    assert "is not empty; use --resume or --overwrite" in refused.err
    assert len(lines(folder)) == 2
    (folder / "model.safetensors.part").write_text("of a run that was killed")
    assert command(*train, "--epochs", 1, "--overwrite").code == 0
    assert_complete(folder, command)
    assert len(lines(folder)) == 1
    assert json.loads((folder / "config.json").read_text())["settings"]["seed"] == 0


def test_only_a_run_is_replaced(command, tmp_path):
    train = ("train", "--quiet", "--epochs", 1, "--hidden", 8, "--overwrite", "--output")
    (tmp_path / "notes.txt").write_text("keep")
    fault = f"--output {tmp_path} holds notes.txt, expected the files of a run alone\n"
    assert command(*train, tmp_path).err == f"Error: {fault}"
    run = tmp_path / "run"
    assert command(*train, run).code == 0
    (run / "notes.txt").write_text("keep")
    outcome = command(*train, run)
    assert outcome.code == 2
    assert "holds notes.txt, expected the files of a run alone" in outcome.err
    assert names(run) == FILES | {"notes.txt"}
    outcome = command(*train, tmp_path / "notes.txt")
    assert (outcome.code, outcome.out) == (2, "")
    assert "notes.txt cannot be created: Not a directory" in outcome.err


@pytest.mark.parametrize(
    "fails",
    [("--learning-rate", "1e38"), ("--optimizer", "lbfgs", "--batch-size", 16)],
    ids=["diverges in the first epoch", "refused by the loop"],
)
def test_the_old_run_is_kept_until_a_checkpoint(command, tmp_path, fails, monkeypatch):
    folder = tmp_path / "run"
    train = ("train", "--quiet", "--epochs", 1, "--hidden", 8, "--output", folder)
    assert command(*train).code == 0
    before = {one.name: one.read_bytes() for one in folder.iterdir() if one.is_file()}
    assert command(*train, "--overwrite", *fails).code == 2
    with monkeypatch.context() as patch:
        patch.setattr("os.access", lambda _, mode: mode != os.W_OK)
        assert "cannot be renamed" in command(*train, "--overwrite").err
    assert {one.name: one.read_bytes() for one in folder.iterdir() if one.is_file()} == before
    assert (folder / "checkpoints").is_dir()
    assert command("evaluate", folder).code == 0
    assert command(*train, "--overwrite", "--seed", 1).code == 0
    assert (folder / "config.json").read_bytes() != before["config.json"]
    assert list(tmp_path.iterdir()) == [folder]  # nothing is left of the old one


@posix
def test_a_run_behind_a_link_is_replaced_where_it_is(command, tmp_path):
    """The link stays, and what it leads to."""
    link, folder = tmp_path / "link", tmp_path / "disk" / "run"
    folder.mkdir(parents=True)
    link.symlink_to(folder)
    train = ("train", "--quiet", "--epochs", 1, "--hidden", 8, "--output", link)
    assert command(*train).code == 0
    assert command(*train, "--overwrite", "--seed", 1).code == 0
    assert link.is_symlink()
    assert_complete(folder, command)
    assert json.loads((folder / "config.json").read_text())["settings"]["seed"] == 1
    assert names(tmp_path) == {"link", "disk"}
    assert names(tmp_path / "disk") == {"run"}


def test_a_run_that_ends_without_a_checkpoint_replaces_the_old_one(command, tmp_path, monkeypatch):
    """As one whose optimizer remembers numbers that are not finite."""
    folder = tmp_path / "run"
    train = ("train", "--quiet", "--epochs", 1, "--hidden", 8, "--output", folder)
    assert command(*train).code == 0
    monkeypatch.setattr("pluggable_mlp.runs.checkpoints.checkpoint_of", lambda *_: None)
    assert command(*train, "--seed", 1, "--overwrite").code == 0
    assert json.loads((folder / "config.json").read_text())["settings"]["seed"] == 1
    assert names(tmp_path) == {"run"}
