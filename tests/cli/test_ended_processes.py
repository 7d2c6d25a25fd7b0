"""Processes that are killed, interrupted or fail: what is saved and said, and that all end."""

import os
import signal
import subprocess
from functools import reduce

import pytest
from filelock import FileLock

from tests.cli.conftest import ended
from tests.cli.processes import DISTRIBUTED, PROGRAM, SETTINGS, TRAIN, checkpoints
from tests.cli.saved_runs import content, told
from tests.distributed.processes import command_of, mpiexec, together
from tests.plug_ins import write_plug_in

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")

DISTURBED = """
import os, signal, sys, time
from pluggable_mlp.cli import main
from pluggable_mlp.cli.processes import Processes
from pluggable_mlp.distributed import process
from pluggable_mlp.distributed.process import launched_rank
from pluggable_mlp.runs.folder import RunFolder
from pluggable_mlp.runs.run import Run

process._PATIENCE = 600.0
train, save, begin = Run.train, RunFolder._save, Processes.__init__
all_processes = []

def beginning(processes, *arguments):
    begin(processes, *arguments)
    all_processes.append(processes)

def training(run):
    for step, progress in enumerate(train(run), 1):
        yield progress
        if WHEN:
            ACTION

def saving(folder):
    SAVING
    save(folder)

Run.train, RunFolder._save, Processes.__init__ = training, saving, beginning
sys.argv[0] = "pluggable-mlp"
main()
"""
AFTER_AN_EPOCH_EACH = "progress.ended and len(run.history) == 1"
AFTER_AN_EPOCH = f"launched_rank() == 1 and {AFTER_AN_EPOCH_EACH}"
AFTER_ALL = "launched_rank() == 1 and progress.ended and len(run.history) == 2"


def disturbed(when, action, saving="pass"):
    """Return a program that trains, and does something to itself at a step of its training."""
    changes = {"WHEN": when, "ACTION": action, "SAVING": saving}
    return reduce(lambda program, change: program.replace(*change), changes.items(), DISTURBED)


def resumed(folder):
    """Go on with a run on one process, when those of before have gone; return what it says."""
    with FileLock(folder / "lock", timeout=300):
        pass
    assert ended("train", "--quiet", "--resume", folder, "--backend", "numpy") == 0
    return told(folder)


def killed_at_step(step, folder, count, *command):
    """Kill the second process at a step of a command; return what was said."""
    before = checkpoints(folder)[-1:]
    killed = "os.kill(os.getpid(), signal.SIGKILL)"
    program = disturbed(f"launched_rank() == 1 and step == {step}", killed)
    done = mpiexec(count, "-c", program, *command, *DISTRIBUTED, "--checkpoint-minutes", 0)
    assert done.returncode == signal.SIGKILL
    assert checkpoints(folder)[-1:] > before
    assert not (folder / "summary.json").exists()
    return done.stdout + done.stderr


@pytest.mark.slow
def test_a_run_that_is_killed_is_resumed_on_other_processes(run_of_one, tmp_path):
    """Begun on three, killed, resumed on two, killed, resumed on one."""
    folder = tmp_path / "run"
    said = killed_at_step(5, folder, 3, *TRAIN, "--output", folder)
    assert said.count("Killed (signal 9)") == 1  # by mpiexec
    killed_at_step(3, folder, 2, "train", "--resume", folder)
    assert resumed(folder) == told(run_of_one)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sent", "receiver"), [(signal.SIGINT, "mpiexec"), (signal.SIGTERM, "a process")]
)
def test_a_signal_saves_as_on_one_process(run_of_one, tmp_path, sent, receiver):
    """After the first epoch, of which the second process waits until it has the signal."""
    folder = tmp_path / "run"
    kill = "" if receiver == "mpiexec" else f"os.kill(os.getpid(), {int(sent)})"
    wait = "while all_processes[-1].request.code is None: time.sleep(0.01)"
    program = disturbed(AFTER_AN_EPOCH, f"{kill}\n            {wait}")
    command = command_of((2, "-c", program, *TRAIN, *DISTRIBUTED, "--output", folder))
    pipes = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, text=True, **pipes) as child:
        if receiver == "mpiexec":
            assert any(line.startswith("epoch   1/") for line in child.stdout)
            child.send_signal(sent)
        out, err = child.communicate(timeout=900)
    assert child.returncode == 128 + sent
    assert err.count("interrupted after") == 1
    assert err.count("stopping after this step") <= 1
    assert out.count("test accuracy") == 1
    assert content(folder, "summary.json")["epochs"] < 4
    assert resumed(folder) == told(run_of_one)


INTERRUPTED = "os.kill(os.getpid(), signal.SIGINT)"
FAILED = "raise MemoryError('no room')"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("when", "action", "code", "words"),
    [
        pytest.param(AFTER_AN_EPOCH, INTERRUPTED, 130, "interrupted after", id="interrupted"),
        pytest.param(AFTER_ALL, INTERRUPTED, 130, "", id="interrupted after the last exchange"),
        pytest.param(AFTER_AN_EPOCH_EACH, FAILED, 3, "no room", id="an error of all"),
    ],
)
def test_process_0_has_time_to_save(tmp_path, when, action, code, words):
    """No other asks it meanwhile whether it fails; it has told them before, if it does."""
    folder = tmp_path / "run"
    asked = "time.sleep(1); assert not all_processes[-1].communicator.process._failures.iprobe()"
    program = disturbed(
        when, action, "assert all_processes[-1].communicator.process._told" if code == 3 else asked
    )
    train = ("train", *SETTINGS, "--epochs", 2, *DISTRIBUTED, "--output", folder)
    done = mpiexec(2, "-c", program, *train)
    assert done.returncode == code, done.stderr
    assert "failed" not in done.stderr
    assert len(done.stderr.splitlines()) == bool(words)
    assert words in done.stderr
    assert content(folder, "summary.json")["epochs"] >= (2 if when == AFTER_ALL else 1)
    assert done.stdout.count("test accuracy") == 1


FAILING = """
import os
from pluggable_mlp.backends.numpy import NumpyBackend

class FailingBackend(NumpyBackend):
    name = "failing"
    calls = 0

    def asarray(self, x, **settings):
        FailingBackend.calls += 1
        if self.calls == 130:
            raise FAILURE
        return super().asarray(x, **settings)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("failure", "code", "words", "place"),
    [
        ("MemoryError('no room')", 3, "out of memory: no room", 1),
        ("RuntimeError('odd')", 3, "unexpected RuntimeError", 0),
    ],
)
def test_an_error_of_one_process_ends_all(run_of_one, tmp_path, failure, code, words, place):
    source = FAILING.replace("FAILURE", failure)
    environment = write_plug_in(tmp_path, "failing = failing:FailingBackend", failing=source)
    folder = tmp_path / "run"
    train = (*PROGRAM, *TRAIN, *DISTRIBUTED, "--output", folder, "--checkpoint-minutes", "0")
    programs = [(1, *train)] * 2
    programs[place] = (*programs[place], "--backend", "failing")
    done = together(*programs, env=environment)
    assert done.returncode == code
    first, last = done.stderr.splitlines()
    assert words in first
    assert last == f"Error: process {place} of 2 failed; all processes end"
    assert resumed(folder) == told(run_of_one)


def test_an_error_of_all_processes_is_said_once():
    train = ("train", *DISTRIBUTED, "--data", "nothing.csv")
    done = mpiexec(2, "-c", disturbed("False", "pass"), *train)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("nothing.csv: there is no such file") == 1
    assert done.stderr.count("Error") == 1
