"""Scaling of inputs, and of numbers to predict, as fitted on the training part; bins of values.

Everything is computed in float64 on the host, by operations whose results IEEE 754 fixes and in a
fixed order: the same bits on every machine.

Shapes: values (n, features), offsets and divisors (features,), a column is (n,).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Annotated, ClassVar, Literal

import numpy as np
from msgspec import Meta

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.data.columns import EncodedArray
from pluggable_mlp.data.errors import DataError
from pluggable_mlp.data.values import as_bytes
from pluggable_mlp.fields import Positive
from pluggable_mlp.host.lazy import blocks, rows_within
from pluggable_mlp.host.randomness import normal, normal_quantile, normal_quantile_by

SMOOTH_CLIP: Literal["smooth_clip"] = "smooth_clip"

LIMIT = 3.0
"""The smooth clip maps all numbers to between -3 and 3."""

QUANTILE = "quantile"

MOST, FEWEST, PER_QUANTILE = 1000, 10, 30
"""Of n training values n / 30 quantiles are taken, at least 10 and at most 1,000."""

NOISE = 1e-5
"""The deviation of the noise that tells equal values apart."""

OUTSIDE = 1e-7
"""Values so near to the first or the last quantile count as beyond it."""

_SMALLEST = OUTSIDE - 2.0**-52
"""This and its complement are the probabilities beyond the quantiles."""

BLOCK = 2**17
"""Bytes of rows that are scaled at once: they and their results fit a cache."""


@dataclass(frozen=True)
class Scaling:
    """The offset subtracted from each feature, and the divisor applied next.

    The kind "smooth_clip" then turns the result x into x / sqrt(1 + (x/3)²).

    Parameters
    ----------
    kind : str
        A name in `SCALINGS`.
    offsets, divisors : tuple of float
        One for each feature; divisors are above 0.
    """

    kind: Annotated[str, Meta(pattern="^(standard|minmax|robust|smooth_clip)$")]
    offsets: tuple[float, ...]
    divisors: tuple[Positive, ...]

    def apply(self, values: Array) -> Array:
        """Return (values - offset) / divisor as float64; (n,) is scaled as one column."""
        rows = values.astype(np.float64).reshape(len(values), -1)
        return self.apply_in_place(rows).reshape(values.shape)

    def apply_in_place(self, values: Array) -> Array:
        """Scale float64 values (n, features) in place; return them."""
        at_once = rows_within(BLOCK, values.shape, values.dtype)
        for start in range(0, len(values), at_once):
            rows = values[start : start + at_once]
            rows[...] = self.apply_with(np, rows)
        return values

    def apply_with(self, xp: Namespace, values: Array) -> Array:
        """Return float64 values (n, features) scaled by the functions of a namespace."""
        offsets, divisors = map(xp.asarray, map(np.asarray, (self.offsets, self.divisors)))
        values = (values - offsets) / divisors
        if self.kind == SMOOTH_CLIP:
            share = values / LIMIT
            values = values / xp.sqrt(1.0 + share * share)  # IEEE 754 fixes it on the host
        return values

    def undo(self, xp: Namespace, values: Array) -> Array:
        """Return values * divisor + offset as float64: (n,) is one column.

        It is not for the kind "smooth_clip", which never scales targets.
        """
        offsets, divisors = map(xp.asarray, map(np.asarray, (self.offsets, self.divisors)))
        return xp.astype(values, xp.float64) * divisors + offsets


def fit_scaling(name: str, kind: str, values: Array, features: Array | None = None) -> Scaling:
    """Return the scaling of training inputs; a feature that never varies is divided by 1.

    Parameters
    ----------
    name : str
        The name of the data, for errors.
    kind : str
        A name in `SCALINGS`.
    values : array, StoredArray or EncodedArray, of float64, shape (n, features that are scaled)
        The last only for the smooth clip.
    features : array of bool, shape (features,), optional
        Which of all features are scaled; by default all.

    Raises
    ------
    DataError
        If they spread beyond what float64 holds.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        offsets, divisors = SCALINGS[kind](values)
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
    variance = reduce(add, (_sums(rows * rows) for rows in centred)) / count
    return mean, np.asarray([math.sqrt(v) if v < math.inf else v for v in variance.tolist()])


def _minmax(values: Array) -> tuple[Array, Array]:
    """Return the minimum and the range: the training part goes from 0 to 1."""
    low = reduce(np.minimum, (block.min(axis=0) for block in blocks(values)))
    high = reduce(np.maximum, (block.max(axis=0) for block in blocks(values)))
    return low, high - low


def _robust(values: Array) -> tuple[Array, Array]:
    """Return the median and the distance between the quartiles."""
    ordered = np.sort(values, axis=0)
    low, median, high = [quantile(ordered, fraction) for fraction in (0.25, 0.5, 0.75)]
    return median, high - low


def _smooth_clip(values: Array) -> tuple[Array, Array]:
    """Return the median and the distance between the quartiles, or half the range if it is 0."""
    if isinstance(values, EncodedArray):  # whose matrix may not fit into memory
        offsets, divisors = zip(*map(_smooth_clip, values.singly()), strict=True)
        return np.concatenate(offsets), np.concatenate(divisors)
    median, distance = _robust(values)
    half = 0.5 * (values.max(axis=0) - values.min(axis=0))
    return median, np.where(distance > 0, distance, half)


SCALINGS: dict[str, Callable[[Array], tuple[Array, Array]]] = {
    "standard": _standard,
    "minmax": _minmax,
    "robust": _robust,
    SMOOTH_CLIP: _smooth_clip,
}
"""How the offset and the divisor of each feature come from the training values."""

SORTING = ("robust", SMOOTH_CLIP, QUANTILE)
"""The scalings that need all values at once."""


