"""Do two backends agree, and where do they first differ?

`bounded.py` and `namespace.py` are arrays that carry a bound on their rounding error;
`bounds.py` runs the network on them; `compare.py` trains on several backends side by side,
`judges.py` judges, `report.py` says what was found.
"""

from pluggable_mlp.consistency.bounds import (
    bounded_arithmetic,
    bounded_gradients,
    difference_in_ulps,
    part_of_bound,
)
from pluggable_mlp.consistency.compare import compare
from pluggable_mlp.consistency.report import Report, format_report

__all__ = [
    "Report",
    "bounded_arithmetic",
    "bounded_gradients",
    "compare",
    "difference_in_ulps",
    "format_report",
    "part_of_bound",
]
