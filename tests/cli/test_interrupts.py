"""Ctrl-C while nothing can be saved, and readers that go away: the end is quick and quiet."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and pipes of POSIX")


def start(*arguments, before=(), **options) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*before, sys.executable, "-m", "pluggable_mlp.cli", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


@pytest.fixture
def slow_torch(tmp_path: Path) -> dict[str, str]:
    """An environment whose PyTorch says that it is being imported, and swallows exceptions."""
    (tmp_path / "torch.py").write_text(
        "import time\n"
        "try:\n"
        "    print('importing', flush=True)\n"
        "    time.sleep(2)\n"
        "except BaseException:\n"
        "    time.sleep(2)\n"
        "raise ImportError('too late')\n"
    )
    return os.environ | {"PYTHONPATH": str(tmp_path)}


def test_ctrl_c_during_a_slow_import_ends_at_once(slow_torch):
    child = start("train", "--backend", "torch", env=slow_torch)
    assert child.stdout is not None
    assert child.stdout.readline() == "importing\n"
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=30)
    assert (child.returncode, out, err) == (130, "", "")


def test_a_job_that_ignores_ctrl_c_goes_on(slow_torch):
    ignoring = ("sh", "-c", 'trap "" INT; exec "$@"', "sh")
    child = start("train", "--backend", "torch", before=ignoring, env=slow_torch)
    assert child.stdout is not None
    assert child.stdout.readline() == "importing\n"
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=30)
    assert child.returncode == 3
    assert "too late" in err


@pytest.mark.parametrize(
    "arguments", [("--help",), ("backends",), ("train", "--epochs", 2), ("train", "--quiet")]
)
def test_a_closed_pipe_is_no_failed_comparison(arguments):
    child = start(*arguments)
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdout.close()
    assert child.stderr.read() == ""
    child.stderr.close()
    assert child.wait(timeout=60) == 141


def test_a_reader_that_goes_away_costs_no_training(tmp_path):
    child = start("train", "--epochs", 1_000_000, "--output", tmp_path / "run")
    assert child.stdout is not None
    assert child.stderr is not None
    assert child.stdout.readline().startswith("epoch   1/")
    child.stdout.close()
    assert child.stderr.read() == ""
    child.stderr.close()
    assert child.wait(timeout=60) == 141
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert 1 <= summary["epochs"] == len(lines) < 1000
    assert (tmp_path / "run" / "certificate.json").exists()


def test_what_is_left_in_the_buffer_is_no_error_either():
    """A short answer meets the closed pipe only when it is flushed."""
    program = (
        "import sys; from pluggable_mlp import cli\n"
        "def app(): sys.stdout.write('short'); sys.exit(0)\n"
        "cli.app = app; cli.main()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
    )
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdout.close()
    assert child.stderr.read() == b""
    child.stderr.close()
    assert child.wait(timeout=60) == 141
