"""Measures of a difference between two backends, and the faults that a comparison can detect.

Shapes: two NumPy arrays and a `Bounded` array, all of the same shape.  All computations are on the
host.
"""

import math
from typing import NamedTuple

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.namespaces.bounded import Bounded


def part_of_bound(a: Array, b: Array, bounded: Bounded) -> float:
    """Return the largest |a - b| / bound over the elements of two NumPy arrays of one shape.

    It is at most 1 if both are within their bounds.  Elements with an infinite bound are not
    checked: even NaN or infinity may be right there (see `sharpness`).  Elsewhere NaN or infinity
    in only one of the arrays, and everywhere a different shape or dtype, give infinity.
    """
    if not _comparable(a, b):
        return math.inf
    difference = _difference(a, b)
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = np.where(difference == 0.0, 0.0, difference / bounded.spread)
    parts = np.where(np.isinf(difference), np.inf, parts)
    return float(np.max(parts, initial=0.0, where=np.isfinite(bounded.spread)))


class Sharpness(NamedTuple):
    """The faults of a tensor that a comparison would have detected.

    Faults are relative to the tensor or, if a step updates the tensor, to the update.

    Attributes
    ----------
    smallest_fault : float
        The smallest relative fault of the whole tensor that moves some element beyond its bound;
        infinite if none does, 0 if every element must be 0 and no fault would be missed.
    blind_part : float
        The share of the nonzero elements that can be wrong by 100 % and stay within their bounds.
    unchecked_part : float
        The share of all elements that can be anything: rounding may take them out of the range of
        the dtype, or nothing is known of them for another reason, such as a division by what may be
        0.
    """

    smallest_fault: float
    blind_part: float
    unchecked_part: float


def sharpness(a: Array, b: Array, bounded: Bounded, before: Array | float = 0.0) -> Sharpness:
    """Return the sharpness of the comparison of b with a; `before` is a before the step.

    A relative fault x of an element adds x (a - before) to b, with either sign.
    """
    # The rounding errors that b already has (a fault would be larger) may hide as much.
    reach = bounded.spread + np.minimum(_difference(a, b), bounded.spread)
    unchecked = float(np.mean(np.isinf(reach))) if reach.size else 0.0
    with np.errstate(invalid="ignore"):  # of infinities, before a step and after
        size = np.abs(np.asarray(a, dtype=np.float64) - before)
        sized = size > 0.0
        faults = reach[sized] / size[sized]
    if not faults.size:
        blind = bool(reach.any())
        return Sharpness(math.inf if blind else 0.0, float(blind), unchecked)
    faults[np.isinf(reach[sized])] = math.inf
    return Sharpness(float(np.min(faults)), float(np.mean(faults >= 1.0)), unchecked)


def difference_in_ulps(reference: Array, other: Array) -> float:
    """Return the largest |reference - other| in ulps of the reference, element by element.

    For elements smaller than the root mean square of the reference, the unit is an ulp of the
    latter: after cancellation, an ulp of the element would exaggerate the errors of its terms.
    """
    difference = _difference(reference, other)
    sizes = np.abs(reference[np.isfinite(reference)].astype(np.float64))
    if not sizes.size or not difference.any():
        return float(np.max(difference, initial=0.0))
    # Scaled by the largest, so that no square overflows or underflows.
    largest = float(np.max(sizes)) or 1.0
    typical = largest * float(np.sqrt(np.mean((sizes / largest) ** 2)))
    finite = np.where(np.isfinite(reference), np.abs(reference), 0.0)
    below_largest = np.nextafter(np.finfo(reference.dtype).max, 0)  # has the same ulp, within range
    unit = np.spacing(np.clip(finite, typical, below_largest).astype(reference.dtype))
    return float(np.max(difference / unit.astype(np.float64)))


def _difference(a: Array, b: Array) -> Array:
    """Return |a - b| in float64: 0 for two NaNs or equal infinities, infinite for only one.

    It is infinite everywhere if the arrays differ in shape or dtype.
    """
    if not _comparable(a, b):
        return np.full(a.shape, np.inf)
    a, b = (np.asarray(x, dtype=np.float64) for x in (a, b))
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        difference = np.where(same, 0.0, np.abs(a - b))
    return np.where(np.isnan(difference), np.inf, difference)


def _comparable(a: Array, b: Array) -> bool:
    return bool(a.shape == b.shape and a.dtype == b.dtype)
