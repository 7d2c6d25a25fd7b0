"""`train --output`: what is in the folder when, and what becomes of it where things go wrong."""

import json
import shutil
import signal

import pytest

from pluggable_mlp.backends import get_backend
from pluggable_mlp.runs.folder import RunFolder
from pluggable_mlp.runs.run import Run
from pluggable_mlp.settings import Settings
from tests.cli.children import ENDLESS_TRAINING, posix, running, stopped
from tests.cli.saved_runs import FILES, assert_complete, lines, names


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


def test_of_two_that_come_at_once_one_gets_the_folder(tmp_path, monkeypatch):
    """Both have seen an empty folder."""
    from pluggable_mlp.runs import folder

    run = Run(Settings(epochs=1, hidden=()), get_backend("numpy"))
    monkeypatch.setattr(folder, "refuse_used_folder", lambda *_: None)
    with RunFolder(tmp_path, run):
        with pytest.raises(ValueError, match="another process trains"):
            RunFolder(tmp_path, run)
        list(run.train())
    assert names(tmp_path) == FILES


@pytest.mark.slow
@posix
def test_a_folder_that_vanishes_is_told_and_not_made_again(command, tmp_path):
    folder = tmp_path / "run"
    with running(*ENDLESS_TRAINING, "--output", folder) as child:
        child.stdout.readline()
        shutil.rmtree(folder.rename(tmp_path / "gone"))  # at once: the child goes on writing
        fault = (
            f"--output {folder} cannot be written: it has vanished, or another process has taken it"
        )
        assert child.stderr.readline() == f"Warning: {fault}; training goes on\n"
        code, out, err = stopped(child)
    assert code == 2
    assert out.splitlines()[-1].startswith("test accuracy")
    assert err.endswith(f"Error: {fault}\n")
    assert not folder.exists()


@pytest.mark.slow
@posix
def test_the_folder_of_another_run_is_not_touched(tmp_path):
    folder = tmp_path / "run"
    with running(*ENDLESS_TRAINING, "--output", folder) as child:
        child.stdout.readline()
        folder.rename(tmp_path / "old")
        folder.mkdir()
        (folder / "config.json").write_text("of another")
        child.stderr.readline()
        code, out, err = stopped(child)
    assert code == 2
    assert out.splitlines()[-1].startswith("test accuracy")
    assert "another process has taken it" in err.splitlines()[-1]
    assert names(folder) == {"config.json"}
    assert (folder / "config.json").read_text() == "of another"


@posix
def test_a_temporarily_full_disk_loses_nothing(command, tmp_path):
    folder = tmp_path / "run"
    with running(*ENDLESS_TRAINING, "--output", folder) as child:
        child.stdout.readline()
        (folder / "full").symlink_to("/dev/full")
        (folder / "full").replace(folder / "metrics.jsonl")
        assert "No space left on device; training goes on" in child.stderr.readline()
        (folder / "metrics.jsonl").unlink()
        code, _, _ = stopped(child)
    assert code == 130
    assert_complete(folder, command)


@posix
def test_lines_of_the_metrics_are_not_lost_while_they_are_written_again(tmp_path):
    """A checkpoint counts on them."""
    run = Run(Settings(epochs=2, hidden=()), get_backend("numpy"))
    folder, path = RunFolder(tmp_path / "run", run), tmp_path / "run" / "metrics.jsonl"
    with folder:
        for _ in (progress for progress in run.train() if progress.ended):
            if len(run.history) == 1:
                folder.record()
                written = path.read_bytes()
                continue
            path.unlink()
            path.symlink_to("/dev/full")
            with pytest.raises(OSError, match="No space left"):
                folder.record()
            path.unlink()
            path.write_bytes(written)
            path.with_name("metrics.jsonl.part").symlink_to("/dev/full")
            with pytest.raises(OSError, match="No space left"):
                folder.record()
            assert path.read_bytes() == written
    assert [line["epoch"] for line in lines(tmp_path / "run")] == [1, 2]


def fail_to_save(monkeypatch, kind, *arguments):
    """Have the model not be written, by a new error each time: it collects notes."""
    from pluggable_mlp.runs import run

    def fail(path, content):
        raise kind(*arguments)

    monkeypatch.setattr(run, "write_tree", fail)


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


