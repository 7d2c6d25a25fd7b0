"""Elementary functions of a library's arrays, in operations that IEEE 754 fixes.

One file for each family, with the polynomials and tables that they are made of, and `rounding.py`
with what all of them do to numbers that are too small to keep.  Nothing here knows of namespaces,
nor of arrays other than a library's.
"""
