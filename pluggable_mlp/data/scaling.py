"""Scaling of inputs, and of numbers to predict, as fitted on the training part.

All of it is computed in float64 on the host, in operations whose results IEEE 754 fixes and in an
order that is fixed: the same bits on every machine.

Shapes: values (n, features), offsets and divisors (features,).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Literal

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.data.encoded import OrderedFeatures
from pluggable_mlp.data.errors import DataError
from pluggable_mlp.lazy import StoredArray, blocks, rows_within
from pluggable_mlp.registry import choose

SMOOTH_CLIP: Literal["smooth_clip"] = "smooth_clip"

LIMIT = 3.0
"""Of the smooth clip: all numbers come to lie between -3 and 3."""

BLOCK = 2**18
"""So many bytes of rows are scaled at once: they and what is made of them fit a cache."""


@dataclass(frozen=True)
class Scaling:
    """What is subtracted from each feature, and what it is then divided by.

    Of the kind "smooth_clip" x / sqrt(1 + (x/3)²) is made of the result x.

    Parameters
    ----------
    kind : str
        A name of `SCALINGS`.
    offsets, divisors : tuple of float
        One for each feature; divisors are above 0.

    Raises
    ------
    ValueError
        If they are anything else: the message names it.
    """

    kind: str
    offsets: tuple[float, ...]
    divisors: tuple[float, ...]

    def __post_init__(self) -> None:
        choose(SCALINGS, self.kind, "scaling")
        for name in ("offsets", "divisors"):
            values = getattr(self, name)
            if not all(map(math.isfinite, values)):
                raise ValueError(f"{name} of scaling is {values!r}, expected finite numbers")
        if len(self.offsets) != len(self.divisors) or not all(n > 0 for n in self.divisors):
            raise ValueError(f"divisors of scaling is {self.divisors!r}, expected numbers above 0")

    def apply(self, values: Array) -> Array:
        """Return (values - offset) / divisor as float64; of (n,) the one column is scaled."""
        rows = values.astype(np.float64).reshape(len(values), -1)
        return self.apply_in_place(rows).reshape(values.shape)

    def apply_in_place(self, values: Array) -> Array:
        """Scale float64 values (n, features), which nobody else holds; return them."""
        at_once = rows_within(BLOCK, values.shape, values.dtype)
        for start in range(0, len(values), at_once):
            rows = values[start : start + at_once]
            rows -= np.asarray(self.offsets)
            rows /= np.asarray(self.divisors)
            if self.kind == SMOOTH_CLIP:
                share = rows / LIMIT
                rows /= np.sqrt(1.0 + share * share)  # on the host, where IEEE 754 fixes it
        return values

    def undo(self, values: Array) -> Array:
        """Return values * divisor + offset as float64, of the shape that they have.

        It is not for the kind "smooth_clip", which is none of targets.
        """
        rows = values.astype(np.float64).reshape(len(values), -1)
        rows = rows * np.asarray(self.divisors) + np.asarray(self.offsets)
        return rows.reshape(values.shape)


def refuse_blocks(name: str, kind: str, values: Array) -> None:
    """Raise a DataError if the values, which this scaling has to sort, are read in blocks."""
    if isinstance(values, StoredArray):
        fault = f"is read in blocks, and {kind} scaling sorts all examples"
        raise DataError(name, fault, "use --scaling standard or minmax, or --block-size 0")


def fit_scaling(name: str, kind: str, values: Array, features: Array | None = None) -> Scaling:
    """Return the scaling of training inputs; a feature that never varies is divided by 1.

    Parameters
    ----------
    name : str
        Of the data, for errors.
    kind : str
        A name of `SCALINGS`.
    values : array, StoredArray or OrderedFeatures, of float64, shape (n, features that are scaled)
        The last for the smooth clip alone.
    features : array of bool, shape (features,), optional
        Which of all features are scaled; by default all.

    Raises
    ------
    DataError
        If they spread beyond what float64 holds.
    """
    if kind in SORTING:
        refuse_blocks(name, kind, values)
    with np.errstate(over="ignore", invalid="ignore"):
        offsets, divisors = choose(SCALINGS, kind, "scaling")(values)
    if not (np.isfinite(offsets).all() and np.isfinite(divisors).all()):
        largest = max(-values.min(), values.max())
        fault = f"holds {largest:g}, whose {kind} scaling is beyond float64"
        raise DataError(name, fault, "scale it down first")
    divisors = np.where(divisors > 0, divisors, 1.0)
    if features is not None:
        every_offset, every_divisor = np.zeros(features.size), np.ones(features.size)
        every_offset[features], every_divisor[features] = offsets, divisors
        offsets, divisors = every_offset, every_divisor
    return Scaling(kind, tuple(offsets.tolist()), tuple(divisors.tolist()))


def _standard(values: Array) -> tuple[Array, Array]:
    """Return the mean and the standard deviation: sqrt(sum (x - mean)² / n)."""
    count = values.shape[0]
    mean = reduce(add, map(_sums, blocks(values))) / count
    centred = (block - mean for block in blocks(values))
    variance = reduce(add, (_sums(each * each) for each in centred)) / count
    return mean, np.asarray([math.sqrt(v) if v < math.inf else v for v in variance.tolist()])


def _minmax(values: Array) -> tuple[Array, Array]:
    """Return the minimum and the range: the training part goes from 0 to 1."""
    low = reduce(np.minimum, (block.min(axis=0) for block in blocks(values)))
    high = reduce(np.maximum, (block.max(axis=0) for block in blocks(values)))
    return low, high - low


def _robust(values: Array) -> tuple[Array, Array]:
    """Return the median and the distance between the quartiles."""
    return _quartiles(np.sort(values, axis=0))


def _quartiles(ordered: Array) -> tuple[Array, Array]:
    low, median, high = (quantile(ordered, fraction) for fraction in (0.25, 0.5, 0.75))
    return median, high - low


def _smooth_clip(values: Array) -> tuple[Array, Array]:
    """Return the median and the distance between the quartiles, or half the range where it is 0."""
    ordered = values if isinstance(values, OrderedFeatures) else np.sort(values, axis=0)
    median, distance = _quartiles(ordered)
    half = 0.5 * (ordered[-1] - ordered[0])
    return median, np.where(distance > 0, distance, half)


LINEAR: dict[str, Callable[[Array], tuple[Array, Array]]] = {
    "standard": _standard,
    "minmax": _minmax,
    "robust": _robust,
}
"""How the offset and the divisor of each feature come from the training values; for targets too."""

SCALINGS = {**LINEAR, SMOOTH_CLIP: _smooth_clip}
"""All of them, for features."""

SORTING = ("robust", SMOOTH_CLIP)
"""Those that need all values at once."""


def quantile(ordered: Array, fraction: float) -> Array:
    """Return a quantile of each column, linear between two values of the sorted rows."""
    place = fraction * (ordered.shape[0] - 1)
    below = math.floor(place)
    above = min(below + 1, ordered.shape[0] - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def _sums(values: Array) -> Array:
    """Return the sum of each column: halves are added, elementwise, until one row is left.

    NumPy does not promise the order of its own sums.
    """
    while values.shape[0] > 1:
        half = values.shape[0] // 2
        added = values[:half] + values[half : 2 * half]
        values = np.concatenate([added, values[2 * half :]]) if values.shape[0] % 2 else added
    return values[0]
