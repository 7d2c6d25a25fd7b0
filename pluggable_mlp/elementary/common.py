"""What the elementary functions share: tables, polynomials, numbers too small to keep.

Entries of tables are exact or correctly rounded by integer arithmetic, independent of the `pow` of
a library or system, and created once per library and device.  Polynomials have the one order of
operations that fixes their bits.  Array libraries disagree on denormal numbers (some hardware and
compilers flush them to zero), and so on everything computed from them: the results of reproducible
arithmetic contain neither denormal numbers nor negative zeros.  The thresholds and the two ways to
apply them are here; the computations before them are not.
"""

from math import isqrt, ldexp

from pluggable_mlp.arrays import Array, DType, Namespace, device_of
from pluggable_mlp.arrays.shortcuts import entries, zero_below

_made: dict[tuple[Namespace, str, str], Array] = {}


def power_of_two(xp: Namespace, k: Array) -> Array:
    """Return 2^k (float64) for -1022 <= k <= 1023 in `k` (int64), both of any shape."""
    return entries(xp, _table(xp, "powers", k), k + 1022)


def roots_of_two(xp: Namespace, j: Array) -> tuple[Array, Array]:
    """Return the leading 26 bits of 2^(j/64) and the rest, for 0 <= j < 64.

    `j` (int64) may be of any shape; both results are float64.
    """
    leading, rest = (_table(xp, f"roots, {part}", j) for part in ("leading bits", "rest"))
    return entries(xp, leading, j), entries(xp, rest, j)


def _table(xp: Namespace, name: str, indices: Array) -> Array:
    """Return the table of a name, on the device of the indices."""
    place = device_of(indices)
    if place is None:  # within a function that JAX compiles, whose arrays must not outlive it
        return xp.asarray(_ENTRIES[name], dtype=xp.float64)
    # The name of the device, since CuPy's devices cannot be hashed.
    xp = getattr(xp, "recorded_library", xp)  # of what is recorded, they are constants
    key = (xp, str(place), name)
    if key not in _made:
        _made[key] = xp.asarray(_ENTRIES[name], dtype=xp.float64, device=place)
    return _made[key]


def _entries() -> dict[str, list[float]]:
    """Return the entries of every table."""
    roots = {0: 1 << 256, 64: 2 << 256}  # 2^(j/64) in units of 2^-256, each between its neighbours
    for step in (32, 16, 8, 4, 2, 1):
        for j in range(step, 64, 2 * step):
            roots[j] = isqrt(roots[j - step] * roots[j + step])
    high, low = [], []
    for j in range(64):
        root = roots[j] >> 128
        leading = root >> 103
        high.append(leading / 2**25)
        low.append((root - (leading << 103)) / 2**128)
    powers = [ldexp(1.0, k) for k in range(-1022, 1024)]
    return {"powers": powers, "roots, leading bits": high, "roots, rest": low}


_ENTRIES = _entries()


# fdlibm k_cos.c and k_sin.c (Sun Microsystems, 1993), on [-pi/4, pi/4]:
# cos x = 1 - z/2 + z^2 C(z) and sin x = x + x z S(z) with z = x^2, highest coefficient first.
COSINE = (
    -1.13596475577881948265e-11,
    2.08757232129817482790e-09,
    -2.75573143513906633035e-07,
    2.48015872894767294178e-05,
    -1.38888888888741095749e-03,
    4.16666666666666019037e-02,
)
SINE = (
    1.58969099521155010221e-10,
    -2.50507602534068634195e-08,
    2.75573137070700676789e-06,
    -1.98412698298579493134e-04,
    8.33333333332248946124e-03,
    -1.66666666666666324348e-01,
)


def horner(x: Array, coefficients: tuple[float, ...]) -> Array:
    """Return the polynomial of `x` (floats, any shape) by Horner's rule.

    There are at least two coefficients, the one of the highest power first.
    """
    y = x * coefficients[0]
    for coefficient in coefficients[1:-1]:
        y += coefficient
        y *= x
    y += coefficients[-1]
    return y


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
