"""Communicators, which connect the processes of one training: their interface, MPI and NCCL.

MPI, by mpi4py, connects processes on one machine or many, started with `mpiexec`.  NCCL, by CuPy,
also gives each an NVIDIA GPU; it is written for CuPy 14, and untried on GPUs.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.arrays.shortcuts import backend_context
from pluggable_mlp.backends import Backend, get_backend
from pluggable_mlp.distributed.process import Process, this_process
from pluggable_mlp.fields import Positive, convert

_BACKEND = "cupy"
"""The backend whose arrays NCCL moves."""

Operation: TypeAlias = Literal["sum", "max"]
Value = TypeVar("Value")


class Communicator(Protocol):
    """Connects the processes of one training.

    Every method is called by all processes, in the same order.

    Attributes
    ----------
    rank : int
        The index of this process, from 0.
    size : int
        The number of processes.
    """

    rank: int
    size: int

    def all_reduce(self, x: Array, operation: Operation, *, backend: Backend) -> Array:
        """Return the sum or the maximum, element by element, of the `x` of all processes.

        Parameters
        ----------
        x : array
            An array of the backend, with the same shape and real dtype, not bool, on all processes.
        operation : {"sum", "max"}
            Sums are added in any order; the result has the same bits on all processes.
        backend : Backend
        """

    def all_gather(self, value: Value) -> list[Value]:
        """Return the values of all processes, in the order of their ranks."""


class MPI:
    """The processes that `mpiexec` started, as a `Communicator`.

    Arrays go through host memory.  An uncaught error ends all processes.

    Parameters
    ----------
    time_limit : float, default 600.0
        How many seconds an exchange, or the start, may wait for another process; after that all
        processes end with a message, since one has failed or hangs.

    Attributes
    ----------
    process : Process
        Ends all processes together; all communicators share it.

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
        self._limit = convert("time_limit", time_limit, Positive)
        self.process: Process = this_process()
        self.process.join(self._limit)
        self.rank: int = self.process.rank
        self.size: int = self.process.size
        mpi = self.process.mpi
        self._world, self._operations = mpi.COMM_WORLD, {"sum": mpi.SUM, "max": mpi.MAX}

    def all_reduce(self, x: Array, operation: Operation, *, backend: Backend) -> Array:
        """See `Communicator.all_reduce`."""
        host = np.array(backend.to_numpy(x), order="C")  # a copy, to be overwritten
        in_place, op = self.process.mpi.IN_PLACE, self._operations[operation]
        self._within_limit(lambda: self._world.Allreduce(in_place, host, op=op))
        return backend.asarray(host)

    def all_gather(self, value: Value) -> list[Value]:
        """See `Communicator.all_gather`; values are pickled."""
        return self._within_limit(lambda: self._world.allgather(value))

    def wait(self) -> None:
        """Wait until all processes call this, however long one takes."""
        self._world.Barrier()

    def _within_limit(self, exchange: Callable[[], Value]) -> Value:
        return self.process.within(self._limit, exchange)


class NCCL(MPI):
    """The processes that `mpiexec` started, each with a GPU, as a `Communicator`.

    CuPy arrays go from GPU to GPU; everything else goes by MPI.  It was written for CuPy 14 and
    has not been tried on GPUs yet.

    Parameters
    ----------
    device : int, optional
        The GPU of this process; by default the number of this process among those of its machine.
    time_limit : float, default 600.0
        As for `MPI`, for exchanges by MPI and for the start.

    Attributes
    ----------
    device : int
        Arrays must be of the backend `get_backend(f"cupy:{device}")`.

    Raises
    ------
    BackendUnavailable
        If CuPy or the GPU is not available.
    ModuleNotFoundError
        If NCCL, mpi4py or an MPI library is not installed.
    RuntimeError
        As for `MPI`; or if another process lacks one of these.

    See Also
    --------
    MPI

    Examples
    --------
    >>> from pluggable_mlp import NCCL  # in each process of: mpiexec -n 4 python script.py
    >>> communicator = NCCL()  # doctest: +SKIP
    >>> backend = get_backend(f"cupy:{communicator.device}")  # doctest: +SKIP
    """

    def __init__(self, *, device: int | None = None, time_limit: float = 600.0) -> None:
        super().__init__(time_limit=time_limit)
        of_machine = self.process.mpi.COMM_TYPE_SHARED  # all call this, whatever device they name
        machine = self._within_limit(lambda: self._world.Split_type(of_machine))
        self.device: int = machine.Get_rank() if device is None else device
        machine.Free()
        fault: Exception | None = None
        try:
            make_group = _with_gpu(self.device)
        except Exception as error:  # the others would wait for this process
            fault = error
        faults = self.all_gather(fault and str(fault))
        if fault is not None:
            raise fault
        for rank, words in enumerate(faults):
            if words is not None:
                raise RuntimeError(f"process {rank} of {self.size}: {words}")
        self._group = self._within_limit(lambda: make_group(self.size, self.rank, use_mpi=True))

    def all_reduce(self, x: Array, operation: Operation, *, backend: Backend) -> Array:
        """See `Communicator.all_reduce`; the arrays are contiguous ones of CuPy."""
        total = backend.xp.empty_like(x)
        self._group.all_reduce(x, total, op=operation)
        return total


def _with_gpu(device: int) -> Callable[..., Any]:
    """Return the function that makes a group of processes, each with its GPU."""
    backend = get_backend(f"{_BACKEND}:{device}")  # says why it is not here
    try:
        from cupyx.distributed import init_process_group
    except ImportError as error:
        raise ModuleNotFoundError(
            "NCCL needs a library beside CuPy: pip install nvidia-nccl-cu13 (or -cu12)"
        ) from error

    def make_group(*arguments: int, **settings: bool) -> Any:
        with backend_context(backend):  # NCCL takes the current device
            return init_process_group(*arguments, **settings)

    return make_group


def backend_of_process(spec: str, communicator: Communicator | None) -> Backend:
    """Return the backend of a name; for CuPy with NCCL, that of this process's GPU.

    Raises
    ------
    ValueError, BackendUnavailable
        As for `get_backend`.
    """
    if isinstance(communicator, NCCL) and spec.partition(":")[0] == _BACKEND:
        spec = f"{_BACKEND}:{communicator.device}"
    return get_backend(spec)


def check_moves(communicator: Communicator, backend: Backend) -> None:
    """Raise a ValueError if the communicator is `NCCL` and cannot move arrays of this backend."""
    if not isinstance(communicator, NCCL):
        return
    if backend.name != _BACKEND:
        raise ValueError(
            f"backend is {backend.name}, but NCCL moves arrays of CuPy alone; choose {_BACKEND} "
            "(--backend cupy), or MPI (--distributed mpi)"
        )
    device = get_backend(f"{_BACKEND}:{communicator.device}").device
    if backend.device != device:
        raise ValueError(
            f"backend is {_BACKEND} on {backend.device}, expected {device}, the GPU that this "
            f"process has by NCCL(); use get_backend(f'{_BACKEND}:{{communicator.device}}')"
        )


COMMUNICATORS: Mapping[str, type[MPI]] = {"mpi": MPI, "nccl": NCCL}
"""The communicators by their names on the command line."""
