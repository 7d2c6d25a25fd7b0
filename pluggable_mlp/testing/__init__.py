"""The conformance kit: does a backend keep its contract, and how far can it be relied on?

It is for authors of plug-ins.  A backend is graded: it *runs* if it transfers arrays, has the
standard's dtypes and trains networks; it *agrees within bounds* if it also follows IEEE 754 and its
training steps lie within derived bounds around NumPy's; it has the *same bits as the recordings* if
runs in reproducible arithmetic also have the recorded hashes.
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
