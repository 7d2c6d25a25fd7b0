"""Elementwise functions of the reproducible namespace, each with its rule.

Every function takes the namespace first.  Results below the smallest normal number are +0;
products keep nothing below 2^-102 (float64: 2^-969), so that sums of products need no care.
u is the unit roundoff, 2^-24 (2^-53).  Functions of integers and booleans are the library's.
"""

import math
import operator
from collections.abc import Callable

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.arrays.shortcuts import zero_below
from pluggable_mlp.elementary import common, error_function, powers, sigmoid
from pluggable_mlp.namespaces import kinds
from pluggable_mlp.namespaces.reproducible import coercion, integers
from pluggable_mlp.namespaces.reproducible.array import (
    ANY,
    LATTICE,
    PRODUCTS,
    ArrayOrScalar,
    FixedPointArray,
    Reproducible,
    ReproducibleArray,
)
from pluggable_mlp.namespaces.reproducible.device_scalar import DeviceScalar
from pluggable_mlp.namespaces.reproducible.scaled import Scaled
from pluggable_mlp.namespaces.reproducible.tiling import Elementwise, in_blocks

Wrapped = ReproducibleArray


def _total(name: str, function: Callable[..., Array], doc: str) -> Callable[..., Wrapped]:
    """Return the function of a name, a sum without denormal numbers (`array.py` says when)."""

    def total(ns: Reproducible, x1: ArrayOrScalar, x2: ArrayOrScalar, /) -> Wrapped:
        a, b, kind = coercion.operands(name, x1, x2)
        y = function(a, b)
        if not kind:
            return Wrapped(y, ns)
        underflow1 = x1.underflow if isinstance(x1, Wrapped) else _underflow(x1, kind)
        underflow2 = x2.underflow if isinstance(x2, Wrapped) else _underflow(x2, kind)
        if (underflow1 and underflow2) or _LARGE in (underflow1, underflow2):
            return Wrapped(y, ns, LATTICE)
        if PRODUCTS not in (underflow1, underflow2):
            y = zero_below(ns.library, y, common.SMALLEST_NORMAL[kind])
        return Wrapped(y, ns, ANY)

    total.__doc__ = doc
    return total


_LARGE = PRODUCTS + 1  # a number from 2^-101 (2^-968) on: sums close to it are on the lattice


def _underflow(x: DeviceScalar | float, kind: str) -> int:
    if isinstance(x, DeviceScalar):
        return ANY
    size = abs(x)
    if size >= 2.0 * common.SMALLEST_PRODUCT[kind]:
        return _LARGE
    return ANY if 0.0 < size < common.SMALLEST_PRODUCT[kind] else PRODUCTS


add: Callable[..., Wrapped] = _total("add", operator.add, "Return x1 + x2, correctly rounded.")
subtract: Callable[..., Wrapped] = _total(
    "subtract", operator.sub, "Return x1 - x2, correctly rounded."
)


def multiply(ns: Reproducible, x1: ArrayOrScalar, x2: ArrayOrScalar, /) -> Wrapped:
    """Return x1 x2, correctly rounded; 0 if it is below 2^-102 (2^-969).

    8-bit fixed point times a power of two stays fixed point.
    """
    for x, factor in ((x1, x2), (x2, x1)):
        if isinstance(x, FixedPointArray) and x.fixed_point and isinstance(factor, int | float):
            scaled = x.fixed_point.scaled(float(factor))
            if scaled is not None:
                return FixedPointArray(scaled, ns)
    a, b, kind = coercion.operands("multiply", x1, x2)
    if not kind:
        return Wrapped(a * b, ns)
    product = zero_below(ns.library, a * b, common.SMALLEST_PRODUCT[kind])
    return Wrapped(product, ns, PRODUCTS)


def divide(ns: Reproducible, x1: ArrayOrScalar, x2: ArrayOrScalar, /) -> Wrapped:
    """Return x1 / x2 as the product of x1 and the reciprocal of x2, each correctly rounded.

    Within 1.5 ulp; 1 / x2 is the reciprocal.  Divisors from 2^64 on are scaled down first, as
    their reciprocals would vanish.  Division itself is not used: a compiler may take a rounded
    reciprocal in its place.
    """
    a, b, kind = coercion.operands("divide", x1, x2)
    if not kind:
        raise TypeError("divide takes float32 or float64 arrays; convert with xp.astype")
    if isinstance(x1, DeviceScalar) or isinstance(x2, DeviceScalar):  # its value decides the rule
        raise TypeError("divide takes no scalar whose value is on the device; pass its reciprocal")
    xp = ns.library
    # Tested on the operands: a 0-d NumPy array comes out as np.float64, which is a float, too.
    if not isinstance(x1, Wrapped) and a == 1.0:
        return ns.reciprocal(x2)
    if not isinstance(x2, Wrapped):
        if b != 0.0 and 2.0**-64 <= abs(1.0 / b) <= 2.0**64:
            return ns.multiply(x1, 1.0 / b)
        b = xp.full_like(a, b)
    large = xp.abs(b) >= 2.0**64
    reciprocal = in_blocks(
        ns.library, ns.queued, powers.reciprocal, xp.where(large, b * 2.0**-64, b)
    )
    quotient = common.flush_product(xp, a * reciprocal)
    return Wrapped(
        common.flush_product(xp, xp.where(large, quotient * 2.0**-64, quotient)), ns, PRODUCTS
    )


