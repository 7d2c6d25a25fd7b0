"""Validity flags of speculative operations, kept on the device to avoid synchronization.

A namespace that is given flags looks at no value: its products and sums take the fast path, and
note here, in 0-d booleans, where that was right.  It is right, and gives the bits of the careful
path, unless an operand holds NaN or infinity, or, in float64, a row or column whose largest
magnitude is extreme (float32, computed in float64, has none that is).  Callers who find a flag
raised take all that was computed again, with a namespace that looks.
"""

import math

from pluggable_mlp.arrays import Array, Namespace, device_of

__all__ = ["Flags", "all_valid", "note_finite", "note_range"]

Flags = list[Array]
"""0-d booleans of one device, each True where the fast path was right."""


def note_finite(xp: Namespace, flags: Flags, operands: list[Array], result: Array) -> None:
    """Note whether all operands (any shapes) are finite: of them or, if that is less, the result.

    The result is a fast path's in float64, of which no operand can be missing: NaN and infinity,
    of grids or elements, make NaN of all that they take part in.
    """
    sizes = (sum(math.prod(x.shape) for x in operands), math.prod(result.shape))
    looked_at = operands if sizes[0] <= sizes[1] else [result]
    flags += [xp.all(xp.isfinite(x)) for x in looked_at]


def note_range(xp: Namespace, flags: Flags, largest: Array, lowest: float, highest: float) -> None:
    """Note whether every largest magnitude (any shape, float64) is 0 or moderate."""
    moderate = (largest >= lowest) & (largest <= highest)
    flags.append(xp.all(moderate | (largest == 0.0)))


def all_valid(xp: Namespace, flags: Flags, like: Array) -> Array:
    """Return whether the fast path was valid everywhere, 0-d, on the device of an array."""
    if not flags:
        return xp.ones((), dtype=xp.bool, device=device_of(like))
    valid = flags[0]
    for flag in flags[1:]:
        valid = valid & flag
    return valid
