"""NCCL, by CuPy: processes with an NVIDIA GPU each.  Written for CuPy 14; untried on GPUs."""

from collections.abc import Callable
from typing import Any

from pluggable_mlp.arrays import Array
from pluggable_mlp.backends import Backend, get_backend
from pluggable_mlp.distributed.communicator import Communicator, Operation
from pluggable_mlp.distributed.mpi import MPI

_BACKEND = "cupy"
"""The arrays of which it moves."""


class NCCL(MPI):
    """The processes that `mpiexec` started, each with a GPU, as a `Communicator`.

    Arrays of CuPy go from GPU to GPU; everything else goes by MPI.  It was written for CuPy 14 and
    has not been tried on GPUs yet.

    Parameters
    ----------
    device : int, optional
        The GPU of this process; by default the number of this process among those of its machine.
    time_limit : float, default 600.0
        As for `MPI`.  It holds for what goes by MPI, and for the beginning.

    Attributes
    ----------
    device : int
        Of which backend arrays have to be: `get_backend(f"cupy:{device}")`.

    Raises
    ------
    BackendUnavailable
        If CuPy or the GPU is not here.
    ModuleNotFoundError
        If NCCL, mpi4py or an MPI library is not installed.
    RuntimeError
        As `MPI`; or if another process lacks one of these.

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
        rank = self._rank_on_machine()  # asked by all processes, whatever device they name
        self.device = rank if device is None else device
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
    """Return what makes a group, on the current device, which is that GPU from here on."""
    get_backend(f"{_BACKEND}:{device}")  # says why it is not here
    try:
        import cupy
        from cupyx.distributed import init_process_group
    except ImportError as error:
        raise ModuleNotFoundError(
            "NCCL needs a library beside CuPy: pip install nvidia-nccl-cu13 (or -cu12)"
        ) from error
    cupy.cuda.Device(device).use()
    make_group: Callable[..., Any] = init_process_group
    return make_group


def backend_of_process(spec: str, communicator: Communicator | None) -> Backend:
    """Return the backend of a name; of CuPy with NCCL, that of the GPU of this process.

    Raises
    ------
    ValueError, BackendUnavailable
        As `get_backend`.
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
