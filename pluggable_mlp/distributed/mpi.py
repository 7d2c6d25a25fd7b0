"""MPI, by mpi4py: processes of one machine or of many, started with `mpiexec`."""

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from threading import Thread
from typing import Any, NoReturn, TypeVar

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.backends import Backend
from pluggable_mlp.distributed.communicator import Operation
from pluggable_mlp.registry import as_number

__all__ = ["MPI", "launched_rank"]

Value = TypeVar("Value")

_STDERR = 2

UNCAUGHT, LATE = 1, 3
"""Exit codes of all processes where one raises an error that nothing catches, or does not come."""

_PATIENCE = 2.0
"""For so many seconds a process that failed waits for others that may have failed alike."""

_SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MPI_LOCALNRANKS", "SLURM_STEP_NUM_TASKS")
"""Environment variables in which launchers of MPI libraries say how many processes there are."""
_RANKS = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID")
"""Those in which they say which of them this one is."""


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

    See Also
    --------
    NCCL
    torch.nn.parallel.DistributedDataParallel

    Examples
    --------
    >>> from pluggable_mlp import MPI  # in each process of: mpiexec -n 4 python script.py
    >>> train(mlp, *data.train, backend=backend, communicator=MPI())  # doctest: +SKIP
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
        self._told: list[Any] = []  # messages that are on their way
        Thread(target=self._watch, name="time limit of MPI", daemon=True).start()
        self._failures = self._within_limit(self._world.Dup)
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
        machine = self._within_limit(lambda: self._world.Split_type(self._of_machine))
        rank = int(machine.Get_rank())
        machine.Free()
        return rank

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
                self.end(
                    f"process {self.rank} of {self.size} waited for {self._limit:g} s for another "
                    "process, which has failed or hangs; all processes end",
                    LATE,
                )

    def _fail(self, report: Callable[..., Any], *error: Any) -> None:
        """Report an error that nothing caught, and end all processes."""
        try:
            report(*error)
        finally:
            self.end(f"process {self.rank} of {self.size} failed; all processes end", UNCAUGHT)

    def wait(self) -> None:
        """Wait until all processes call this, however long one takes."""
        self._world.Barrier()

    def announce_failure(self) -> None:
        """Tell the other processes, once, that this one fails: it may take long to end."""
        if not self._told:
            others = (rank for rank in range(self.size) if rank != self.rank)
            self._told = [self._failures.isend(None, rank) for rank in others]

    def all_fail(self) -> bool:
        """Return whether all processes fail: each that does asks, the first ones for some seconds.

        The processes with other numbers wait longer than process 0, so that one of them reports
        what all have met.
        """
        self.announce_failure()
        missing = self.size - 1
        end = time.monotonic() + _PATIENCE * (1 + bool(self.rank))
        while missing:
            if self._failures.iprobe():
                self._failures.recv()
                missing -= 1
            elif time.monotonic() > end:
                return False
            else:
                time.sleep(0.01)
        return True

    def end(self, why: str, code: int) -> NoReturn:
        """End all processes with an exit code, and say why on standard error."""
        try:  # there may be no standard error
            os.write(_STDERR, f"{why}\n".encode())
            time.sleep(0.5)  # until the launcher has passed it on
            os.dup2(os.open(os.devnull, os.O_WRONLY), _STDERR)  # the library has its own words
        finally:
            self._world.Abort(code)
            os._exit(code)


def launched_rank() -> int:
    """Return the number of this process, as the launcher says it; 0 where there is none."""
    found = (os.environ.get(name, "") for name in _RANKS)
    return next((int(rank) for rank in found if rank.isdecimal()), 0)


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
    if not any(name in os.environ for name in (*_SIZES, *_RANKS)):
        raise RuntimeError(
            "this process was not started by mpiexec; write mpiexec -n 4, for four processes, "
            "before the command"
        )
