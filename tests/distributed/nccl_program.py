"""A training by NCCL, on the emulated card, by a group of NCCL that goes by MPI."""

import sys
from types import ModuleType
from unittest.mock import patch

import numpy as np
import pytest

from pluggable_mlp import NCCL, get_backend
from pluggable_mlp.backends import BackendUnavailable, available_backends
from pluggable_mlp.distributed.communicators import backend_of_process
from tests.distributed.program import summary, training

BACKEND = "cupy:1"


class Group:
    """What `init_process_group` returns, of the calls that are made."""

    def __init__(self, n_devices, rank, *, use_mpi):
        import cupy
        from mpi4py import MPI

        assert use_mpi
        assert cupy.cuda.Device().id == 1
        self.mpi, self.world = MPI, MPI.COMM_WORLD
        assert (n_devices, rank) == (self.world.Get_size(), self.world.Get_rank())
        self.calls = 0

    def all_reduce(self, in_array, out_array, op="sum", stream=None):
        """Write the sum or the maximum of all into an array of CuPy."""
        assert stream is None
        backend = get_backend(BACKEND)
        host = np.array(backend.to_numpy(in_array))
        operation = {"sum": self.mpi.SUM, "max": self.mpi.MAX}[op]
        self.world.Allreduce(self.mpi.IN_PLACE, host, operation)
        out_array[...] = backend.asarray(host)
        self.calls += 1


def main():
    """Train, and print whether the result is that of one process."""
    import cupy
    from mpi4py import MPI

    available_backends()  # imports CuPy's backend: what is imported within the patch is forgotten
    distributed = ModuleType("cupyx.distributed")
    distributed.init_process_group = Group
    with patch.dict(sys.modules, {"cupyx.distributed": distributed}):
        if MPI.COMM_WORLD.Get_rank() == 0:
            reason = pytest.raises(RuntimeError, match="process 1 of 2: .* CUDA device 2")
        else:
            reason = pytest.raises(BackendUnavailable, match="no CUDA device 2: this machine has 2")
        with reason:  # on all, before the group is made
            NCCL(device=2 * MPI.COMM_WORLD.Get_rank(), time_limit=20.0)
        communicator = NCCL(device=1, time_limit=60.0)
    assert (communicator.device, cupy.cuda.Device().id) == (1, 0)  # as it was
    assert backend_of_process("cupy", communicator).device.endswith("1")
    settings = {"arithmetic": "reproducible", "dtype": "float32"}
    for backend, reason in {
        get_backend("numpy"): "backend is numpy, but NCCL moves arrays of CuPy alone",
        get_backend("cupy:0"): "backend is cupy on cuda:0, expected cuda:1, the GPU that this",
    }.items():
        with pytest.raises(ValueError, match=reason):
            training("adam", communicator=communicator, backend=backend, **settings)
    settings["backend"] = backend = get_backend(BACKEND)
    many = summary(training("adam", communicator=communicator, **settings), backend)
    assert communicator._group.calls
    assert many == summary(training("adam", **settings), backend)
    if communicator.rank == 0:
        print("the same bits")


if __name__ == "__main__":
    main()
