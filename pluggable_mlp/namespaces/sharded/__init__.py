"""A namespace whose arrays may be cut along one axis over the processes of a communicator.

Formulas run on it as they stand.  A `ShardedArray` holds this process's part of an array, and knows
the axis that is cut, if any: the batch.  `shape` is that of the whole.

Arithmetic is that of the namespace within.  Over a reproducible one, the bits are those of one
process: products are exact until their one rounding (`reproducible/shared_products.py`), and the
terms of sums are gathered first, since their order determines the bits.
"""

from pluggable_mlp.namespaces.sharded.array import Layout, ShardedArray, ShardingError, wholes_of
from pluggable_mlp.namespaces.sharded.namespace import ShardedNamespace

__all__ = ["Layout", "ShardedArray", "ShardedNamespace", "ShardingError", "wholes_of"]
