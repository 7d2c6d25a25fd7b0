"""Elementwise functions of the reproducible namespace, each with its rule.

Every function takes the namespace first.  Results below the smallest normal number are +0;
products keep nothing below 2^-102 (float64: 2^-969), so that sums of products need no care.
u is the unit roundoff, 2^-24 (2^-53).  Functions of integers and booleans are the library's.
"""

import math
from collections.abc import Callable
from typing import Any

from pluggable_mlp.arithmetic.reproducible import exponential, logarithm
from pluggable_mlp.arithmetic.reproducible.blocks import in_blocks
from pluggable_mlp.arithmetic.reproducible.rounding import (
    SMALLEST_PRODUCT,
    flush,
    flush_product,
    keep_nan,
    type_name,
)
from pluggable_mlp.arithmetic.reproducible.tables import power_of_two
from pluggable_mlp.arrays import Array
from pluggable_mlp.namespaces.reproducible.array import ReproducibleArray
from pluggable_mlp.namespaces.reproducible.operands import (
    check_floating,
    is_floating,
    on_lattice,
    pair,
)

__all__ = ["FUNCTIONS"]

Wrapped = ReproducibleArray


def _floats(x: Any, y: Any) -> bool:
    return any(isinstance(z, Wrapped) and is_floating(z) for z in (x, y))


def _kept(ns: Any, x1: Any, x2: Any, a: Array, b: Array, total: Array) -> Wrapped:
    """Return a sum, without the denormal numbers that it may hold.

    It holds none where both operands are multiples of twice the smallest normal number, or one
    of them is a scalar so large that what is near it is such a multiple.
    """
    least = 2.0 * SMALLEST_PRODUCT[type_name(ns.library, total)]
    if any(isinstance(z, float) and abs(z) >= least for z in (a, b)):
        return Wrapped(total, ns, True)
    lattice = on_lattice(*(z if isinstance(z, Wrapped) else float(z) for z in (x1, x2)))
    return Wrapped(total if lattice else flush(ns.library, total), ns, lattice)


def add(ns: Any, x1: Any, x2: Any, /) -> Wrapped:
    """Return x1 + x2, correctly rounded."""
    a, b = pair("add", x1, x2)
    return _kept(ns, x1, x2, a, b, a + b) if _floats(x1, x2) else Wrapped(a + b, ns)


def subtract(ns: Any, x1: Any, x2: Any, /) -> Wrapped:
    """Return x1 - x2, correctly rounded."""
    a, b = pair("subtract", x1, x2)
    return _kept(ns, x1, x2, a, b, a - b) if _floats(x1, x2) else Wrapped(a - b, ns)


def multiply(ns: Any, x1: Any, x2: Any, /) -> Wrapped:
    """Return x1 x2, correctly rounded; 0 where it is below 2^-102 (2^-969).

    8-bit fixed point times a power of two stays fixed point.
    """
    a, b = pair("multiply", x1, x2)
    if not _floats(x1, x2):
        return Wrapped(a * b, ns)
    for x, factor in ((x1, b), (x2, a)):
        if isinstance(x, Wrapped) and x.fixed_point is not None and isinstance(factor, float):
            scaled = x.fixed_point.scaled(factor)
            if scaled is not None:
                return Wrapped(None, ns, True, scaled)
    return Wrapped(flush_product(ns.library, a * b), ns, True)


def divide(ns: Any, x1: Any, x2: Any, /) -> Wrapped:
    """Return x1 / x2 as the product of x1 and the reciprocal of x2, each correctly rounded.

    Within 1.5 ulp.  Divisors from 2^64 on are scaled down first, as their reciprocals would
    vanish.  Division itself is not used: a compiler may take a rounded reciprocal in its place.
    """
    if not _floats(x1, x2):
        raise TypeError("divide takes float32 or float64 arrays; convert with xp.astype")
    xp = ns.library
    a, b = pair("divide", x1, x2)
    if isinstance(b, float):
        if b != 0.0 and 2.0**-64 <= abs(1.0 / b) <= 2.0**64:
            return multiply(ns, x1, 1.0 / b)
        b = xp.full_like(a, b)
    large = xp.abs(b) >= 2.0**64
    inverse = ns.rules.reciprocal(xp.where(large, b * 2.0**-64, b))
    quotient = flush_product(xp, a * inverse)
    return Wrapped(flush_product(xp, xp.where(large, quotient * 2.0**-64, quotient)), ns, True)