def quantile(ordered: Array, fraction: float) -> Array:
    """Return a quantile of each column of sorted rows, linear between two of them."""
    place = fraction * (len(ordered) - 1)
    below = math.floor(place)
    low, high = ordered[below], ordered[min(below + 1, len(ordered) - 1)]
    return low + (high - low) * (place - below)


def _sums(values: Array) -> Array:
    """Return the sum of each column by adding halves; NumPy promises no order for its sums."""
    while values.shape[0] > 1:
        half = values.shape[0] // 2
        added = values[:half] + values[half : 2 * half]
        values = np.concatenate([added, values[2 * half :]]) if values.shape[0] % 2 else added
    return values[0]


@dataclass(frozen=True)
class QuantileTransform:
    """A map of each feature that makes its training values normally distributed.

    Between two quantiles the probability of a value is linear; the result is the normal
    distribution's quantile of that probability, as in scikit-learn's `QuantileTransformer`.

    Parameters
    ----------
    quantiles : tuple of tuple of float
        For each feature, at evenly spaced probabilities from 0 to 1, not decreasing; empty for a
        feature that stays as it is.
    """

    quantiles: tuple[tuple[float, ...], ...]

    kind: ClassVar[str] = QUANTILE

    def apply_in_place(self, values: Array) -> Array:
        """Transform float64 values (n, features) in place; return them."""
        for index, edges in enumerate(self.quantiles):
            if edges:
                p = _probability(np, np.asarray(edges), values[:, index])
                values[:, index] = normal_quantile(p)
        return values

    def apply_with(self, xp: Namespace, values: Array) -> Array:
        """Return float64 values (n, features) transformed by the functions of a namespace."""
        columns = [values[:, index] for index in range(len(self.quantiles))]
        for index, edges in enumerate(self.quantiles):
            if edges:
                p = _probability(xp, xp.asarray(np.asarray(edges)), columns[index])
                columns[index] = normal_quantile_by(xp, p, xp.sqrt, xp.log)
        return xp.stack(columns, axis=1)


def fit_quantiles(values: Array, seed: int, features: Array | None = None) -> QuantileTransform:
    """Return the transform of training inputs.

    Parameters
    ----------
    values : array of float64, shape (n, features that are transformed)
    seed : int
        The seed of the noise.
    features : array of bool, shape (features,), optional
        Which of all features are transformed; by default all.
    """
    n = len(values)
    ordered = np.sort(values + NOISE * normal(seed, "quantiles", 0, values.shape), axis=0)
    quantiles = _quantiles(ordered, min(max(min(n // PER_QUANTILE, MOST), FEWEST), n))
    columns = iter(tuple(column.tolist()) for column in quantiles.T)
    chosen = np.ones(values.shape[1], np.bool_) if features is None else features
    return QuantileTransform(tuple(next(columns) if is_one else () for is_one in chosen))


def bin_edges(values: Array, bins: int) -> tuple[tuple[float, ...], ...]:
    """Return the edges of bins of each column of values (n, features): quantiles of its values.

    They are at evenly spaced probabilities.  Each distinct value counts once, so that a frequent
    one does not take the place of others.  A column that never varies has one bin, from its value.
    """
    columns = []
    for column in values.T:
        distinct = np.unique(column)
        edges = np.unique(_quantiles(distinct, min(bins, max(len(distinct) - 1, 1)) + 1)).tolist()
        columns.append(tuple(edges if len(edges) > 1 else [edges[0], edges[0] + 1.0]))
    return tuple(columns)


def _quantiles(ordered: Array, count: int) -> Array:
    """Return `count` quantiles of sorted rows, at evenly spaced probabilities."""
    return np.stack([quantile(ordered, place) for place in _probabilities(count)])


def _probabilities(count: int) -> Array:
    return np.arange(count) / max(count - 1, 1)


def _probability(xp: Namespace, quantiles: Array, values: Array) -> Array:
    """Return the probability of each value of a column (n,), in (0, 1)."""
    last = quantiles.shape[0] - 1
    # A value that several quantiles share gets the mean of the first and the last probability.
    after = xp.clip(xp.searchsorted(quantiles, values, side="right"), 1, last)
    before = xp.clip(xp.searchsorted(quantiles, values, side="left"), 1, last)
    p = 0.5 * (_between(xp, quantiles, values, after) + _between(xp, quantiles, values, before))
    p = xp.where(values + OUTSIDE > quantiles[-1], xp.ones_like(p), p)
    p = xp.where(values - OUTSIDE < quantiles[0], xp.zeros_like(p), p)
    return xp.clip(p, _SMALLEST, 1.0 - _SMALLEST)


def _between(xp: Namespace, quantiles: Array, values: Array, right: Array) -> Array:
    """Return the probability of values, linear between a quantile and the one before, from 0 on."""
    p = xp.asarray(_probabilities(quantiles.shape[0]))
    low, high = xp.take(quantiles, right - 1), xp.take(quantiles, right)
    width = high - low
    share = (values - low) / xp.where(width > 0.0, width, xp.ones_like(width))
    p_low, p_high = xp.take(p, right - 1), xp.take(p, right)
    return p_low + (p_high - p_low) * xp.clip(share, 0.0, 1.0)


def whole_pixels(name: str, part: str, inputs: Array) -> Array:
    """Return inputs as uint8; DataError if they are not whole numbers of 8 bits."""
    pixels = as_bytes(inputs)
    if pixels is None:
        low, high = float(inputs.min()), float(inputs.max())
        fault = f"the {part} inputs, from {low:g} to {high:g}, are not 8-bit pixels"
        remedy = "give whole numbers from 0 to 255, or --scaling standard (scaling='standard')"
        raise DataError(name, fault, remedy)
    return pixels
