"""Training on several processes: who else holds a part of each batch.

`communicator.py` has the interface, `mpi.py` MPI; what is computed where is decided by the
namespace `namespaces/sharded`.
"""

from pluggable_mlp.distributed.communicator import Communicator
from pluggable_mlp.distributed.mpi import MPI

__all__ = ["MPI", "Communicator"]
