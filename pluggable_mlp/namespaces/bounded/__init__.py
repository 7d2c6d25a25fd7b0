"""The bounded namespace: array-API code that gives each result with a bound on its rounding error.

`array.py` has the arrays and the rules of + - * / **, `elementwise.py` and `namespace.py` those of
the functions.  All computations are on the host, with NumPy.
"""

from pluggable_mlp.namespaces.bounded.array import Bounded, NoBoundError, Precision, exact
from pluggable_mlp.namespaces.bounded.namespace import BoundedNamespace

__all__ = ["Bounded", "BoundedNamespace", "NoBoundError", "Precision", "exact"]
