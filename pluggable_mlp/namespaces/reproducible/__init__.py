"""The reproducible namespace, in which array-API code gives the same bits on every library.

`reproducible(xp)` is a namespace of the Python array API standard over the library behind `xp`.
Its arrays wrap that library's; operators and functions round as the page
docs/reference/reproducible-namespace.md states, in operations whose results IEEE 754 fixes.
Integer and boolean operations are the library's own.  Functions without a rule are missing, and
raise an AttributeError that names them.

`array.py` has the array, `namespace.py` collects the functions, `coercion.py` checks and converts
operands; `creation.py`, `indexing.py`, `elementwise.py`, `statistical.py`, `linear_algebra.py` and
`integers.py` have the functions, by the chapters of the standard.  Below them, on a library's own
arrays: products (`products.py`, `operand.py`, `splitting.py`, `tiling.py`) and `sums.py`.  The
elementary functions are in `pluggable_mlp.elementary`.
"""
