"""What two backends may differ by, how much of it they do, and which faults that would show.

Shapes: two NumPy arrays of one shape, with the `Bounded` array of that shape.  Only the host
computes here.
"""

import math
from typing import NamedTuple

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.consistency.bounded import Bounded

__all__ = [
    "Sharpness",
    "difference_in_ulps",
    "part_of_bound",
    "sharpness",
]


def part_of_bound(a: Array, b: Array, bounded: Bounded) -> float:
    """Return the largest |a - b| / bound over the elements of two NumPy arrays of one shape.

    At most 1 where both are within their bound.  Where the bound is infinite nothing is known,
    and two numbers never disagree (`sharpness` tells how much is known); NaN or infinity in
    one of the two alone, another shape and another dtype are infinitely far always.
    """
    difference = _difference(a, b)
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = np.where(difference == 0.0, 0.0, difference / bounded.spread)
    parts = np.where(np.isinf(difference), np.inf, parts)
    return float(np.max(parts, initial=0.0))


class Sharpness(NamedTuple):
    """Which faults of a tensor a comparison would have seen.

    Faults are relative to the tensor or, for one that a step changes, to its change.

    Attributes
    ----------
    smallest_fault : float
        The smallest relative fault of the whole tensor that takes some element beyond its bound;
        infinite if none does, 0 where every element must be 0 and none would be missed.
    blind_part : float
        The part of its elements, those aside that are 0, that may be wrong by as much as they
        are and stay within their bounds.
    """

    smallest_fault: float
    blind_part: float


def sharpness(a: Array, b: Array, bounded: Bounded, before: Array | float = 0.0) -> Sharpness:
    """Return how sharp the comparison of b with a is; `before` is what a was before the step.

    A fault x of an element adds x (a - before) to b, in one direction or the other.
    """
    # What rounding has made of b (a fault that is there already would be more) may hide as much.
    reach = bounded.spread + np.minimum(_difference(a, b), bounded.spread)
    size = np.abs(np.asarray(a, dtype=np.float64) - before)
    sized = size > 0.0
    if not sized.any():
        blind = bool(reach.any())
        return Sharpness(math.inf if blind else 0.0, float(blind))
    faults = reach[sized] / size[sized]
    return Sharpness(float(np.min(faults)), float(np.mean(faults >= 1.0)))


def difference_in_ulps(reference: Array, other: Array) -> float:
    """Return the largest |reference - other| in ulps of the reference, element by element.

    Where cancellation leaves an element smaller than the root mean square of the reference,
    an ulp of that is the unit: the element's own would count errors of terms that it no longer
    shows.
    """
    difference = _difference(reference, other)
    sizes = np.abs(reference[np.isfinite(reference)].astype(np.float64))
    if not sizes.size or not difference.any():
        return float(np.max(difference, initial=0.0))
    # Scaled by the largest, so that no square overflows or underflows.
    largest = float(np.max(sizes)) or 1.0
    typical = largest * float(np.sqrt(np.mean((sizes / largest) ** 2)))
    finite = np.where(np.isfinite(reference), np.abs(reference), 0.0)
    unit = np.spacing(np.maximum(finite, typical).astype(reference.dtype))
    return float(np.max(difference / unit.astype(np.float64)))


def _difference(a: Array, b: Array) -> Array:
    """Return |a - b| in float64: 0 for two NaNs or equal infinities, infinite for one of them.

    Infinite, too, where one array is not of the shape or the dtype of the other.
    """
    if a.shape != b.shape or a.dtype != b.dtype:
        return np.full(a.shape, np.inf)
    a, b = (np.asarray(x, dtype=np.float64) for x in (a, b))
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        difference = np.where(same, 0.0, np.abs(a - b))
    return np.where(np.isnan(difference), np.inf, difference)
