"""Powers of two that keep squares and products from vanishing or overflowing on the way.

They change no bit of a result: scaling by a power of two is exact, and scaling back at the end
gives 0 or infinity only where the result itself does.
"""

from typing import NamedTuple

from pluggable_mlp.arrays import Array, Namespace, device_of
from pluggable_mlp.arrays.shortcuts import in_one_kernel
from pluggable_mlp.elementary.common import SMALLEST_NORMAL, type_name
from pluggable_mlp.namespaces.reproducible.splitting import power_of_two_at_least

_UNIT = {"float32": 2.0**64, "float64": 2.0**512}

# Units between these have normal reciprocals, and leave numbers whose squares are normal.
_UNITS = {"float32": (2.0**-100, 2.0**100), "float64": (2.0**-1000, 2.0**1000)}


class Scaled(NamedTuple):
    """Numbers m U^k, with U = 2^64 (float64: 2^512), and U^-1/2 <= |m| < U^1/2 or m = 0.

    m, of float32 or float64, may be infinite or NaN, too; k is int64 of the same shape.
    """

    m: Array
    k: Array

    @staticmethod
    def of(xp: Namespace, x: Array) -> "Scaled":
        """Return `x` (float32 or float64, any shape) without denormal numbers."""
        k = xp.zeros(x.shape, dtype=xp.int64, device=device_of(x))
        return Scaled(x, k).renewed(xp).renewed(xp)

    def renewed(self, xp: Namespace) -> "Scaled":
        """Return the numbers with m closer to 1 by a factor U, if it is out of its range."""
        unit = _UNIT[type_name(xp, self.m)]
        magnitude = xp.abs(self.m)
        large, small = magnitude >= unit**0.5, magnitude < unit**-0.5
        up, down = (xp.astype(mask, self.m.dtype) for mask in (small, large))
        factor = up * unit + down * (1.0 / unit) + (1.0 - (up + down))
        shift = xp.astype(large, xp.int64) - xp.astype(small, xp.int64)
        return Scaled(self.m * factor, self.k + shift)

    def times(self, xp: Namespace, other: "Scaled") -> "Scaled":
        """Return the products, each rounded once."""
        return Scaled(self.m * other.m, self.k + other.k).renewed(xp)

    def value(self, xp: Namespace, smallest: float) -> Array:
        """Return the numbers themselves, +0 if a magnitude is below `smallest`, a normal one."""
        m, one = self.m, xp.ones_like(self.m)
        unit = _UNIT[type_name(xp, m)]
        m = xp.where((self.k <= -3) & xp.isfinite(m), 0.0, m)
        for least in (1, 2, 3):
            m = m * xp.where(self.k >= least, unit, one)
        m = m * xp.where(self.k <= -2, 1.0 / unit, one)
        # Compared before the last product, which then cannot be denormal.
        is_last = self.k <= -1
        limit = xp.where(is_last, smallest * unit, smallest * one)
        m = xp.where(xp.abs(m) < limit, 0.0, m) + 0.0
        return m * xp.where(is_last, 1.0 / unit, one)


def unit_near(xp: Namespace, largest: Array) -> Array:
    """Return powers of two of the dtype of `largest`, at least 0 (any shape), and close to it.

    |x| <= largest times their reciprocals is at most 2, short of magnitudes near the ends of the
    range: at most 2^28.  For infinity and NaN they are 1.
    """
    usable = xp.astype(xp.where(xp.isfinite(largest), largest, 1.0), xp.float64)
    large = usable > 2.0**400
    usable = xp.where(large, usable * 2.0**-700, usable)
    near = in_one_kernel(xp, power_of_two_at_least, usable)
    least, most = _UNITS[type_name(xp, largest)]
    near = xp.where(large, xp.minimum(near, 2.0**300) * 2.0**700, near)
    near = xp.minimum(xp.maximum(near, least), most)
    return xp.astype(near, largest.dtype)


def scaled_back(xp: Namespace, x: Array, unit: Array) -> Array:
    """Return `x` times powers of two (of one dtype), +0 if that is below the smallest normal."""
    smallest = SMALLEST_NORMAL[type_name(xp, x)]
    return xp.where(xp.abs(x) < smallest * (1.0 / unit), 0.0, x) * unit
