"""Processes that fail, and the program of the examples.

Of the command line: tests/cli/test_ended_processes.py.
"""

import re

from tests.distributed.processes import mpiexec, together

BEGIN = """
import threading
import numpy as np
from pluggable_mlp import MLP, get_backend, train
from pluggable_mlp.distributed.communicators import MPI
MPI(time_limit=1000.0)  # for the beginning
communicator = MPI(time_limit={limit})
def fail(epoch):
    if communicator.rank == 1 and epoch.epoch == 2:
        {failure}
train(MLP([4, 3]), np.eye(4), np.array([0, 1, 2, 0]), backend=get_backend("numpy"), epochs=100000,
      communicator=communicator, callbacks=[fail])
"""


def failed(failure, limit=1000):
    """Return the exit code and standard error of processes of which one fails, not by the limit."""
    done = mpiexec(3, "-c", BEGIN.format(failure=failure, limit=limit), timeout=300)
    return done.returncode, done.stderr


def test_an_error_of_one_process_ends_all():
    code, said = failed("raise OSError('the disk is full')")
    assert code == 1
    assert "OSError: the disk is full" in said
    assert "process 1 of 3 failed; all processes end" in said


def test_a_process_that_does_not_come_ends_all():
    code, said = failed("threading.Event().wait()", limit=1)
    assert code == 3
    assert re.search(r"process \d of 3 waited for 1 s for another process", said)


def test_a_process_that_never_begins_ends_all():
    begin = "from pluggable_mlp import MPI; MPI(time_limit=1)"
    done = together((1, "-c", "raise SystemExit(3)"), (1, "-c", begin), timeout=300)
    assert done.returncode == 3
    assert done.stderr == (
        "process 1 waited for 1 s for another process, which has failed or hangs; "
        "all processes end\n"
    )


def test_the_example_has_the_bits_of_one_process():
    said = [mpiexec(count, "examples/mpi_training.py").stdout for count in (1, 2)]
    assert len(said[0].split()) == 5
    assert said[1] == said[0].replace("1 processes", "2 processes")
