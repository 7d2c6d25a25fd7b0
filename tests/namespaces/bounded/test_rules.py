"""Each rule of the error bounds against exact arithmetic, on operands that are wrong already.

An operand is known as a value m and an error e.  Here the exact x, the computed x̂ and m are put
as far from each other as e allows; the operation on x̂ in the dtype must then lie within the
bound around the operation on x, carried out by mpmath in 60 digits.  A rule that forgets a term
fails; and since errors are extreme here, a rule that is far too generous is caught as well.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import mpmath
import numpy as np
import pytest

from pluggable_mlp import special
from pluggable_mlp.namespaces.bounded.array import Bounded, NoBoundError, Precision
from pluggable_mlp.namespaces.bounded.namespace import BoundedNamespace

SIZE = 300


class Operand(NamedTuple):
    computed: Any
    exact: Any
    bounded: Bounded


def operand(rng: np.random.Generator, computed: Any, error: Any, dtype: str) -> Operand:
    """Return x̂ with an exact x at a distance of e, or of 0, and m at as much on the other side."""
    computed = computed.astype(dtype)
    signs = rng.choice([-1.0, 0.0, 1.0], size=computed.shape)
    exact = [mpmath.mpf(float(x)) + s * mpmath.mpf(e) for x, s, e in flat(computed, signs, error)]
    away = rng.choice([-1.0, 1.0], size=computed.shape)
    value = [float(x + a * mpmath.mpf(e)) for x, a, e in flat(exact, away, error)]
    exact = np.array(exact, dtype=object).reshape(computed.shape)
    # Rounding x and m to float64 may add half an ulp to their distance.
    error = error + 2.0**-52 * (np.abs(computed.astype(np.float64)) + error)
    value = np.reshape(value, computed.shape)
    return Operand(computed, exact, Bounded(value, error, BoundedNamespace(dtype)))


def flat(*arrays: Any) -> Any:
    return zip(*(np.ravel(np.asarray(array)).tolist() for array in arrays), strict=True)


def elementwise(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *x: np.frompyfunc(function, len(x), 1)(*x)


class Rule(NamedTuple):
    """An operation on arrays of a namespace, the exact one, and where its operands lie."""

    apply: Callable[..., Any]
    exact: Callable[..., Any]
    low: float
    high: float
    operands: int = 1
    near: float = 0.25  # the part of its bound that some error comes to


RULES = {
    "+": Rule(lambda _, x, y: x + y, lambda x, y: x + y, -3, 3, 2),
    "-": Rule(lambda _, x, y: x - y, lambda x, y: x - y, -3, 3, 2),
    "*": Rule(lambda _, x, y: x * y, lambda x, y: x * y, -3, 3, 2),
    "/": Rule(lambda _, x, y: x / y, lambda x, y: x / y, 1, 3, 2),
    "1 - x": Rule(lambda _, x: 1.0 - x, lambda x: 1 - x, -3, 3),
    "x / 3": Rule(lambda _, x: x * (1.0 / 3.0), lambda x: x * mpmath.mpf(1.0 / 3.0), -3, 3),
    "1 / x": Rule(lambda _, x: 1.0 / x, lambda x: 1 / x, 1, 3),
    "x / 8": Rule(lambda _, x: x * 0.125, lambda x: x / 8, -3, 3),
    "exp": Rule(lambda xp, x: xp.exp(x), elementwise(mpmath.exp), -20, 3),
    "log": Rule(lambda xp, x: xp.log(x), elementwise(mpmath.log), 0.5, 9),
    "log1p": Rule(lambda xp, x: xp.log1p(x), elementwise(mpmath.log1p), 0.05, 3),
    "tanh": Rule(lambda xp, x: xp.tanh(x), elementwise(mpmath.tanh), -3, 3),
    "sqrt": Rule(lambda xp, x: xp.sqrt(x), elementwise(mpmath.sqrt), 0.5, 9),
    "erf": Rule(special.erf, elementwise(mpmath.erf), -2, 2),
    "abs": Rule(lambda xp, x: xp.abs(x), abs, -3, 3),
    "maximum": Rule(lambda xp, x: xp.maximum(x, 0.0), elementwise(lambda x: max(x, 0)), -1, 1),
    "minimum": Rule(lambda xp, x: xp.minimum(x, 0.0), elementwise(lambda x: min(x, 0)), -1, 1),
    "relu": Rule(
        lambda xp, x: xp.where(x > 0.0, x, 0.0), elementwise(lambda x: max(x, 0)), -1e-2, 1e-2
    ),
    "step": Rule(
        lambda xp, x, y: xp.where(x >= 0.0, y, 5.0),
        elementwise(lambda x, y: y if x >= 0 else mpmath.mpf(5)),
        -1e-2,
        1e-2,
        2,
    ),
    "max": Rule(
        lambda xp, x: xp.max(x.reshape(20, 15), axis=-1), lambda x: x.reshape(20, 15).max(-1), -3, 3
    ),
    "sum": Rule(
        lambda xp, x: xp.sum(x.reshape(20, 15), axis=-1), lambda x: x.reshape(20, 15).sum(-1), -3, 3
    ),
    "mean": Rule(
        lambda xp, x: xp.mean(x.reshape(15, 20), axis=-2),
        lambda x: x.reshape(15, 20).sum(0) / 15,
        -3,
        3,
    ),
    "matmul": Rule(
        lambda xp, x, y: xp.matmul(x.reshape(20, 15), y.reshape(20, 15).mT),
        lambda x, y: x.reshape(20, 15) @ y.reshape(20, 15).T,
        -3,
        3,
        2,
    ),
    "affine": Rule(
        lambda xp, x, y, b: special.affine(
            xp, xp.reshape(x, (20, 15)), xp.reshape(y, (15, 20)), b[:20]
        ),
        lambda x, y, b: x.reshape(20, 15) @ y.reshape(15, 20) + b[:20],
        -3,
        3,
        3,
    ),
    "square": Rule(lambda xp, x: xp.square(x), lambda x: x * x, -3, 3),
    "add": Rule(lambda xp, x, y: xp.add(x, y), lambda x, y: x + y, -3, 3, 2),
    "subtract": Rule(lambda xp, x, y: xp.subtract(x, y), lambda x, y: x - y, -3, 3, 2),
    "multiply": Rule(lambda xp, x, y: xp.multiply(x, y), lambda x, y: x * y, -3, 3, 2),
    "divide": Rule(lambda xp, x, y: xp.divide(x, y), lambda x, y: x / y, 1, 3, 2),
    "negative": Rule(lambda xp, x: xp.negative(x), lambda x: -x, -3, 3),
    "reciprocal": Rule(lambda xp, x: xp.reciprocal(x), lambda x: 1 / x, 1, 3),
    "expm1": Rule(lambda xp, x: xp.expm1(x), elementwise(mpmath.expm1), -20, 3),
    "log2": Rule(lambda xp, x: xp.log2(x), elementwise(lambda x: mpmath.log(x, 2)), 0.5, 9),
    "log10": Rule(lambda xp, x: xp.log10(x), elementwise(mpmath.log10), 0.5, 9),
    "x ** 3": Rule(lambda _, x: x**3, lambda x: x**3, -3, 3),
    "x ** -2.0": Rule(lambda _, x: x**-2.0, lambda x: x**-2, 1, 3),
    # Few are next to a step: see test_steps.
    "floor": Rule(lambda xp, x: xp.floor(x), elementwise(mpmath.floor), -9, 9, near=-1),
    "ceil": Rule(lambda xp, x: xp.ceil(x), elementwise(mpmath.ceil), -9, 9, near=-1),
    "trunc": Rule(
        lambda xp, x: xp.trunc(x), elementwise(lambda x: mpmath.mpf(int(x))), -9, 9, near=-1
    ),
    "round": Rule(lambda xp, x: xp.round(x), elementwise(mpmath.nint), -9, 9, near=-1),
    "clip": Rule(
        lambda xp, x: xp.clip(x, -0.5, 2.0),
        elementwise(lambda x: min(max(x, mpmath.mpf(-0.5)), mpmath.mpf(2))),
        -3,
        3,
    ),
    "min": Rule(
        lambda xp, x: xp.min(xp.reshape(x, (20, 15)), axis=-1),
        lambda x: x.reshape(20, 15).min(-1),
        -3,
        3,
    ),
    "concat and tile": Rule(
        lambda xp, x, y: xp.tile(xp.concat([x, y + y]), (2, 1)),
        lambda x, y: np.tile(np.concat([x, y + y]), (2, 1)),
        -3,
        3,
        2,
    ),
    "lerp_and_difference": Rule(
        lambda xp, x, y, a: special.lerp_and_difference(xp, x, y, a)[0],
        lambda x, y, a: (1 - a) * x + a * y,
        -3,
        3,
        3,
    ),
    "complementary_products": Rule(
        lambda xp, x, a: xp.concat([*special.complementary_products(xp, x, a)]),
        lambda x, a: np.concat([a * x, (1 - a) * x]),
        -3,
        3,
        2,
    ),
    # What special.py composes: the bound follows from the lines themselves.
    "sigmoid": Rule(special.sigmoid, elementwise(lambda x: 1 / (1 + mpmath.exp(-x))), -9, 9),
    "softplus": Rule(
        special.softplus,
        elementwise(lambda x: mpmath.log1p(mpmath.exp(x))),
        -9,
        9,
    ),
}


# An error far below, or some times as large as, or far above that of rounding.
ERRORS = {"float32": (0.0, 1e-6, 1e-3), "float64": (0.0, 1e-14, 1e-6)}


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", RULES)
def test_rule_holds_and_is_not_generous(name: str, dtype: str) -> None:
    for relative_error in ERRORS[dtype]:
        check_rule(name, relative_error, dtype)


def check_rule(name: str, relative_error: float, dtype: str) -> None:
    rule = RULES[name]
    rng = np.random.default_rng(sum(map(ord, name)))
    with mpmath.workdps(60):
        operands = []
        for _ in range(rule.operands):
            x = rng.uniform(rule.low, rule.high, SIZE)
            operands.append(operand(rng, x, relative_error * np.abs(x), dtype))
        exact = rule.exact(*(x.exact for x in operands))
        got = rule.apply(np, *(x.computed for x in operands))
        assert got.dtype == dtype
        bounded = rule.apply(BoundedNamespace(dtype), *(Reshaping.of(x.bounded) for x in operands))
        parts = [
            float(abs(mpmath.mpf(float(a)) - b) / mpmath.mpf(e)) if e else float(a - b)
            for a, b, e in flat(got, exact, bounded.spread / 2.0)
        ]
    case = f"operands off by {relative_error} in {dtype}"
    assert max(parts) <= 1.0, case
    # Where the operands' errors dominate those of rounding, some elements come near the bound:
    # as near as random signs do that are summed over up to 20 terms.
    if relative_error > (1e-4 if dtype == "float32" else 1e-10):
        assert max(parts) > rule.near, case


class Reshaping(Bounded):
    """A `Bounded` array with the one method that only this test's rules call."""

    @classmethod
    def of(cls, x: Bounded) -> "Reshaping":
        return cls(x.value, x.error, x.namespace)

    def reshape(self, *shape: int) -> Bounded:
        return self.rearranged(lambda x: x.reshape(shape))


