"""Turning numbers that are too small to keep into +0.

Array libraries disagree on denormal numbers (some hardware and compilers flush them to zero), and
so on everything computed from them. The results of reproducible arithmetic therefore contain
neither denormal numbers nor negative zeros. The thresholds and the two ways to apply them are
here; the computations before them are not.
"""

from pluggable_mlp.arrays import Array, DType, Namespace
from pluggable_mlp.shortcuts import zero_below

SMALLEST_NORMAL = {"float32": 2.0**-126, "float64": 2.0**-1022}
"""Smallest positive normal number of each type."""

SMALLEST_PRODUCT = {"float32": 2.0**-102, "float64": 2.0**-969}
"""Smallest magnitude a product keeps. A kept product is a multiple of 2^-125 (2^-1021), because
its last bit is worth 2^-23 (2^-52) of its first, so that sums and differences of products are
either zero or normal numbers."""


def type_name(xp: Namespace, x: Array) -> str:
    """Return "float32" or "float64", the type of the floating-point array `x` (any shape)."""
    return "float32" if x.dtype == xp.float32 else "float64"


def flush(xp: Namespace, x: Array) -> Array:
    """Return `x` (any shape) with every magnitude below the smallest normal number, and -0, as +0.

    NaN and infinity stay.
    """
    return zero_below(xp, x, SMALLEST_NORMAL[type_name(xp, x)])


def flush_product(xp: Namespace, x: Array) -> Array:
    """Return `x` (any shape) with every magnitude below `SMALLEST_PRODUCT`, and -0, as +0."""
    return zero_below(xp, x, SMALLEST_PRODUCT[type_name(xp, x)])


def flush_to(xp: Namespace, x: Array, dtype: DType) -> Array:
    """Return floats `x` (any shape) in a dtype, without denormal numbers, -0 and other NaN.

    Numbers that would be denormal there become +0 before the conversion, because devices disagree
    on which round up to the smallest normal number.
    """
    kinds = {"float32" if kind == xp.float32 else "float64" for kind in (x.dtype, dtype)}
    flushed = zero_below(xp, x, max(SMALLEST_NORMAL[kind] for kind in kinds))
    flushed = xp.astype(flushed, dtype, copy=False)
    return one_nan(xp, flushed)


def keep_nan(xp: Namespace, x: Array, y: Array) -> Array:
    """Return `y` with NaN wherever `x` (both of any one shape) is NaN.

    Libraries and devices disagree on the sign and the payload of a NaN that they compute; this one
    is always the same.
    """
    return xp.where(xp.isnan(x), float("nan"), y)


def one_nan(xp: Namespace, x: Array) -> Array:
    """Return `x` with the same NaN wherever it is NaN."""
    return xp.where(xp.isnan(x), float("nan"), x)
