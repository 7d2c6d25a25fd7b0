"""Validity flags of speculative operations, kept on the device to avoid synchronization.

A speculating namespace looks at no value: its products and sums take the fast path, and add 0-d
booleans to its `validity_flags`, each True where that was valid.  The fast path gives the bits of
the careful one unless an operand holds NaN or infinity, or, in float64, a row or column whose
largest magnitude is extreme (float32, computed in float64, has none that is).  Where a flag is
False, callers compute everything again, with a namespace that looks.
"""

import math

from pluggable_mlp.arrays import Array, Namespace, device_of

ValidityFlags = list[Array]
"""0-d booleans of one device, each True where the fast path was valid."""


def flag_finite(xp: Namespace, flags: ValidityFlags, operands: list[Array], result: Array) -> None:
    """Add whether all operands (any shapes) are finite: of them or, if that is less, the result.

    The result is a fast path's in float64, of which no operand can be missing: NaN and infinity,
    of grids or elements, make NaN of all that they take part in.
    """
    sizes = (sum(math.prod(x.shape) for x in operands), math.prod(result.shape))
    examined = operands if sizes[0] <= sizes[1] else [result]
    flags += [xp.all(xp.isfinite(x)) for x in examined]


def flag_range(
    xp: Namespace, flags: ValidityFlags, largest: Array, lowest: float, highest: float
) -> None:
    """Add whether every largest magnitude (any shape, float64) is 0 or moderate."""
    moderate = (largest >= lowest) & (largest <= highest)
    flags.append(xp.all(moderate | (largest == 0.0)))


def all_valid(xp: Namespace, flags: ValidityFlags, like: Array) -> Array:
    """Return whether the fast path was valid everywhere, 0-d, on the device of an array."""
    if not flags:
        return xp.ones((), dtype=xp.bool, device=device_of(like))
    valid = flags[0]
    for flag in flags[1:]:
        valid = valid & flag
    return valid
