"""This process among those that MPI's launcher started: beginning and ending together."""

import ctypes
import os
import sys
import time
from collections.abc import Callable
from functools import cache
from threading import Thread
from typing import Any, NoReturn, TypeVar

Value = TypeVar("Value")

_STDERR = 2

UNCAUGHT, LATE = 1, 3
"""Exit codes of all processes if one raises an uncaught error, or is late."""

_PATIENCE = 2.0
"""Seconds that a failed process waits for others that may have failed alike."""
_PACE = 0.25
"""Seconds between two checks whether an exchange takes too long."""

_SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MPI_LOCALNRANKS", "SLURM_STEP_NUM_TASKS")
"""Environment variables in which launchers of MPI libraries give the number of processes."""
_RANKS = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID")
"""Environment variables in which they give the number of this process."""


class Process:
    """The state that all communicators of this process share.

    Attributes
    ----------
    mpi : module
        `mpi4py.MPI`.
    rank, size : int
        The index of this process, and the number of processes.

    Raises
    ------
    ModuleNotFoundError
        If mpi4py or an MPI library is not installed.
    """

    rank: int
    size: int

    def __init__(self) -> None:
        self.mpi: Any = _mpi4py()
        self._name = f"process {launched_rank()}"
        # For exchanges under way, in any thread: the seconds allowed, and the deadline.
        self._waiting: list[tuple[float, float]] = []
        self._failures: Any = None  # a communicator for the messages of processes that fail
        self._told: list[object] = []  # those that are on their way
        Thread(target=self._watch, name="time limit of MPI", daemon=True).start()

    def join(self, limit: float) -> None:
        """Begin with the other processes, if this one has not yet.

        Raises
        ------
        RuntimeError
            If they were not started by the launcher of this MPI library.
        """
        if self._failures is not None:
            return
        world = self.mpi.COMM_WORLD
        if not self.mpi.Is_initialized():
            self.within(limit, self._initialize)
        self.rank, self.size = world.Get_rank(), world.Get_size()
        _check_launcher(self.size, self.mpi.get_vendor()[0])
        self._name = f"process {self.rank} of {self.size}"
        self._failures = self.within(limit, world.Dup)
        self._report, sys.excepthook = sys.excepthook, self._fail

    def _initialize(self) -> None:
        """Initialize MPI without the lock of the interpreter, so that `_watch` goes on."""
        library = ctypes.CDLL(self.mpi.__file__)
        if not hasattr(library, "MPI_Init_thread"):  # Windows does not look into its libraries
            self.mpi.Init_thread()
            return
        library.MPI_Init_thread(None, None, self.mpi.THREAD_MULTIPLE, ctypes.byref(ctypes.c_int()))
        self.mpi.COMM_WORLD.Set_errhandler(self.mpi.ERRORS_RETURN)  # mpi4py raises them

    def within(self, limit: float, exchange: Callable[[], Value]) -> Value:
        """Return the result of an exchange; if it takes more seconds, end all processes."""
        waiting = limit, time.monotonic() + limit
        self._waiting.append(waiting)
        try:
            return exchange()
        finally:
            self._waiting.remove(waiting)

    def _watch(self) -> None:
        while True:
            time.sleep(_PACE)
            now = time.monotonic()
            late = [limit for limit, end in self._waiting.copy() if now > end]
            if late:
                self.end(
                    f"{self._name} waited for {late[0]:g} s for another process, which has "
                    "failed or hangs; all processes end",
                    LATE,
                )

    def _fail(self, *error: Any) -> None:
        """Report an uncaught error, and end all processes."""
        try:
            self._report(*error)
        finally:
            self.end(f"{self._name} failed; all processes end", UNCAUGHT)

    def announce_failure(self) -> None:
        """Tell the other processes, once, that this one fails: it may take long to end."""
        if not self._told:
            ranks = (rank for rank in range(self.size) if rank != self.rank)
            self._told = [self._failures.isend(None, rank) for rank in ranks]

    def all_fail(self) -> bool:
        """Return whether all processes fail; each one that fails asks, waiting some seconds.

        Other processes wait longer than process 0, so that only one reports an error that all
        have met.
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
            if self.mpi.Is_initialized():
                self.mpi.COMM_WORLD.Abort(code)
        finally:
            os._exit(code)


@cache
def this_process() -> Process:
    """Return this process: MPI begins and ends once in it."""
    return Process()


def launched_rank() -> int:
    """Return the launcher's number for this process; 0 without a launcher."""
    ranks = (os.environ.get(name, "") for name in _RANKS)
    return next((int(rank) for rank in ranks if rank.isdecimal()), 0)


def _mpi4py() -> Any:
    """Return `mpi4py.MPI`, which has not initialized MPI unless it was imported before."""
    try:
        import mpi4py

        mpi4py.rc(initialize=False, finalize=True)
        from mpi4py import MPI as mpi  # noqa: N811 (a module)
    except (ImportError, RuntimeError) as error:  # the latter: no MPI library
        raise ModuleNotFoundError(
            "MPI needs mpi4py and an MPI library: pip install 'pluggable-mlp[mpi]'"
        ) from error
    return mpi


def _check_launcher(size: int, library: str) -> None:
    """Raise if no `mpiexec`, or that of another MPI library, started this process."""
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
