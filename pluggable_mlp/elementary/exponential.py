"""e^x, in operations that IEEE 754 fixes: its two kernels, and `exp` itself.

float32 results come from `exp_of_float32`, a short polynomial and repeated squaring in float64:
no table, no integers, and every step in place, since on arrays of a layer's size the passes over
memory are the price. float64 results come from `exp_parts`, a table and a polynomial, which
leaves e^x in parts so that what follows can still round once.
"""

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.elementary.common import horner, keep_nan, power_of_two, roots_of_two, type_name
from pluggable_mlp.shortcuts import clip

# The least and the greatest number of each type whose exponential is normal and finite.
FIRST = {"float32": -87.33654022216797, "float64": -708.3964185322641}
LAST = {"float32": 88.72283172607422, "float64": 709.782712893384}

# benchmarks/polynomials.py: e^(x / 2^13) for |x| <= 89, relative error below 2^-43.
SQUARINGS = 13
EXP_OF_SCALED = (
    9.251904039316874e-18, 3.031671370465862e-13, 7.450580596833725e-09, 0.00012207031249557125,
    1.0,
)  # fmt: skip
EXP_OF_SCALED_NEGATIVE = tuple(c * s for c, s in zip(EXP_OF_SCALED, (1, -1, 1, -1, 1), strict=True))

# (log 2)/64 in two parts: the first has 36 bits, so that its product with |k| <= 2^17 is exact.
LOG2_64TH_HIGH = float.fromhex("0x1.62e42fefa0000p-7")
LOG2_64TH_LOW = float.fromhex("0x1.cf79abc9e3b3ap-46")
PER_LOG2_64TH = float.fromhex("0x1.71547652b82fep+6")

# (e^r - 1 - r)/r^2 = 1/2 + r/6 + ...; the next term is below 2^-57 of the first for |r| <= 0.0055.
EXP_REMAINDER = (1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5)


def exp(xp: Namespace, x: Array) -> Array:
    """Return e^x for `x` (float32 or float64, any shape), within 1 ulp.

    Results below the smallest normal number are 0, those above the largest number infinity.
    float64 follows Tang, "Table-driven implementation of the exponential function in IEEE
    floating-point arithmetic", ACM Trans. Math. Softw. 15 (1989), with 64 table entries.
    """
    kind = type_name(xp, x)
    clipped = clip(xp, x, FIRST[kind], LAST[kind])
    if kind == "float32":
        y = xp.astype(exp_of_float32(xp.astype(clipped, xp.float64)), xp.float32)
    else:
        k, high, middle, low = exp_parts(xp, clipped)
        middle += low
        high += middle
        # 2^1024 is not finite, but the last k only comes with a `high` that may be doubled first.
        scale = xp.minimum(k, 1023)
        high *= xp.astype(k - scale + 1, xp.float64)
        y = high * power_of_two(xp, scale)
    y *= xp.astype(x >= FIRST[kind], x.dtype)
    y = xp.where(x > LAST[kind], float("inf"), y)
    return keep_nan(xp, x, y)


def exp_of_float32(x: Array, coefficients: tuple[float, ...] = EXP_OF_SCALED) -> Array:
    """Return e^x (float64) for |x| <= 89 in `x` (float64, any shape), relative error below 2^-30.

    e^x = (e^(x / 2^13))^(2^13). With `EXP_OF_SCALED_NEGATIVE` the result is e^-x.
    """
    y = horner(x, coefficients)
    for _ in range(SQUARINGS):
        y *= y
    return y


def exp_parts(xp: Namespace, x: Array) -> tuple[Array, Array, Array, Array]:
    """Return k, high, middle, low with e^x = 2^k (high + middle + low), all of the shape of `x`.

    `x` (float64, any shape) lies between -708.4 and 709.8, or is NaN. k is int64, the others are
    float64: `high` is 2^(j/64), 0 <= j < 64, in 26 bits, |middle| < 0.0055 high and
    |low| < 2^-15 high. The relative error is below 2^-60; near x = 0, where k = 0 and high = 1,
    so is that of middle + low.
    """
    steps = x * PER_LOG2_64TH
    steps += 0.5
    steps = xp.floor(steps)
    # NaN has no place in a table; it returns through the remainder.
    k = xp.astype(xp.where(xp.isnan(steps), 0.0, steps), xp.int64)
    high, rest = roots_of_two(xp, k & 63)
    k = k >> 6
    remainder = x - steps * LOG2_64TH_HIGH
    steps *= LOG2_64TH_LOW
    leading = remainder + 1.5 * 2.0**18
    leading -= 1.5 * 2.0**18
    remainder -= leading
    remainder -= steps
    r = leading + remainder
    low = horner(r, EXP_REMAINDER)
    low *= r
    low *= r
    r += low
    low += remainder
    low *= high
    r *= rest
    r += rest
    low += r
    leading *= high
    return k, high, leading, low
