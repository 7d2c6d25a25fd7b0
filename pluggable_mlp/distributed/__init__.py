"""Training on several processes: who else holds a part of each batch.

`communicators.py` has their interface, MPI and NCCL, `process.py` how processes begin and end
together; the namespace of `namespaces/sharded` decides what is computed where.
"""

from pluggable_mlp.distributed.communicators import (
    COMMUNICATORS,
    MPI,
    NCCL,
    Communicator,
    backend_of_process,
    check_moves,
)

__all__ = [
    "COMMUNICATORS",
    "MPI",
    "NCCL",
    "Communicator",
    "backend_of_process",
    "check_moves",
]
