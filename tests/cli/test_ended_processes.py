"""Processes that are killed, interrupted or fail: what is saved and said, and that all end."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.processes import DISTRIBUTED, PROGRAM, SETTINGS, TRAIN, alone, checkpoints, on
from tests.cli.saved_runs import content, told
from tests.distributed.processes import command_of, mpiexec, together
from tests.plug_ins import write_plug_in

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")

NOTING = """
import os, runpy, sys
with open(sys.argv.pop(1), "w") as file:
    file.write(str(os.getpid()))
runpy.run_module("pluggable_mlp", run_name="__main__", alter_sys=True)
"""


class Started:
    """A command that was started on processes; the second can be sent a signal."""

    def __init__(self, folder, count, *command):
        self._number = Path(f"{folder}.pid")
        program = (*command, *DISTRIBUTED)
        noting = ("-c", NOTING, self._number, *program)
        ordinary = (*PROGRAM, *program)
        self.child = subprocess.Popen(
            command_of((1, *ordinary), (1, *noting), *[(1, *ordinary)] * (count - 2)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def send(self, number):
        os.kill(int(self._number.read_text()), number)

    def wait_until(self, is_reached):
        while not is_reached():
            assert self.child.poll() is None, self.child.stderr.read()
            time.sleep(0.01)


def killed_after_a_checkpoint(folder, count, *command):
    """Kill one of the processes of a command after its first checkpoint; return what was said."""
    before = checkpoints(folder)[-1:]
    started = Started(folder, count, *command, "--checkpoint-minutes", "0")
    started.wait_until(lambda: checkpoints(folder)[-1:] > before)
    started.send(signal.SIGKILL)
    out, err = started.child.communicate(timeout=300)
    assert started.child.returncode == signal.SIGKILL
    assert not (folder / "summary.json").exists()
    return out + err


@pytest.mark.slow
def test_a_run_that_is_killed_is_resumed_on_other_processes(run_of_one, tmp_path):
    """Begun on three, killed, resumed on two, killed, resumed on one."""
    folder = tmp_path / "run"
    said = killed_after_a_checkpoint(folder, 3, *TRAIN, "--output", folder)
    assert said.count("Killed (signal 9)") == 1  # by mpiexec
    killed_after_a_checkpoint(folder, 2, "train", "--resume", folder)
    alone("train", "--resume", folder)
    assert told(folder) == told(run_of_one)


@pytest.mark.slow
@pytest.mark.parametrize("receiver", ["mpiexec", "a process"])
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_as_on_one_process(run_of_one, tmp_path, sent, receiver):
    folder = tmp_path / "run"
    started = Started(folder, 3, *TRAIN, "--output", folder)
    child = started.child
    started.wait_until(lambda: child.stdout.readline().startswith("epoch   1/"))
    child.send_signal(sent) if receiver == "mpiexec" else started.send(sent)
    out, err = child.communicate(timeout=300)
    assert child.returncode == 128 + sent
    assert err.count("interrupted after") == 1
    assert err.count("stopping after this step") <= 1
    assert out.count("test accuracy") == 1
    assert content(folder, "summary.json")["epochs"] < 4
    done = on(2, "train", "--quiet", "--resume", folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert told(folder) == told(run_of_one)


SLOWLY_SAVED = """
import os, signal, sys, time
from pluggable_mlp.cli import main
from pluggable_mlp.distributed import launched_rank
from pluggable_mlp.runs.run import Run

train, save = Run.train, Run.save

def ending(run):
    for progress in train(run):
        yield progress
        if progress.ended and len(run.history) == EPOCHS:
            ENDING

def saving(run, folder):
    time.sleep(6)
    save(run, folder)

Run.train, Run.save = ending, saving
sys.argv[0] = "pluggable-mlp"
main()
"""
INTERRUPTING = "if launched_rank() == 1: os.kill(os.getpid(), signal.SIGINT)"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ending", "epochs", "code", "words"),
    [
        pytest.param(INTERRUPTING, 1, 130, "interrupted after", id="interrupted"),
        pytest.param(INTERRUPTING, 2, 130, "", id="interrupted after the last exchange"),
        pytest.param("raise MemoryError('no room')", 1, 3, "no room", id="an error of all"),
    ],
)
def test_process_0_has_time_to_save(tmp_path, ending, epochs, code, words):
    folder = tmp_path / "run"
    program = SLOWLY_SAVED.replace("ENDING", ending).replace("EPOCHS", str(epochs))
    train = ("train", *SETTINGS, "--epochs", 2, *DISTRIBUTED, "--output", folder)
    done = mpiexec(3, "-c", program, *train)
    assert done.returncode == code, done.stderr
    assert "failed" not in done.stderr
    assert len(done.stderr.splitlines()) == bool(words)
    assert words in done.stderr
    assert content(folder, "summary.json")["epochs"] >= epochs
    assert done.stdout.count("test accuracy") == 1


FAILING = """
import os
from pluggable_mlp.backends.numpy import NumpyBackend

class FailingBackend(NumpyBackend):
    name = "failing"
    calls = 0

    def asarray(self, x, **settings):
        FailingBackend.calls += 1
        if self.calls == 700:
            raise FAILURE
        return super().asarray(x, **settings)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("failure", "code", "words", "place"),
    [
        ("MemoryError('no room')", 3, "out of memory: no room", 1),
        ("OSError('the data are gone')", 2, "the data are gone", 2),
        ("RuntimeError('odd')", 3, "unexpected RuntimeError", 0),
    ],
)
def test_an_error_of_one_process_ends_all(run_of_one, tmp_path, failure, code, words, place):
    source = FAILING.replace("FAILURE", failure)
    environment = write_plug_in(tmp_path, "failing = failing:FailingBackend", failing=source)
    folder = tmp_path / "run"
    train = (*PROGRAM, *TRAIN, *DISTRIBUTED, "--output", folder, "--checkpoint-minutes", "0")
    programs = [(1, *train)] * 3
    programs[place] = (*programs[place], "--backend", "failing")
    done = together(*programs, env=environment)
    assert done.returncode == code
    first, last = done.stderr.splitlines()
    assert words in first
    assert last == f"Error: process {place} of 3 failed; all processes end"
    done = on(2, "train", "--quiet", "--resume", folder, "--backend", "numpy")
    assert (done.returncode, done.stderr) == (0, "")
    assert told(folder) == told(run_of_one)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--data", "nothing.csv"), "nothing.csv: there is no such file"),
        pytest.param(("--hiden", "3"), "No such option: --hiden", marks=pytest.mark.slow),
        pytest.param(("--hidden", "x"), "hidden is 'x', expected", marks=pytest.mark.slow),
        pytest.param(("--distributed", "mpj"), "distributed is 'mpj'", marks=pytest.mark.slow),
        pytest.param(("--learning-rate", "1e40"), "training diverged", marks=pytest.mark.slow),
    ],
)
def test_an_error_of_all_processes_is_said_once(arguments, words):
    done = on(3, "train", "--optimizer", "sgd", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count(words) == 1
    assert done.stderr.count("Error") == 1
