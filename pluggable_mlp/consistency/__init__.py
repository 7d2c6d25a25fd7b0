"""Do two backends agree, and where do they first differ?

`bounded.py` and `namespace.py` are arrays that carry a bound on their rounding error, `bounds.py`
holds differences to it; `units.py` cuts a training step into units that run by themselves;
`compare.py` trains on several backends, each of them a side of `sides.py`; `bound_judge.py` and
`judges.py` judge, `report.py` keeps what was found and `report_text.py` says it.
"""

from pluggable_mlp.consistency.bounds import (
    difference_in_ulps,
    part_of_bound,
    sharpness,
)
from pluggable_mlp.consistency.compare import compare
from pluggable_mlp.consistency.namespace import BoundedNamespace
from pluggable_mlp.consistency.report import Report
from pluggable_mlp.consistency.report_text import format_report

__all__ = [
    "BoundedNamespace",
    "Report",
    "compare",
    "difference_in_ulps",
    "format_report",
    "part_of_bound",
    "sharpness",
]
