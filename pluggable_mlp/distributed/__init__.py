"""Training on several processes, each of which holds a part of each batch.

`communicators.py` has their interface, MPI and NCCL; `process.py` starts and ends processes
together; the namespace of `namespaces/sharded` decides what is computed where.
"""