@pytest.mark.parametrize("terms", [400, 3000])
@pytest.mark.parametrize("deviations", [1.0, 2.0, 8.0])
def test_probable_sums(deviations: float, terms: int) -> None:
    """Roundings of u with random signs, as large as they can be: often near, seldom beyond.

    The errors of sums are nearly normal; the bound of Azuma and Hoeffding is 3 to 7 times as
    improbable as their tails are.
    """
    precision = Precision(np.dtype("float32"), deviations)
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(2000, terms))
    errors = np.abs(2.0**-24 * np.sum(signs, axis=-1))
    beyond = float(np.mean(errors > precision.rounding(np.asarray(1.0), terms)))
    assert beyond <= precision.improbability
    assert precision.improbability == pytest.approx(2.0 * math.exp(-0.5 * deviations**2))
    if deviations < 3.0:
        assert beyond > precision.improbability / 8.0
    worst = Precision(np.dtype("float32")).rounding(np.asarray(1.0), terms)
    assert precision.rounding(np.asarray(1.0), terms) < worst


@pytest.mark.parametrize("terms", [2, 5, 1000])
def test_every_rounding_of_a_sum_is_in_its_bound(terms: int) -> None:
    """n - 1 additions of ones; a product before each term of an inner product."""
    xp, x, u = BoundedNamespace("float32"), np.ones((1, terms), dtype=np.float32), 2.0**-24
    for found, roundings in ((xp.sum(x), terms - 1), (xp.matmul(x, x.T), terms)):
        gamma = roundings * u / (1.0 - roundings * u)
        assert found.error.max() == pytest.approx(gamma * terms, rel=1e-12)


