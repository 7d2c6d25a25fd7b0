"""The bounded namespace, in which array-API code returns results with bounds on rounding errors.

`array.py` has the arrays and the rules of + - * / **, `elementwise.py` and `namespace.py` those of
the functions.  Everything is computed on the host, with NumPy.
"""