def negative(ns: Reproducible, x: Wrapped, /) -> Wrapped:
    """Return -x, exact."""
    coercion.check_numeric("negative", x)
    if not x.kind:
        return Wrapped(-x.native, ns)
    return Wrapped(0.0 - x.native, ns, x.underflow)  # +0 of 0


def positive(ns: Reproducible, x: Wrapped, /) -> Wrapped:
    """Return x."""
    coercion.check_numeric("positive", x)
    return Wrapped(+x.native, ns, x.underflow)


def square(ns: Reproducible, x: Wrapped, /) -> Wrapped:
    """Return x x, rounded as a product."""
    return multiply(ns, x, x)


def sign(ns: Reproducible, x: Wrapped, /) -> Wrapped:
    """Return -1, 0 or 1, exact; NaN of NaN."""
    coercion.check_numeric("sign", x)
    xp, a = ns.library, x.native
    if not x.kind:
        return Wrapped(xp.sign(a), ns)
    signs = xp.astype(a > 0.0, a.dtype) - xp.astype(a < 0.0, a.dtype)
    return Wrapped(common.keep_nan(xp, a, signs), ns, PRODUCTS)


def clip(
    ns: Reproducible,
    x: Wrapped,
    /,
    min: "ArrayOrScalar | None" = None,
    max: "ArrayOrScalar | None" = None,
) -> Wrapped:
    """Return x between bounds, exact."""
    if min is not None:
        x = ns.maximum(x, min)
    return x if max is None else ns.minimum(x, max)


def copysign(ns: Reproducible, x1: ArrayOrScalar, x2: ArrayOrScalar, /) -> Wrapped:
    """Return |x1| with the sign of x2, exact; zero and NaN are positive."""
    coercion.check_floating("copysign", x1 if isinstance(x1, Wrapped) else x2)
    a, b = coercion.pair("copysign", x1, x2)
    xp = ns.library
    magnitude = xp.full_like(b, abs(a)) if isinstance(a, float) else xp.abs(a)
    b = xp.full_like(magnitude, b) if isinstance(b, float) else b
    return Wrapped(xp.where(b < 0.0, 0.0 - magnitude, magnitude), ns, coercion.underflow_of(x1))


def where(ns: Reproducible, condition: Wrapped, x1: ArrayOrScalar, x2: ArrayOrScalar, /) -> Wrapped:
    """Return the elements of x1 where the condition holds, else those of x2."""
    a, b = coercion.pair("where", x1, x2)
    return Wrapped(ns.library.where(condition.native, a, b), ns, coercion.underflow_of(x1, x2))


def signbit(ns: Reproducible, x: Wrapped, /) -> Wrapped:
    """Return whether x < 0; zeros and NaN are positive."""
    coercion.check_floating("signbit", x)
    return Wrapped(x.native < 0.0, ns)


def pow(ns: Reproducible, x1: ArrayOrScalar, x2: ArrayOrScalar, /) -> Wrapped:
    """Return x1 to an integer power by repeated squaring, each product rounded.

    Within about |n| ulp.  The power 0.5 is `sqrt`, negative ones are reciprocals, whatever x^|n|
    is.  Integers are raised as `integers.power` says.

    Raises
    ------
    TypeError
        If floats are raised to another power, or to an array of powers.
    """
    kind = coercion.operands("pow", x1, x2)[2]
    if not kind:
        return integers.power(ns, x1, x2)
    if isinstance(x1, Wrapped) and isinstance(x2, int | float):
        if x2 == 0.5:
            return ns.sqrt(x1)
        if float(x2).is_integer() and abs(x2) <= 2**20:
            return _integer_power(ns, x1, int(x2))
    raise TypeError(
        "the reproducible namespace has no rule for powers other than integers and 0.5; "
        "xp.exp(y * xp.log(x)) has one"
    )


def _integer_power(ns: Reproducible, x: Wrapped, exponent: int) -> Wrapped:
    if exponent < 0:
        return Wrapped(_reciprocal_of_power(ns, x, -exponent), ns)
    result = ns.ones_like(x)
    while exponent:
        if exponent % 2:
            result = multiply(ns, result, x)
        exponent //= 2
        if exponent:
            x = multiply(ns, x, x)
    return result


