"""Training on several processes: who else holds a part of each batch.

`communicator.py` has the interface, `mpi.py` MPI, `nccl.py` NCCL, `process.py` how processes begin
and end together; the namespace of `namespaces/sharded` decides what is computed where.
"""

from collections.abc import Mapping

from pluggable_mlp.distributed.communicator import Communicator
from pluggable_mlp.distributed.mpi import MPI
from pluggable_mlp.distributed.nccl import NCCL, backend_of_process, check_moves
from pluggable_mlp.distributed.process import launched_rank

__all__ = [
    "COMMUNICATORS",
    "MPI",
    "NCCL",
    "Communicator",
    "backend_of_process",
    "check_moves",
    "launched_rank",
]

COMMUNICATORS: Mapping[str, type[MPI]] = {"mpi": MPI, "nccl": NCCL}
"""By their names on the command line."""
