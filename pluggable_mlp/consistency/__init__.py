"""Comparison of backends: whether they agree, and where they first differ.

`bounds.py` holds differences to the bounds of `namespaces/bounded`; `units.py` cuts a training step
into units that run by themselves;
`compare.py` trains on several backends, with a run of `runs.py` on each; `comparators.py` compares
the runs, and `report.py` contains the result.
"""

from pluggable_mlp.consistency.bounds import (
    difference_in_ulps,
    part_of_bound,
    sharpness,
)
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