def negative(ns: Any, x: Wrapped, /) -> Wrapped:
    """Return -x, exact."""
    if not is_floating(x):
        return Wrapped(-x.native, ns)
    return Wrapped(0.0 - x.native, ns, x.on_lattice)  # +0 of 0


def positive(ns: Any, x: Wrapped, /) -> Wrapped:
    """Return x."""
    return Wrapped(+x.native, ns, x.on_lattice)


def square(ns: Any, x: Wrapped, /) -> Wrapped:
    """Return x x, rounded as a product."""
    return multiply(ns, x, x)


def sign(ns: Any, x: Wrapped, /) -> Wrapped:
    """Return -1, 0 or 1, exact; NaN of NaN."""
    xp, a = ns.library, x.native
    if not is_floating(x):
        return Wrapped(xp.sign(a), ns)
    signs = xp.astype(a > 0.0, a.dtype) - xp.astype(a < 0.0, a.dtype)
    return Wrapped(keep_nan(xp, a, signs), ns, True)


def clip(ns: Any, x: Wrapped, /, min: Any = None, max: Any = None) -> Wrapped:
    """Return x between bounds, exact."""
    if min is not None:
        x = ns.maximum(x, min)
    return x if max is None else ns.minimum(x, max)


def copysign(ns: Any, x1: Any, x2: Any, /) -> Wrapped:
    """Return |x1| with the sign of x2, exact; zero and NaN are positive."""
    a, b = pair("copysign", x1, x2)
    xp = ns.library
    magnitude = xp.full_like(b, abs(a)) if isinstance(a, float) else xp.abs(a)
    b = xp.full_like(magnitude, b) if isinstance(b, float) else b
    return Wrapped(xp.where(b < 0.0, 0.0 - magnitude, magnitude), ns, on_lattice(x1))


def signbit(ns: Any, x: Wrapped, /) -> Wrapped:
    """Whether x < 0: there is no negative zero, and every NaN is positive."""
    return Wrapped(x.native < 0.0, ns)


def pow(ns: Any, x1: Any, x2: Any, /) -> Wrapped:
    """Return x1 to an integer power by repeated squaring, each product rounded.

    Within about |n| ulp.  The power 0.5 is `sqrt`, negative ones are reciprocals.  Integers are
    the library's.

    Raises
    ------
    TypeError
        If floats are raised to another power, or to an array of powers: there is no rule.
    """
    if not _floats(x1, x2):
        a, b = pair("pow", x1, x2)
        return Wrapped(a**b, ns)
    if isinstance(x1, Wrapped) and not isinstance(x2, Wrapped):
        if x2 == 0.5:
            return ns.sqrt(x1)  # type: ignore[no-any-return]
        if float(x2).is_integer() and abs(x2) <= 2**20:
            return _integer_power(ns, x1, int(x2))
    raise TypeError(
        "the reproducible namespace has no rule for powers other than integers and 0.5; "
        "xp.exp(y * xp.log(x)) has one"
    )


def _integer_power(ns: Any, x: Wrapped, exponent: int) -> Wrapped:
    if exponent < 0:
        return divide(ns, 1.0, _integer_power(ns, x, -exponent))
    result = ns.ones_like(x)
    while exponent:
        if exponent % 2:
            result = multiply(ns, result, x)
        exponent //= 2
        if exponent:
            x = multiply(ns, x, x)
    return result  # type: ignore[no-any-return]


