"""`predict`: where predictions are written, in which form, and what becomes of an old file."""

import csv
import io
import os
import signal
import subprocess
import time

import numpy as np
import pytest

from pluggable_mlp import MLP
from pluggable_mlp.data import load_dataset
from tests.cli.children import running
from tests.cli.digits import PIXELS


def test_predict_writes_as_it_goes(command, run, tmp_path, monkeypatch):
    """Never all rows at once: when the last thousand are computed, others are in the file.

    On one thread: so many thousands as there are threads are computed at once.
    """
    from pluggable_mlp.arrays.executor import one_by_one
    from pluggable_mlp.backends.numpy import NumpyBackend

    path, sizes, compute = tmp_path / "p.csv", [], NumpyBackend.to_numpy
    part = tmp_path / "p.csv.part"

    def note(self, array):
        sizes.append(part.stat().st_size if part.exists() else 0)
        return compute(self, array)

    np.save(tmp_path / "x.npy", np.resize(load_dataset("digits").test.inputs, (2001, 64)))
    monkeypatch.setattr(NumpyBackend, "to_numpy", note)
    monkeypatch.setattr(NumpyBackend, "run_all", staticmethod(one_by_one))
    assert command("predict", run, tmp_path / "x.npy", "--output", path).code == 0
    none, first, second = dict.fromkeys(sizes)  # tracing converts arrays, too
    assert none == 0 < first < second < path.stat().st_size
    assert len(path.read_text().splitlines()) == 2002


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_labels_that_the_output_cannot_encode_end_no_command(command, tmp_path, encoding):
    """Predictions are UTF-8, as in a file; what else is said is escaped."""
    pytest.importorskip("polars")
    data, run, file = (tmp_path / name for name in ("ß→日本.csv", "run", "p.csv"))
    rows = "".join(f"{n % 7},{('ß→日本', 'é')[n % 2]}\n" for n in range(100))
    data.write_text(f"größe,klasse\n{rows}", encoding="utf-8")
    train = ("train", "--data", data, "--epochs", 1, "--recipe", "none", "--output", run)
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    printed = []
    for arguments in (train, ("predict", run, data), ("evaluate", run), ("data", data)):
        with running(*arguments, env=environment, text=False) as child:
            printed.append(child.communicate(timeout=300)[0])
        assert child.returncode == 0
    assert command("predict", run, data, "--output", file).code == 0
    assert printed[1] == file.read_bytes()
    assert b"F1" in printed[2]


def test_a_file_of_predictions_that_cannot_be_written_is_named(command, run, tmp_path):
    np.save(tmp_path / "x.npy", load_dataset("digits").test.inputs[:3])
    for path in (tmp_path / "absent" / "p.csv", run / "config.json" / "p.csv"):
        outcome = command("predict", run, tmp_path / "x.npy", "--output", path)
        assert outcome.code == 2
        assert f"--output {path} cannot be written: " in outcome.err


def test_predictions_are_not_written_under_the_name_of_another_format(command, run, tmp_path):
    np.save(tmp_path / "x.npy", load_dataset("digits").test.inputs[:3])
    output = tmp_path / "p.csv.gz"
    outcome = command("predict", run, tmp_path / "x.npy", "--output", output)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == f"Error: --output {output} ends in .gz, expected .csv or .npy\n"
    assert not output.exists()


def test_predictions_are_an_array_where_that_is_asked_for(command, run, tmp_path):
    np.save(tmp_path / "x.npy", PIXELS)
    outcome = command("predict", run, tmp_path / "x.npy", "--output", tmp_path / "p.npy")
    assert (outcome.code, outcome.out) == (0, "")
    rows = list(csv.DictReader(io.StringIO(command("predict", run, tmp_path / "x.npy").out)))
    found = np.load(tmp_path / "p.npy")
    assert found.dtype == np.int64
    assert found.tolist() == [int(row["prediction"]) for row in rows]


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_leaves_no_copy_of_standard_input(run, tmp_path):
    """Nor half a file of predictions beside the old one."""
    temporary, answers = tmp_path / "temporary", tmp_path / "answers.csv"
    temporary.mkdir()
    answers.write_text("old")
    environment = os.environ | {"TMPDIR": str(temporary)}
    arguments = ("predict", run, "-", "--output", answers)
    with running(*arguments, env=environment, stdin=subprocess.PIPE) as child:
        child.stdin.write("0.5," * 1000)
        child.stdin.flush()
        child.stdin.write("0.5," * 100_000)
        child.stdin.flush()
        while not any(temporary.iterdir()):
            assert child.poll() is None
            time.sleep(0.01)
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=300) == 130
    assert not any(temporary.iterdir())
    assert answers.read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"temporary", "answers.csv"}


@pytest.mark.parametrize("name", ["answers.csv", "answers.npy"])
def test_predictions_that_fail_leave_the_old_file(command, run, tmp_path, monkeypatch, name):
    """In the middle of them, as where memory ends."""
    np.save(tmp_path / "x.npy", np.zeros((3000, 64)))
    (tmp_path / name).write_text("old")
    original, calls = MLP.predict_proba, []

    def exhausted(*arguments, **options):
        calls.append(1)
        if len(calls) == 3:
            raise MemoryError("no room")
        return original(*arguments, **options)

    monkeypatch.setattr(MLP, "predict_proba", exhausted)
    outcome = command("predict", run, tmp_path / "x.npy", "--output", tmp_path / name)
    assert (outcome.code, len(calls)) == (3, 3)
    assert (tmp_path / name).read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"x.npy", name}
    monkeypatch.undo()
    assert command("predict", run, tmp_path / "x.npy", "--output", tmp_path / name).code == 0
    assert (tmp_path / name).stat().st_size > 3000


@pytest.mark.skipif(os.name != "posix", reason="links and pipes of POSIX")
def test_predictions_replace_files_and_links_alone(command, run, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((3, 64)))
    (tmp_path / "link.csv").symlink_to(tmp_path / "there.csv")
    (tmp_path / "there.csv").write_text("keep")
    os.mkfifo(tmp_path / "pipe")
    outcome = command("predict", run, tmp_path / "x.npy", "--output", tmp_path / "link.csv")
    assert (outcome.code, (tmp_path / "link.csv").is_symlink()) == (0, False)
    assert len((tmp_path / "link.csv").read_text().splitlines()) == 4
    assert (tmp_path / "there.csv").read_text() == "keep"
    outcome = command("predict", run, tmp_path / "x.npy", "--output", tmp_path / "pipe")
    assert (outcome.code, (tmp_path / "pipe").is_fifo()) == (2, True)
    assert "is no regular file" in outcome.err
