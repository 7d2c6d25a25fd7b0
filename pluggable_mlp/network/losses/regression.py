"""Losses of regressions: each output is compared with a number.

Shapes: z and dz are (…, batch, outputs); targets t are (…, batch, outputs), or (…, batch) for one
output; sample_weight is (…, batch); the loss is (…).  An example's loss is the mean over its
outputs.  With d = z - t, each docstring gives the loss l of one output and its derivative l'.
"""

from dataclasses import dataclass
from typing import ClassVar

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.hyperparameters import keep_number
from pluggable_mlp.network.losses.contract import TargetKind, average_of_elements
from pluggable_mlp.network.losses.targets import rows

__all__ = ["Absolute", "Huber", "Poisson", "Quantile", "Squared"]

_LARGEST_LOG_RATE = 80.0  # exp(80) = 5.5e34: float32 has room for the sum of 6,000 of them


class _Numbers:
    """The link of a loss whose outputs are the predictions themselves."""

    targets: ClassVar[TargetKind] = "numbers"

    def predict(self, xp: Namespace, z: Array) -> Array:
        """Return z (…, batch, outputs): the outputs are the predictions."""
        del xp
        return z


@dataclass(frozen=True)
class Squared(_Numbers):
    """The mean squared error: l = d², l' = 2 d (scikit-learn's network takes half of it)."""

    def __call__(
        self, xp: Namespace, z: Array, targets: Array, sample_weight: Array | None = None
    ) -> tuple[Array, Array]:
        """Return the loss (…) and dz (…, batch, outputs)."""
        d = z - rows(xp, targets, z)
        return average_of_elements(xp, d * d, d + d, sample_weight)


@dataclass(frozen=True)
class Absolute(_Numbers):
    """The mean absolute error: l = |d|, l' the sign of d (0 at 0)."""

    def __call__(
        self, xp: Namespace, z: Array, targets: Array, sample_weight: Array | None = None
    ) -> tuple[Array, Array]:
        """Return the loss (…) and dz (…, batch, outputs)."""
        t = rows(xp, targets, z)
        signs = xp.astype(z > t, z.dtype) - xp.astype(z < t, z.dtype)
        return average_of_elements(xp, xp.abs(z - t), signs, sample_weight)


@dataclass(frozen=True)
class Huber(_Numbers):
    """Squared near 0, absolute far off: l = d²/2 where |d| <= delta, else delta (|d| - delta/2).

    Huber, "Robust estimation of a location parameter" (1964); l' is d, clipped to +-delta.  With
    c = min(|d|, delta) both branches are l = c (|d| - c/2).

    Parameters
    ----------
    delta : float, default 1.0
        Above 0.

    Raises
    ------
    ValueError
        If delta is not positive and finite.
    """

    delta: float = 1.0

    def __post_init__(self) -> None:
        keep_number(self, "delta", above=0.0)

    def __call__(
        self, xp: Namespace, z: Array, targets: Array, sample_weight: Array | None = None
    ) -> tuple[Array, Array]:
        """Return the loss (…) and dz (…, batch, outputs)."""
        d = z - rows(xp, targets, z)
        size = xp.abs(d)
        c = xp.minimum(size, self.delta)
        values = c * (size - c * 0.5)
        return average_of_elements(xp, values, xp.where(d < 0.0, -c, c), sample_weight)


@dataclass(frozen=True)
class Quantile(_Numbers):
    """The pinball loss, least at a quantile q of the targets: l = -q d where d < 0, else (1 - q) d.

    Koenker, Bassett, "Regression quantiles" (1978); l' is -q where d < 0, 1 - q where d > 0 and,
    as for the absolute error, 0 at 0.

    Parameters
    ----------
    quantile : float, default 0.5
        q, between 0 and 1; 0.5 is the median.

    Raises
    ------
    ValueError
        If the quantile is not between 0 and 1.
    """

    quantile: float = 0.5

    def __post_init__(self) -> None:
        keep_number(self, "quantile", above=0.0, below=1.0)

    def __call__(
        self, xp: Namespace, z: Array, targets: Array, sample_weight: Array | None = None
    ) -> tuple[Array, Array]:
        """Return the loss (…) and dz (…, batch, outputs)."""
        t = rows(xp, targets, z)
        below = xp.astype(z < t, z.dtype) * -self.quantile
        slopes = below + xp.astype(z > t, z.dtype) * (1.0 - self.quantile)
        return average_of_elements(xp, slopes * (z - t), slopes, sample_weight)


@dataclass(frozen=True)
class Poisson:
    """Counts: the negative log-likelihood of Poisson's distribution with the rate exp(z).

    l = exp(z) - t z, without log(t!), which no parameter changes; l' = exp(z) - t.  A rate above
    exp(80) counts as exp(80), so that the loss and its gradient stay finite.  Targets are
    numbers of at least 0.
    """

    targets: ClassVar[TargetKind] = "counts"

    def __call__(
        self, xp: Namespace, z: Array, targets: Array, sample_weight: Array | None = None
    ) -> tuple[Array, Array]:
        """Return the loss (…) and dz (…, batch, outputs)."""
        t = rows(xp, targets, z)
        rates = self.predict(xp, z)
        return average_of_elements(xp, rates - t * z, rates - t, sample_weight)

    def predict(self, xp: Namespace, z: Array) -> Array:
        """Return the rate exp(z) for each output, both (…, batch, outputs)."""
        return xp.exp(xp.minimum(z, _LARGEST_LOG_RATE))
