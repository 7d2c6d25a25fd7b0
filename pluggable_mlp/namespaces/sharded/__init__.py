"""A namespace whose arrays may be divided along one axis among a communicator's processes.

Formulas run on it unchanged.  A `ShardedArray` holds this process's part of an array, and knows the
axis that is cut, if any: the batch.  `shape` is that of the whole.

The namespace within does the arithmetic.  If it is reproducible, the bits are those of one process:
products are exact until their one rounding (`reproducible/shared_products.py`), and the terms of
sums are gathered first, since their order determines the bits.
"""
