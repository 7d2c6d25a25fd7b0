"""The quantile transform of inputs to a normal distribution, and the bins of their values.

All of it is computed in float64 on the host, in operations whose results IEEE 754 fixes: the same
bits on every machine.

Shapes: values (n, features), a column is (n,).
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.data.scaling import quantile, refuse_blocks
from pluggable_mlp.randomness import normal, normal_quantile, normal_quantile_by

QUANTILE = "quantile"

MOST, FEWEST, PER_QUANTILE = 1000, 10, 30
"""Of n training values n / 30 quantiles are taken, at least 10 and at most 1,000."""

NOISE = 1e-5
"""The deviation of what is added to the values before, so that equal ones are told apart."""

OUTSIDE = 1e-7
"""Values so near to the first or the last quantile count as beyond it."""

_SMALLEST = OUTSIDE - 2.0**-52
"""The probabilities of what is beyond the quantiles are this one and its complement."""


@dataclass(frozen=True)
class QuantileTransform:
    """What makes a normal distribution of the training values of each feature.

    Between two quantiles the probability of a value is linear; the result is the normal
    distribution's quantile of that probability, as of scikit-learn's `QuantileTransformer`.

    Parameters
    ----------
    quantiles : tuple of tuple of float
        Of each feature, at evenly spaced probabilities from 0 to 1, not decreasing; empty for a
        feature that stays as it is.

    Raises
    ------
    ValueError
        If they decrease, or there is a single one.
    """

    quantiles: tuple[tuple[float, ...], ...]

    kind: ClassVar[str] = QUANTILE

    def __post_init__(self) -> None:
        for index, of in enumerate(self.quantiles):
            are_ordered = all(low <= high for low, high in pairwise(of))
            if len(of) == 1 or not are_ordered or not np.isfinite(of).all():
                raise ValueError(
                    f"quantiles[{index}] is {of!r}, expected finite numbers that do not decrease"
                )

    def apply_in_place(self, values: Array) -> Array:
        """Transform float64 values (n, features), which nobody else holds; return them."""
        for index, of in enumerate(self.quantiles):
            if of:
                p = _probability(np, np.asarray(of), values[:, index])
                values[:, index] = normal_quantile(p)
        return values

    def transformed(self, xp: Namespace, values: Array) -> Array:
        """Return float64 values (n, features) transformed by the functions of a namespace."""
        columns = [values[:, index] for index in range(len(self.quantiles))]
        for index, of in enumerate(self.quantiles):
            if of:
                p = _probability(xp, xp.asarray(np.asarray(of)), columns[index])
                columns[index] = normal_quantile_by(xp, p, xp.sqrt, xp.log)
        return xp.stack(columns, axis=1)


def fit_quantiles(
    name: str, values: Array, seed: int, features: Array | None = None
) -> QuantileTransform:
    """Return the transform of training inputs.

    Parameters
    ----------
    name : str
        Of the data, for errors.
    values : array of float64, shape (n, features that are transformed)
    seed : int
        Of the noise.
    features : array of bool, shape (features,), optional
        Which of all features are transformed; by default all.

    Raises
    ------
    DataError
        If the values are read in blocks.
    """
    refuse_blocks(name, "quantile", values)
    n = len(values)
    ordered = np.sort(values + NOISE * normal(seed, "quantiles", 0, values.shape), axis=0)
    found = _quantiles(ordered, min(max(min(n // PER_QUANTILE, MOST), FEWEST), n))
    columns = iter(tuple(column.tolist()) for column in found.T)
    chosen = np.ones(values.shape[1], np.bool_) if features is None else features
    return QuantileTransform(tuple(next(columns) if is_one else () for is_one in chosen))


def bin_edges(values: Array, bins: int) -> tuple[tuple[float, ...], ...]:
    """Return the edges of bins of each column of values (n, features): its different quantiles.

    They are at evenly spaced probabilities; there are at most n - 1 bins.  A column that never
    varies has one bin, from its value on.
    """
    found = _quantiles(np.sort(values, axis=0), min(bins, max(len(values) - 1, 1)) + 1)
    edges = (np.unique(column).tolist() for column in found.T)
    return tuple(tuple(of if len(of) > 1 else [of[0], of[0] + 1.0]) for of in edges)


def _quantiles(ordered: Array, count: int) -> Array:
    """Return quantiles (count, features) of sorted rows, at evenly spaced probabilities."""
    found = np.stack([quantile(ordered, place) for place in _probabilities(count)])
    return np.maximum.accumulate(found, axis=0)  # which rounding may have decreased


def _probabilities(count: int) -> Array:
    return np.arange(count) / max(count - 1, 1)


def _probability(xp: Namespace, quantiles: Array, values: Array) -> Array:
    """Return the probability of each of a column (n,), in (0, 1)."""
    last = quantiles.shape[0] - 1
    # Of a value that several quantiles have, the mean of the first and the last probability.
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
