"""Comparing backends: do they agree, and where do they first differ?

`compare.py` trains on several backends, with a run of `runs.py` on each, which divides steps into
units; `comparators.py` checks differences against the bounds of `namespaces/bounded`, and
`report.py` contains the result.
"""

from pluggable_mlp.consistency.comparators import difference_in_ulps, part_of_bound, sharpness
from pluggable_mlp.consistency.compare import compare
from pluggable_mlp.consistency.report import Report, format_report

__all__ = [
    "Report",
    "compare",
    "difference_in_ulps",
    "format_report",
    "part_of_bound",
    "sharpness",
]
