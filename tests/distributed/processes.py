"""Programs on several processes, by mpiexec."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def mpiexec(count, *arguments, timeout=300):
    """Return the finished program of Python, run on so many processes."""
    pytest.importorskip("mpi4py")
    path = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if path is None:
        pytest.skip("there is no mpiexec")
    return subprocess.run(
        [path, "-n", str(count), sys.executable, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def on_processes(count, *arguments):
    """Return what program.py prints, run on so many processes."""
    done = mpiexec(count, "-m", "tests.distributed.program", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
