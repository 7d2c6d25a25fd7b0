"""MPI, by mpi4py: processes of one machine or of many, started with `mpiexec`."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.backends import Backend
from pluggable_mlp.distributed.communicator import Operation
from pluggable_mlp.distributed.process import process_within
from pluggable_mlp.registry import as_number

Value = TypeVar("Value")


class MPI:
    """The processes that `mpiexec` started, as a `Communicator`.

    Arrays travel through the memory of the host.  An error that nothing catches ends all processes.

    Parameters
    ----------
    time_limit : float, default 600.0
        For how many seconds an exchange, and the beginning, may wait for another process.  Then all
        processes are ended with a message: one of them has failed or hangs.

    Attributes
    ----------
    process : Process
        By which all end together; that of every communicator.

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
        self._limit = as_number("time_limit", time_limit, above=0.0)
        self.process = process_within(self._limit)
        self.rank, self.size = self.process.rank, self.process.size
        mpi = self.process.mpi
        self._world, self._operations = mpi.COMM_WORLD, {"sum": mpi.SUM, "max": mpi.MAX}

    def all_reduce(self, x: Array, operation: Operation, *, backend: Backend) -> Array:
        """See `Communicator.all_reduce`."""
        host = np.array(backend.to_numpy(x), order="C")  # a copy, to be written over
        in_place, op = self.process.mpi.IN_PLACE, self._operations[operation]
        self._within_limit(lambda: self._world.Allreduce(in_place, host, op=op))
        return backend.asarray(host)

    def all_gather(self, value: Value) -> list[Value]:
        """See `Communicator.all_gather`; values are pickled."""
        return self._within_limit(lambda: self._world.allgather(value))

    def wait(self) -> None:
        """Wait until all processes call this, however long one takes."""
        self._world.Barrier()

    def _rank_on_machine(self) -> int:
        """Return the number of this process among those that share its memory."""
        of_machine = self.process.mpi.COMM_TYPE_SHARED
        machine = self._within_limit(lambda: self._world.Split_type(of_machine))
        rank = int(machine.Get_rank())
        machine.Free()
        return rank

    def _within_limit(self, exchange: Callable[[], Value]) -> Value:
        return self.process.within(self._limit, exchange)
