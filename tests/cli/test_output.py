"""`train --output`: what is in the folder when, and what becomes of it where things go wrong."""

import json
import signal
from pathlib import Path

import pytest

from pluggable_mlp.backends import get_backend
from pluggable_mlp.options import Options
from pluggable_mlp.runs.folder import RunFolder
from pluggable_mlp.runs.run import Run
from tests.cli.children import ENDLESS_TRAINING, posix, running, stopped
from tests.cli.saved_runs import FILES, assert_complete, lines, names, trained


def test_an_output_without_a_name_is_refused(command):
    """A variable that is not set would make it the current folder."""
    refused = command("train", "--quiet", "--epochs", 1, "--overwrite", "--output", "")
    assert (refused.code, refused.out) == (2, "")
    assert "--output is '.', expected the name of a folder" in refused.err


@posix
def test_the_folder_is_written_from_the_start_and_taken(command, tmp_path):
    """Settings first, then a line after each epoch; no second run gets the folder."""
    folder = tmp_path / "run"
    with running(*ENDLESS_TRAINING, "--output", folder) as child:
        assert child.stdout.readline().startswith("epoch   1/")
        assert names(folder) == {"checkpoints", "config.json", "lock", "metrics.jsonl"}
        assert json.loads((folder / "config.json").read_text())["settings"]["hidden"] == [8]
        assert lines(folder)[0]["epoch"] == 1
        second = command("train", "--quiet", "--epochs", 1, "--output", folder)
        assert (second.code, second.out) == (2, "")
        assert "is not empty; use --resume or --overwrite" in second.err
        code, out, err = stopped(child, signal.SIGTERM)
    assert code == 143
    assert out.splitlines()[-1].startswith("test accuracy")
    assert "interrupted after" in err
    assert_complete(folder, command)


def fail_to_save(monkeypatch, kind, *arguments):
    """Have the model not be written, by a new error each time: it collects notes."""
    from pluggable_mlp.runs import folder

    def fail(path, content):
        raise kind(*arguments)

    monkeypatch.setattr(folder, "write_tree", fail)


FULL = (OSError, 28, "No space left on device")


def test_a_model_that_cannot_be_saved_leaves_the_last_checkpoint(command, tmp_path, monkeypatch):
    """And the run is reported, and ends as one that was saved at once."""
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        fail_to_save(patch, *FULL)
        outcome = command("train", "--epochs", 2, "--hidden", 8, "--output", run)
    assert outcome.code == 2
    assert outcome.out.splitlines()[-1].startswith("test accuracy")
    assert outcome.err == (
        f"Error: --output {run} cannot be written: No space left on device; --resume {run} goes on "
        "from its last checkpoint\n"
    )
    assert names(run) == FILES - {"model.safetensors", "summary.json"}
    assert command("train", "--resume", run).code == 0
    assert_complete(run, command)
    assert command("verify", run).code == 0


def test_a_clock_that_stands_still_loses_no_run(command, tmp_path, monkeypatch):
    """As of a virtual machine, or one so coarse that epochs take no time."""
    monkeypatch.setattr("time.perf_counter", lambda: 1.0)
    outcome = command("train", "--epochs", 2, "--hidden", 8, "--output", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    assert_complete(tmp_path / "run", command)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (summary["seconds"], summary["examples_per_second"]) == (0.0, None)


@pytest.mark.parametrize("made", [True, False])
def test_a_run_that_fails_at_once_leaves_no_folder_in_the_way(command, tmp_path, made):
    """L-BFGS takes all examples at once, and says so when training begins."""
    folder = tmp_path / "run"
    if made:
        folder.mkdir()
    outcome = command("train", "--optimizer", "lbfgs", "--output", folder)
    assert outcome.code == 2
    assert folder.exists() == made
    assert not made or not names(folder)
    for arguments in (("--data", "absent.csv"), ("--backend", "numpi")):
        assert command("train", *arguments, "--output", folder).code == 2
        assert folder.exists() == made
    assert command("train", "--quiet", "--epochs", 1, "--output", folder).code == 0


def test_json_is_printed_for_machines(command, tmp_path):
    """The lines of metrics.jsonl, then the summary."""
    arguments = ("train", "--json", "--epochs", 2, "--hidden", 8, "--output", tmp_path / "run")
    *printed, last = map(json.loads, command(*arguments).out.splitlines())
    assert printed == lines(tmp_path / "run")
    assert last == json.loads((tmp_path / "run" / "summary.json").read_text())
    (only,) = command("train", "--json", "--quiet", "--epochs", 1).out.splitlines()
    assert json.loads(only)["epochs"] == 1


def disturbed(folder, disturb):
    """Train three epochs and save them; disturb that after the first."""
    run = Run.of(Options(epochs=3, hidden=(8,)), get_backend("numpy"))
    with RunFolder(folder, run) as written:
        for progress in run.train():
            if progress.ended:
                written.record()
                if len(run.history) == 1:
                    disturb()


def emptied(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("change", [Path.unlink, emptied])
def test_lines_that_are_lost_in_training_are_written_again(command, tmp_path, change):
    disturbed(tmp_path / "run", lambda: change(tmp_path / "run" / "metrics.jsonl"))
    assert_complete(tmp_path / "run", command)


def test_a_folder_that_another_run_has_taken_is_not_written(tmp_path):
    folder = tmp_path / "run"

    def take():
        folder.rename(tmp_path / "moved")
        trained(folder, epochs=1, hidden=(8,), seed=1)
        before.update((path, path.read_bytes()) for path in folder.iterdir() if path.is_file())

    before = {}
    with pytest.warns(match="has taken it"), pytest.raises(OSError, match="has taken it"):
        disturbed(folder, take)
    assert before == {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