def test_an_unforeseen_error_at_the_end_leaves_the_last_checkpoint(
    command, told, tmp_path, monkeypatch
):
    """Not of the disk: it keeps its exit code, and where to go on is said."""
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        fail_to_save(patch, ZeroDivisionError, "float division by zero")
        outcome = told("train", "--epochs", 2, "--hidden", 8, "--output", run)
    assert outcome.code == 3
    first, second = outcome.err.splitlines()
    assert first.startswith(f"Warning: --output {run} cannot be written: float division by zero; ")
    assert first.endswith(f"--resume {run} goes on from its last checkpoint")
    assert second.startswith("Error: unexpected ZeroDivisionError (")
    assert command("train", "--resume", run).code == 0
    assert_complete(run, command)


def test_a_clock_that_stands_still_loses_no_run(command, tmp_path, monkeypatch):
    """As of a virtual machine, or one so coarse that epochs take no time."""
    monkeypatch.setattr("time.perf_counter", lambda: 1.0)
    outcome = command("train", "--epochs", 2, "--hidden", 8, "--output", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    assert_complete(tmp_path / "run", command)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (summary["seconds"], summary["examples_per_second"]) == (0.0, None)


def test_an_unsaved_run_reports_what_ended_the_training(told, tmp_path, monkeypatch):
    """It decides the exit code."""
    from pluggable_mlp.backends import numpy

    folder = tmp_path / "run"

    def exhausted(self):
        if (folder / "metrics.jsonl").exists():
            raise MemoryError("no room")

    fail_to_save(monkeypatch, *FULL)
    monkeypatch.setattr(numpy.NumpyBackend, "synchronize", exhausted)  # once an epoch
    outcome = told("train", "--hidden", 8, "--output", folder)
    assert outcome.code == 3
    kept, ended = outcome.err.splitlines()
    assert ended.startswith("Error: out of memory: no room")
    assert kept == (
        f"Warning: --output {folder} cannot be written: No space left on device; --resume {folder} "
        "goes on from its last checkpoint"
    )


@pytest.mark.slow
@posix
@pytest.mark.parametrize("kept", [True, False])
def test_a_full_disk_behind_standard_output_does_not_lose_the_run(command, tmp_path, kept):
    output = ("--output", tmp_path / "run") if kept else ()
    with (
        open("/dev/full", "w") as full,
        running("train", "--epochs", 3, "--hidden", 8, *output, stdout=full) as child,
    ):
        _, err = child.communicate(timeout=300)
    assert child.returncode == 2
    assert "Traceback" not in err
    assert err.endswith("Error: standard output cannot be written: No space left on device\n")
    assert err.count("training goes on") == kept
    if kept:
        assert_complete(tmp_path / "run", command)
        assert len(lines(tmp_path / "run")) == 3


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


def test_a_run_that_fails_later_keeps_its_whole_epochs(command, tmp_path):
    run = Run(Settings(epochs=9, hidden=(8,)), get_backend("numpy"))

    def exhaust_memory():
        with RunFolder(tmp_path / "run", run):
            for _ in run.train():
                if len(run.history) == 2:
                    raise MemoryError

    with pytest.raises(MemoryError):
        exhaust_memory()
    assert len(lines(tmp_path / "run")) == 2
    assert_complete(tmp_path / "run", command)


@pytest.mark.slow
@posix
def test_a_full_disk_raises_before_training(tmp_path):
    """As where no file may have a single byte."""
    full = ("sh", "-c", 'ulimit -f 0; exec "$@"', "sh")
    with running("train", "--output", tmp_path / "run", before=full) as child:
        out, err = child.communicate(timeout=300)
    assert (child.returncode, out) == (2, "")
    assert "run cannot be created: File too large\n" in err
    assert not (tmp_path / "run").exists()


def test_json_is_printed_for_machines(command, tmp_path):
    """The lines of metrics.jsonl, then the summary."""
    given = ("train", "--json", "--epochs", 2, "--hidden", 8, "--output", tmp_path / "run")
    *printed, last = map(json.loads, command(*given).out.splitlines())
    assert printed == lines(tmp_path / "run")
    assert last == json.loads((tmp_path / "run" / "summary.json").read_text())
    (only,) = command("train", "--json", "--quiet", "--epochs", 1).out.splitlines()
    assert json.loads(only)["epochs"] == 1
