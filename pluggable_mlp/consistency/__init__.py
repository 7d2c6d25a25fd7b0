"""Comparing backends: do they agree, and where do they first differ?

`compare.py` trains on several backends, with a run of `runs.py` on each, which divides steps into
units; `comparators.py` checks differences against the bounds of `namespaces/bounded`, and
`report.py` contains the result.
"""
