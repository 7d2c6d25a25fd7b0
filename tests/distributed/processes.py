"""Programs on several processes, by mpiexec."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def find_mpiexec():
    """Return the path of mpiexec, beside Python or on the path; None where there is none."""
    return shutil.which("mpiexec", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")


def command_of(*programs):
    """Return the command that starts programs of Python together: (count, *arguments) of each."""
    pytest.importorskip("mpi4py")
    path = find_mpiexec()
    if path is None:
        pytest.skip("there is no mpiexec")
    command = [path]
    for count, *arguments in programs:
        command += [":"] if len(command) > 1 else []
        command += ["-n", str(count), sys.executable, *map(str, arguments)]
    return command


def together(*programs, timeout=900, **options):
    """Return the finished programs of Python, (count, *arguments) of each, run together."""
    return subprocess.run(
        command_of(*programs),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        **{"cwd": ROOT} | options,
    )


def mpiexec(count, *arguments, **options):
    """Return the finished program of Python, run on so many processes."""
    return together((count, *arguments), **options)


def on_processes(count, *arguments):
    """Return what program.py prints, run on so many processes."""
    done = mpiexec(count, "-m", "tests.distributed.program", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
