"""What two backends may differ by, and how much of it they do.

Shapes: x (…, batch, in); labels (…, batch) or rows (…, batch, classes); parameters and
gradients are lists with one dict of arrays a layer.  Only the host computes here.
"""

from typing import Any

import numpy as np

from pluggable_mlp.arithmetic import Arithmetic, get_arithmetic
from pluggable_mlp.arrays import Array
from pluggable_mlp.consistency.bounded import Bounded
from pluggable_mlp.consistency.namespace import BoundedNamespace
from pluggable_mlp.network.layers import TrainingStep
from pluggable_mlp.network.mlp import MLP, Parameters
from pluggable_mlp.training.trees import map_arrays

__all__ = ["bounded_arithmetic", "bounded_gradients", "difference_in_ulps", "part_of_bound"]

_NAMESPACES = {dtype: BoundedNamespace(dtype) for dtype in ("float32", "float64")}


def bounded_arithmetic(dtype: str) -> Arithmetic:
    """Return the native arithmetic on arrays that carry the bound of their error in dtype."""
    return get_arithmetic("native", _NAMESPACES[dtype])


def bounded_gradients(
    mlp: MLP,
    parameters: Parameters,
    x: Any,
    labels: Array,
    dtype: str,
    step: TrainingStep | None = None,
) -> tuple[Bounded, Parameters]:
    """Return the loss and the gradients with the bounds of their errors, as `Bounded` arrays.

    Parameters
    ----------
    mlp : MLP
    parameters : list of dict of arrays
        NumPy arrays of the dtype; or `Bounded` ones, whose errors are then carried on.
    x : array (…, batch, in)
        A NumPy array of the dtype.
    labels : array (…, batch) or (…, batch, classes)
        A NumPy array: integers, or rows of the dtype.
    dtype : {"float32", "float64"}
        Of the computations that are bounded.
    step : TrainingStep, optional
        The mode: by default evaluation.
    """
    arithmetic = bounded_arithmetic(dtype)
    # Where a bound overflows nothing is known of the result: the bound is infinite then.
    with np.errstate(all="ignore"):
        carried = map_arrays(arithmetic.xp.asarray, parameters)
        return mlp.step_gradients(carried, x, labels, arithmetic, step)


def part_of_bound(a: Array, b: Array, bounded: Bounded) -> float:
    """Return the largest |a - b| / bound over the elements of two NumPy arrays of one shape.

    At most 1 where both are within their bound.  Infinite where the bound is, since nothing is
    known of the results then, and where NaN or infinity stands in one of the two alone.
    """
    difference = _difference(a, b)
    if not np.isfinite(bounded.spread).all():
        return float("inf")
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = np.where(difference == 0.0, 0.0, difference / bounded.spread)
    return float(np.max(parts, initial=0.0))


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
    """Return |a - b| in float64: 0 for two NaNs or equal infinities, infinite for one of them."""
    a, b = (np.asarray(x, dtype=np.float64) for x in (a, b))
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        difference = np.where(same, 0.0, np.abs(a - b))
    return np.where(np.isnan(difference), np.inf, difference)
