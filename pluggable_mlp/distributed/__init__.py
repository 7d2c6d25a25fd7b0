"""Training on several processes: who else holds a part of each batch.

`communicator.py` has the interface, `mpi.py` MPI, `nccl.py` NCCL; the namespace of
`namespaces/sharded` decides what is computed where.
"""

from pluggable_mlp.distributed.communicator import Communicator
from pluggable_mlp.distributed.mpi import MPI
from pluggable_mlp.distributed.nccl import NCCL

__all__ = ["MPI", "NCCL", "Communicator"]
