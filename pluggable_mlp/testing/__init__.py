"""The conformance kit: does a backend do what its contract says, and how far can it be relied on?

For authors of plug-ins.  A backend is graded: it *runs* if arrays travel, dtypes are those of the
standard and networks train; it *agrees within bounds* if also its arithmetic is that of IEEE 754
and its training steps lie within derived bounds around NumPy's; it has the *same bits as the
recordings* if also the recorded runs of the reproducible arithmetic have their hashes.
"""

from pluggable_mlp.testing import contract_checks, result_checks  # noqa: F401 (they add checks)
from pluggable_mlp.testing.conformance import (
    Check,
    ConformanceReport,
    Grade,
    Result,
    check_backend,
    parametrize_with_checks,
)

__all__ = [
    "Check",
    "ConformanceReport",
    "Grade",
    "Result",
    "check_backend",
    "parametrize_with_checks",
]