def _reciprocal_of_power(ns: Reproducible, x: Wrapped, exponent: int) -> Array:
    """Return the reciprocal of x to a positive power, which itself may vanish or overflow."""
    xp, factor = ns.library, Scaled.of(ns.library, x.native)
    power = Scaled(xp.ones_like(factor.m), xp.zeros_like(factor.k))
    while exponent:
        if exponent % 2:
            power = power.times(xp, factor)
        exponent //= 2
        if exponent:
            factor = factor.times(xp, factor)
    reciprocal = Scaled(in_blocks(ns.library, ns.queued, powers.reciprocal, power.m), -power.k)
    return reciprocal.value(xp, common.SMALLEST_NORMAL[x.kind])


def _expm1(xp: Namespace, x: Array) -> Array:
    """Return e^x - 1 of the parts of e^x (Tang 1989), which lose nothing near 0."""
    y = xp.astype(x, xp.float64, copy=False)
    k, high, middle, low = powers.exp_parts(xp, xp.minimum(xp.maximum(y, -40.0), 60.0))
    scale = common.power_of_two(xp, k)
    high *= scale
    high -= 1.0
    middle *= scale
    middle += low * scale
    high += middle
    y = xp.where(xp.abs(y) < 2.0**-54, y, high)  # x²/2 is below half of the last place of x
    y = common.flush(xp, xp.astype(y, x.dtype, copy=False))
    return common.keep_nan(xp, x, xp.where(x > 60.0, powers.exp(xp, x), y))


def _log10(xp: Namespace, x: Array) -> Array:
    """Return the natural logarithm times a constant, both in float64."""
    y = powers.log(xp, xp.astype(x, xp.float64, copy=False)) * (1.0 / math.log(10.0))
    return xp.astype(y, x.dtype, copy=False)


def _log2(xp: Namespace, x: Array) -> Array:
    """Return the natural logarithm times a constant, in float64; exact for powers of two."""
    wide = xp.astype(x, xp.float64, copy=False)
    y = powers.log(xp, wide) * (1.0 / math.log(2.0))
    nearest = xp.round(xp.where(xp.isfinite(y), y, 0.0))
    exponent = xp.astype(nearest, xp.int64)
    power = common.power_of_two(xp, xp.minimum(xp.maximum(exponent, -1022), 1023))
    return xp.astype(xp.where(power == wide, nearest, y), x.dtype, copy=False)


def logaddexp(ns: Reproducible, x1: ArrayOrScalar, x2: ArrayOrScalar, /) -> Wrapped:
    """Return log(e^x1 + e^x2) as max + log1p(exp(-|x1 - x2|)), within 2 ulp of the larger part."""
    larger = ns.maximum(x1, x2)
    difference = ns.abs(subtract(ns, x1, x2))
    total = add(ns, larger, ns.log1p(ns.exp(negative(ns, difference))))
    return ns.where(ns.isinf(larger), larger, total)


def _elementary(name: str, function: Elementwise) -> Callable[..., Wrapped]:
    """Return the namespace's function of a name, from one of the library's arrays."""

    def apply(ns: Reproducible, x: Wrapped, /) -> Wrapped:
        coercion.check_floating(name, x)
        return Wrapped(in_blocks(ns.library, ns.queued, function, x.native), ns)

    apply.__doc__ = function.__doc__
    return apply


def _rounded_to_integers(name: str) -> Callable[..., Wrapped]:
    def apply(ns: Reproducible, x: Wrapped, /) -> Wrapped:
        coercion.check_numeric(name, x)
        y = getattr(ns.library, name)(x.native)
        return Wrapped(y + 0.0 if x.kind else y, ns, PRODUCTS)  # +0 of -0

    return apply


# rsqrt, reciprocal, sigmoid, softplus and erf go beyond the standard.
_ELEMENTARY: dict[str, Elementwise] = {
    "exp": powers.exp,
    "expm1": _expm1,
    "log": powers.log,
    "log1p": powers.log1p,
    "log2": _log2,
    "log10": _log10,
    "tanh": sigmoid.tanh,
    "sqrt": powers.sqrt,
    "rsqrt": powers.rsqrt,
    "reciprocal": powers.reciprocal,
    "sigmoid": sigmoid.sigmoid,
    "softplus": sigmoid.softplus,
    "erf": error_function.erf,
}

FUNCTIONS: dict[str, Callable[..., Wrapped]] = {
    "add": add,
    "subtract": subtract,
    **kinds.by_name(multiply, divide, negative, positive, square, sign, signbit),
    **kinds.by_name(clip, copysign, where, pow, logaddexp),
    **{name: _elementary(name, function) for name, function in _ELEMENTARY.items()},
    **{name: _rounded_to_integers(name) for name in ("ceil", "floor", "round", "trunc")},
}