def _expm1(xp: Any, x: Array) -> Array:
    """Return e^x - 1 of the parts of e^x (Tang 1989), which lose nothing near 0."""
    y = xp.astype(x, xp.float64, copy=False)
    k, high, middle, low = exponential.exp_parts(xp, xp.minimum(xp.maximum(y, -40.0), 60.0))
    scale = power_of_two(xp, k)
    high *= scale
    high -= 1.0
    middle *= scale
    middle += low * scale
    high += middle
    y = xp.where(xp.abs(y) < 2.0**-54, y, high)  # x²/2 is below half of the last place of x
    y = flush(xp, xp.astype(y, x.dtype, copy=False))
    return keep_nan(xp, x, xp.where(x > 60.0, exponential.exp(xp, x), y))


def _log10(xp: Any, x: Array) -> Array:
    """Return the natural logarithm times a constant, both in float64."""
    y = logarithm.log(xp, xp.astype(x, xp.float64, copy=False)) * (1.0 / math.log(10.0))
    return xp.astype(y, x.dtype, copy=False)


def _log2(xp: Any, x: Array) -> Array:
    """Return the natural logarithm times a constant, in float64; exact for powers of two."""
    wide = xp.astype(x, xp.float64, copy=False)
    y = logarithm.log(xp, wide) * (1.0 / math.log(2.0))
    nearest = xp.round(xp.where(xp.isfinite(y), y, 0.0))
    exponent = xp.astype(nearest, xp.int64)
    power = power_of_two(xp, xp.minimum(xp.maximum(exponent, -1022), 1023))
    return xp.astype(xp.where(power == wide, nearest, y), x.dtype, copy=False)


def logaddexp(ns: Any, x1: Any, x2: Any, /) -> Wrapped:
    """Return log(e^x1 + e^x2) as max + log1p(exp(-|x1 - x2|)), within 2 ulp of the larger part."""
    larger = ns.maximum(x1, x2)
    difference = ns.abs(subtract(ns, x1, x2))
    total = add(ns, larger, ns.log1p(ns.exp(negative(ns, difference))))
    return ns.where(ns.isinf(larger), larger, total)  # type: ignore[no-any-return]


def _elementary(name: str, function: Callable[[Any, Array], Array] | None = None) -> Any:
    """Return the namespace's function of that name: a rule of the arithmetic, or one given."""

    def apply(ns: Any, x: Wrapped, /) -> Wrapped:
        check_floating(name, x)
        if function is None:
            return Wrapped(getattr(ns.rules, name)(x.native), ns)
        return Wrapped(in_blocks(function, ns.library, x.native), ns)

    return apply


def _rounded_to_integers(name: str) -> Any:
    def apply(ns: Any, x: Wrapped, /) -> Wrapped:
        y = getattr(ns.library, name)(x.native)
        return Wrapped(y + 0.0 if is_floating(x) else y, ns, True)  # +0 of -0

    return apply


# The rules that the arithmetic has; of these the standard knows no rsqrt, sigmoid, softplus, erf.
_ELEMENTARY = [
    "exp",
    "log",
    "log1p",
    "tanh",
    "sqrt",
    "rsqrt",
    "reciprocal",
    "sigmoid",
    "softplus",
    "erf",
]

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": add,
    "subtract": subtract,
    "multiply": multiply,
    "divide": divide,
    "negative": negative,
    "positive": positive,
    "square": square,
    "sign": sign,
    "clip": clip,
    "copysign": copysign,
    "signbit": signbit,
    "pow": pow,
    "logaddexp": logaddexp,
    "expm1": _elementary("expm1", _expm1),
    "log2": _elementary("log2", _log2),
    "log10": _elementary("log10", _log10),
    **{name: _elementary(name) for name in (*_ELEMENTARY, "erf")},
    **{name: _rounded_to_integers(name) for name in ("ceil", "floor", "round", "trunc")},
}
