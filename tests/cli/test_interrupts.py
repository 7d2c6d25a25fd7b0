"""Signals and readers that go away: the end is quick and quiet, and what was reached is saved."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.cli.children import running
from tests.plug_ins import write_plug_in

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and pipes of POSIX")

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
BOTH = pytest.mark.parametrize(
    "sent", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)

# A compiler that an exception from outside would crash, as it does JAX's.
COMPILING = """
import os, sys, time
from pluggable_mlp.backends.numpy import NumpyBackend

class GlassBackend(NumpyBackend):
    name = "glass"
    calls = 0

    def compile(self, function, used_up=()):
        def compiled(*arguments):
            self.calls += 1
            if self.calls == CALL:
                print("compiling", flush=True)
                try:
                    time.sleep(SECONDS)
                except BaseException:
                    os.abort()
            return function(*arguments)

        return compiled
"""


def compiling(folder: Path, seconds: int, call: int = 1) -> dict[str, str]:
    """Return an environment in which `--backend glass` compiles for so long, at that call."""
    source = COMPILING.replace("SECONDS", str(seconds)).replace("CALL", str(call))
    return write_plug_in(folder, "glass = glass:GlassBackend", glass=source)


def slow_torch(folder: Path, seconds: int) -> dict[str, str]:
    """Return an environment whose PyTorch takes so long to import, and swallows exceptions."""
    (folder / "torch.py").write_text(
        "import time\n"
        "try:\n"
        "    print('importing', flush=True)\n"
        f"    time.sleep({seconds})\n"
        "except BaseException:\n"
        f"    time.sleep({seconds})\n"
        "raise ImportError('too late')\n"
    )
    return os.environ | {"PYTHONPATH": str(folder)}


@BOTH
def test_a_signal_during_a_slow_import_ends_at_once(tmp_path, sent):
    with running("train", "--backend", "torch", env=slow_torch(tmp_path, seconds=600)) as child:
        assert child.stdout.readline() == "importing\n"
        child.send_signal(sent)
        out, err = child.communicate(timeout=300)
    assert (child.returncode, out, err) == (CODES[sent], "", "")


@pytest.mark.slow
def test_a_job_that_ignores_ctrl_c_goes_on(tmp_path):
    ignoring = ("sh", "-c", 'trap "" INT; exec "$@"', "sh")
    environment = slow_torch(tmp_path, seconds=1)
    with running("train", "--backend", "torch", before=ignoring, env=environment) as child:
        assert child.stdout.readline() == "importing\n"
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=300)
    assert child.returncode == 3
    assert "too late" in err


@BOTH
def test_an_interrupted_run_saves_its_whole_epochs(tmp_path, sent):
    folder = tmp_path / "run"
    with running("train", "--epochs", 1_000_000, "--output", folder) as child:
        assert child.stdout.readline().startswith("epoch   1/")
        child.send_signal(sent)
        out, err = child.communicate(timeout=300)
    assert child.returncode == CODES[sent]
    assert "Traceback" not in err
    assert "interrupted after" in err
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["epochs"] == len((folder / "metrics.jsonl").read_text().splitlines()) >= 1
    assert "test accuracy" in out
    assert np.isfinite(load_file(folder / "model.safetensors")["0.W"]).all()


@pytest.mark.slow
def test_ctrl_c_within_an_epoch_keeps_its_steps(command, tmp_path):
    """In the first one, and without a checkpoint before."""
    run, environment = tmp_path / "run", compiling(tmp_path, seconds=3, call=6)
    options = ("--backend", "glass", "--batch-size", 16, "--epochs", 1)
    with running("train", *options, "--output", run, env=environment) as child:
        assert child.stdout.readline() == "compiling\n"
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=300)
    assert child.returncode == 130
    assert err.endswith("interrupted after 0 whole epochs\n")
    (checkpoint,) = (run / "checkpoints").iterdir()
    assert int(checkpoint.stem) == 6
    outcome = command("train", "--quiet", "--resume", run, "--backend", "numpy")
    assert (outcome.code, outcome.err) == (0, "")  # no word of a beginning
    assert json.loads((run / "summary.json").read_text())["epochs"] == 1


def test_a_second_signal_does_not_wait_for_the_compiler(tmp_path):
    environment = compiling(tmp_path, seconds=600)
    with running("train", "--backend", "glass", env=environment) as child:
        assert child.stdout.readline() == "compiling\n"
        child.send_signal(signal.SIGINT)
        assert "interrupt again" in child.stderr.readline()
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=300)
    assert (child.returncode, out, err) == (130, "", "")


def test_a_closed_pipe_is_not_a_failed_comparison():
    with running("--help") as child:
        child.stdout.close()
        assert child.stderr.read() == ""
        assert child.wait(timeout=300) == 141


@pytest.mark.slow
def test_a_closed_pipe_does_not_lose_the_training(tmp_path):
    with running("train", "--epochs", 1_000_000, "--output", tmp_path / "run") as child:
        assert child.stdout.readline().startswith("epoch   1/")
        child.stdout.close()
        assert child.stderr.read() == ""
        assert child.wait(timeout=300) == 141
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert 1 <= summary["epochs"] == len(lines) < 1000
    assert (tmp_path / "run" / "certificate.json").exists()


INTERRUPTED_BY_AN_IMPORT = """
import os, signal, sys

class Hook:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["INTERRUPT_AT"]:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Hook())
"""
LATER_IMPORTS = (".app", ".options")


@pytest.mark.parametrize(
    "at",
    [
        "numpy",
        *(
            pytest.param(f"pluggable_mlp.cli{name}", marks=pytest.mark.slow)
            for name in LATER_IMPORTS
        ),
    ],
)
def test_no_import_shows_a_traceback(tmp_path, at):
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTED_BY_AN_IMPORT)
    env = os.environ | {"PYTHONPATH": str(tmp_path), "INTERRUPT_AT": at}
    with running("backends", env=env) as child:
        out, err = child.communicate(timeout=300)
    assert (child.returncode, out, err) == (130, "", "")


# Windows has none of these (Python 3.11), and its pipes may block where signals are written.
ELSEWHERE = """
import fcntl, os, signal, sys
take = signal.set_wakeup_fd
def set_wakeup_fd(descriptor, **settings):
    if descriptor >= 0:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_NONBLOCK)
    return take(descriptor, **settings)
signal.set_wakeup_fd = set_wakeup_fd
for name in "set_blocking", "sched_getaffinity", "register_at_fork", "mkfifo", "getuid", "fork":
    if hasattr(os, name):
        delattr(os, name)
sys.modules["fcntl"] = sys.modules["resource"] = None
from pluggable_mlp.cli import main
main()
"""


@pytest.mark.slow
def test_commands_need_no_functions_of_posix(tmp_path):
    for arguments in (
        ["train", "--quiet", "--epochs", "1", "--output", "run"],
        ["train", "--resume", "run", "--epochs", "2"],
        ["verify", "run"],
    ):
        done = subprocess.run(
            [sys.executable, "-c", ELSEWHERE, *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run/summary.json").read_text())["epochs"] == 2
