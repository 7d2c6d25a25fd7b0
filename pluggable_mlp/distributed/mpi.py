"""MPI, by mpi4py: processes of one machine or of many, started with `mpiexec`."""

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from threading import Thread
from typing import Any, TypeVar

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.backends import Backend
from pluggable_mlp.distributed.communicator import Operation
from pluggable_mlp.registry import as_number

__all__ = ["MPI"]

Value = TypeVar("Value")

EXIT_CODE = 1
"""Of all processes, where one raises an error that nothing catches, or does not come."""

_SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MPI_LOCALNRANKS", "SLURM_STEP_NUM_TASKS")
"""Environment variables in which launchers of MPI libraries say how many processes there are."""
_LAUNCHED = (*_SIZES, "PMIX_RANK")


class MPI:
    """The processes that `mpiexec` started, as a `Communicator`.

    Arrays travel through the memory of the host.  An error that nothing catches ends all processes.

    Parameters
    ----------
    time_limit : float, default 600.0
        For how many seconds an exchange may wait for another process.  Then all processes are ended
        with a message: one of them has failed or hangs.

    Raises
    ------
    ModuleNotFoundError
        If mpi4py or an MPI library is not installed.
    RuntimeError
        If the processes were not started by the launcher of this MPI library.
    """

    def __init__(self, *, time_limit: float = 600.0) -> None:
        try:
            from mpi4py import MPI as mpi  # noqa: N811 (a module)
        except (ImportError, RuntimeError) as error:  # the latter: no MPI library
            raise ModuleNotFoundError(
                "MPI needs mpi4py and an MPI library: pip install 'pluggable-mlp[mpi]'"
            ) from error
        self._world = mpi.COMM_WORLD
        self._operations = {"sum": mpi.SUM, "max": mpi.MAX}
        self._in_place, self._of_machine = mpi.IN_PLACE, mpi.COMM_TYPE_SHARED
        self.rank, self.size = self._world.Get_rank(), self._world.Get_size()
        _check_launcher(self.size, mpi.get_vendor()[0])
        self._limit = as_number("time_limit", time_limit, above=0.0)
        self._since: float | None = None
        Thread(target=self._watch, name="time limit of MPI", daemon=True).start()
        sys.excepthook = partial(self._fail, sys.excepthook)

    def all_reduce(self, x: Array, operation: Operation, *, backend: Backend) -> Array:
        """See `Communicator.all_reduce`."""
        host = np.array(backend.to_numpy(x), order="C")  # a copy, to be written over
        self._within_limit(
            lambda: self._world.Allreduce(self._in_place, host, op=self._operations[operation])
        )
        return backend.asarray(host)

    def all_gather(self, value: Value) -> list[Value]:
        """See `Communicator.all_gather`; values are pickled."""
        return self._within_limit(lambda: self._world.allgather(value))

    def _rank_on_machine(self) -> int:
        """Return the number of this process among those that share its memory."""
        return int(self._world.Split_type(self._of_machine).Get_rank())

    def _within_limit(self, exchange: Callable[[], Value]) -> Value:
        self._since = time.monotonic()
        try:
            return exchange()
        finally:
            self._since = None

    def _watch(self) -> None:
        """End all processes where an exchange takes longer than the limit."""
        while True:
            time.sleep(min(1.0, self._limit / 4.0))
            since = self._since
            if since is not None and time.monotonic() - since > self._limit:
                self._end(
                    f"process {self.rank} of {self.size} waited for {self._limit:g} s for another "
                    "process, which has failed or hangs"
                )

    def _fail(self, report: Callable[..., Any], *error: Any) -> None:
        """Report an error that nothing caught, and end all processes."""
        try:
            report(*error)
        finally:
            self._end(f"process {self.rank} of {self.size} failed")

    def _end(self, why: str) -> None:
        try:  # there may be no standard error
            sys.stderr.write(f"{why}; all processes end\n")
            sys.stderr.flush()
            time.sleep(0.5)  # until the launcher has passed it on
        finally:
            self._world.Abort(EXIT_CODE)
            os._exit(EXIT_CODE)


def _check_launcher(size: int, library: str) -> None:
    """Raise if `mpiexec` did not start this process, or that of another MPI library did."""
    if size > 1:
        return
    sizes = [int(os.environ[name]) for name in _SIZES if os.environ.get(name, "").isdecimal()]
    if max(sizes, default=0) > 1:
        raise RuntimeError(
            f"mpiexec started {max(sizes)} processes, but {library} "
            "knows of one: two MPI libraries are installed; use the mpiexec of the one that mpi4py "
            "was built for"
        )
    if not any(name in os.environ for name in _LAUNCHED):
        raise RuntimeError(
            "this process was not started by mpiexec: mpiexec -n 4 python program.py"
        )
