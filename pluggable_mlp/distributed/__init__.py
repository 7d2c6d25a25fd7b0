"""Training on several processes: who else holds a part of each batch.

`communicator.py` has the interface, `mpi.py` MPI, `nccl.py` NCCL; the namespace of
`namespaces/sharded` decides what is computed where.
"""

from collections.abc import Mapping

from pluggable_mlp.distributed.communicator import Communicator
from pluggable_mlp.distributed.mpi import MPI, launched_rank
from pluggable_mlp.distributed.nccl import NCCL, backend_of_process

__all__ = [
    "COMMUNICATORS",
    "MPI",
    "NCCL",
    "Communicator",
    "backend_of_process",
    "launched_rank",
]

COMMUNICATORS: Mapping[str, type[MPI]] = {"mpi": MPI, "nccl": NCCL}
"""By their names on the command line."""
