"""How far a right result may be from the exact one: the formulas, run on arrays with bounds.

`pluggable_mlp.consistency` derives the bounds, rule by rule; each rule is tested against exact
arithmetic there.  Here they make the tolerance of every component of the tables, without one that
is chosen by hand.
"""

import numpy as np

from tests.consistency.libraries import BoundedLibrary, InArithmetic

__all__ = ["BoundedLibrary", "InArithmetic", "assert_near", "with_bounds"]


def with_bounds(compute, dtype):
    """The arrays of compute(library) on bounded arrays, by name."""
    with np.errstate(all="ignore"):  # of bounds, not of values
        return compute(BoundedLibrary(dtype))


def assert_near(actual, exact, bounded, also=0.0):
    """|actual - exact| is at most the bound of the error; `also` is what `exact` may be off."""
    actual, exact = np.asarray(actual, dtype=np.float64), np.asarray(exact, dtype=np.float64)
    assert actual.shape == exact.shape
    # The bound itself is computed in float64, and so is `exact` rounded to it.
    allowed = np.asarray(bounded.error) * (1.0 + 2.0**-20) + 2.0**-52 * abs(exact) + also
    difference = abs(actual - exact)
    assert (difference <= allowed).all(), np.max(difference / np.maximum(allowed, 1e-300))