def test_a_quotient_may_be_two_ulps_off() -> None:
    """A compiler may multiply by the rounded reciprocal: 4 u of the quotient, and no more."""
    quotient = 1.0 / BoundedNamespace("float32").asarray(np.asarray([3.0, 5.0]))
    np.testing.assert_allclose(quotient.error, 4.0 * 2.0**-24 / np.asarray([3.0, 5.0]), rtol=1e-5)


def test_a_root_next_to_zero() -> None:
    """Where the derivative is infinite, the root of the error bounds the error of the root."""
    xp = BoundedNamespace("float64")
    x = Bounded(np.asarray([0.0, 1e-8, 0.0]), np.asarray([1e-6, 1e-6, 0.0]), xp)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = xp.sqrt(x).error
    assert (error[:2] >= np.sqrt(1e-6) * (1.0 - 1e-12)).all()
    assert (error[:2] <= 1.5 * np.sqrt(1e-6)).all()
    assert error[2] == 0.0


def test_powers_of_two_and_exact_zeros_cost_nothing() -> None:
    xp = BoundedNamespace("float32")
    x = xp.asarray(np.asarray([3.0, 0.0], dtype="float32"))
    assert (x * 0.25).error.max() < 1e-36
    assert (x * 0.3).error[0] > 1e-9
    zero = xp.matmul(np.zeros((1, 3), dtype="float32"), np.ones((3, 1), dtype="float32"))
    assert zero.error.max() == 0.0


