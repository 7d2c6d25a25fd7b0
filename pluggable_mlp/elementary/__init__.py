"""Elementary functions of a library's arrays, in operations that IEEE 754 fixes.

Each family has a file; polynomials and tables have their own, and `rounding.py` has the common
treatment of numbers that are too small to keep.  Nothing here depends on namespaces, or on arrays
other than a library's.
"""
