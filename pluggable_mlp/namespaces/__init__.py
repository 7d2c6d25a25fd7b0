"""Namespaces: what the operations of plain array-API code mean.

A namespace of the array API standard over wrapped arrays changes how the same lines round, and
nothing else.  Formulas belong elsewhere; here stand only the operations.
"""

from pluggable_mlp.namespaces.reproducible import ReproducibleArray, reproducible, to_native

__all__ = ["ReproducibleArray", "reproducible", "to_native"]