def test_denormal_numbers_may_be_zeros() -> None:
    xp = BoundedNamespace("float32")
    tiny = np.float32(2.0**-130)
    assert xp.asarray(tiny).error == float(tiny)
    # 2^-100 * 2^-40 is denormal: a library may return zero.
    product = xp.asarray(np.float32(2.0**-100)) * np.float32(2.0**-40)
    assert product.error >= 2.0**-140


def test_nothing_is_known_where_a_bound_overflows() -> None:
    xp = BoundedNamespace("float64")
    with np.errstate(all="ignore"):
        y = xp.exp(Bounded(np.asarray([1.0]), np.asarray([1e4]), xp)) * 0.0
    assert y.spread.tolist() == [np.inf]


def test_a_function_without_a_rule_says_so() -> None:
    with pytest.raises(AttributeError, match=r"no error bound is known for xp\.cosh"):
        BoundedNamespace("float32").cosh(0.0)
    assert not hasattr(BoundedNamespace("float32"), "cosh")


def test_a_power_by_no_integer_says_so() -> None:
    x = BoundedNamespace("float32").asarray(np.asarray([3.0]))
    for power in (lambda: x**0.5, lambda: x**x, lambda: 2.0**x, lambda: np.asarray([2.0]) ** x):
        with pytest.raises(NoBoundError, match=r"no error bound is known for x \*\* y unless y is"):
            power()
