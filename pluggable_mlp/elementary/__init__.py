"""Elementary functions of a library's arrays, in operations that IEEE 754 fixes.

Each family has a file, and `common.py` is what they share.  Nothing here depends on namespaces, or
on arrays other than a library's.
"""
