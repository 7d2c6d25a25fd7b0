"""Products of operands with NaN, infinity, denormal numbers or extreme magnitudes.

Rare, hence not fast: an operand is cleaned (denormal and non-finite elements become 0) and, in
float64, its extreme rows or columns are scaled by 2^600 or 2^-600; the product of that is scaled
back, and NaN and infinity are put where the rules of IEEE 754 have them, order or no order.
"""

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.namespaces.reproducible.operand import MODERATE, Operand
from pluggable_mlp.namespaces.reproducible.rounding import SMALLEST_NORMAL, type_name


def clean(operand: Operand) -> tuple[Operand, Array | float]:
    """Return the operand made moderate, and the roots of the factors that scale its products back.

    A row (column) of the result times root, times root again, is the operand's with 0 in place
    of denormal numbers, NaN and infinity. The roots are 2^300, 1 or 2^-300, in the shape of the
    operand's grid; always 1 in float32, as float64 holds all its products.
    """
    xp = operand.xp
    if operand.fixed:
        return operand, 1.0
    x = operand.x
    name = type_name(xp, x)
    keep = xp.isfinite(x) & (xp.abs(x) >= SMALLEST_NORMAL[name])
    cleaned = Operand(operand.namespace, xp.where(keep, x, 0.0), operand.axis)
    if name == "float32":
        return cleaned, 1.0
    lowest, highest = MODERATE[name]
    large, small = cleaned.largest > highest, cleaned.largest < lowest
    one = xp.ones_like(cleaned.largest)
    scale = xp.where(large, 2.0**-600, xp.where(small, 2.0**600, one))
    root = xp.where(large, 2.0**300, xp.where(small, 2.0**-300, one))
    scaled = Operand(operand.namespace, cleaned.x * scale, operand.axis)
    return scaled, root


def scale_back(xp: Namespace, r: Array, root: Array | float) -> Array:
    """Return r root^2 for float64 r (…, m, n), 0 where that is below the smallest normal number.

    One root is applied, then the comparison made where nothing is denormal, then the other.
    """
    r = r * root
    r = xp.where(xp.abs(r) < SMALLEST_NORMAL["float64"] * (1.0 / root), 0.0, r)
    return r * root


def place_special(xp: Namespace, r: Array, left: Operand, right: Operand) -> Array:
    """Return r (…, m, n) with NaN and infinity where the product of the operands has them.

    NaN: from a NaN, from 0 times infinity, and from infinities of both signs. The terms of each
    kind are counted by products of matrices of 0, 1 and -1, exact in any order; what a library
    does with infinities inside a product does not matter. Denormal numbers count as 0.
    """
    if all(side.fixed or bool(xp.all(xp.isfinite(side.array))) for side in (left, right)):
        return r
    sign_a, infinite_a, zero_a = _signs(xp, left.array)
    sign_b, infinite_b, zero_b = _signs(xp, right.array)
    # Infinite terms: infinity times anything, and finite times infinity.
    rows = xp.concat([infinite_a, sign_a - infinite_a], axis=-1)
    columns = xp.concat([sign_b, infinite_b], axis=-2)
    difference = xp.matmul(rows, columns)
    count = xp.matmul(xp.abs(rows), xp.abs(columns))
    undefined = xp.matmul(
        xp.concat([xp.abs(infinite_a), zero_a], axis=-1),
        xp.concat([zero_b, xp.abs(infinite_b)], axis=-2),
    )
    positive, negative = count + difference > 0.0, count - difference > 0.0
    nan = (undefined > 0.0) | (positive & negative)
    nan = nan | xp.any(xp.isnan(left.array), axis=-1, keepdims=True)
    nan = nan | xp.any(xp.isnan(right.array), axis=-2, keepdims=True)
    r = xp.where(positive, float("inf"), xp.where(negative, float("-inf"), r))
    return xp.where(nan, float("nan"), r)


def _signs(xp: Namespace, x: Array) -> tuple[Array, Array, Array]:
    """Return the signs of x, the signs of its infinities, and 1 for its zeros, in float64."""
    smallest = SMALLEST_NORMAL[type_name(xp, x)]
    infinity = float("inf")

    def signs(threshold: float) -> Array:
        return xp.astype(x >= threshold, xp.float64) - xp.astype(x <= -threshold, xp.float64)

    return signs(smallest), signs(infinity), xp.astype(xp.abs(x) < smallest, xp.float64)
