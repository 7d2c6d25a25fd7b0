"""Checks of the arithmetic of a backend's arrays: dtypes, rounding, NaN."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.backends import Backend, Compiler
from pluggable_mlp.testing.checks import Grade, NotOffered, check, expect

_COUNT = 4096


def _hard_numbers(dtype: type, seed: int) -> NDArray[Any]:
    """Return numbers of all moderate magnitudes, so that no result of two is out of range."""
    rng = np.random.default_rng(seed)
    powers = rng.integers(-20, 20, _COUNT)
    return np.ldexp(rng.uniform(-1.0, 1.0, _COUNT), powers).astype(dtype)


@check(Grade.RUNS)
def dtype_promotion(backend: Backend) -> None:
    """Results have the dtypes that the standard asks for."""
    xp = backend.xp
    make = {name: backend.asarray([1, 2], dtype=name) for name in _PROMOTED}
    x, scalar = make["float32"], backend.asarray(2.0, dtype="float32")
    cases: dict[str, tuple[Array, str]] = {
        "float32 * a Python number": (x * 2.0, "float32"),
        "1 / float32": (1 / x, "float32"),
        "float32 * float32 without axes": (x * scalar, "float32"),
        "float32 + float64": (x + make["float64"], "float64"),
        "int8 + int16": (make["int8"] + make["int16"], "int16"),
        "uint8 + int16": (make["uint8"] + make["int16"], "int16"),
        "uint8 * a Python integer": (make["uint8"] * 2, "uint8"),
        "float32 @ float32": (x @ x, "float32"),
        "float32 > float32": (x > scalar, "bool"),
        "sum of float32": (xp.sum(x), "float32"),
        "mean of float32": (xp.mean(x), "float32"),
        "max of float32": (xp.max(x), "float32"),
        "exp of float32": (xp.exp(x), "float32"),
        "where of float32": (xp.where(x > 1.0, x, -x), "float32"),
        "astype to int32": (xp.astype(x, xp.int32), "int32"),
    }
    for name, (result, dtype) in cases.items():
        expect(result.dtype == getattr(xp, dtype), f"{name} is {result.dtype}, expected {dtype}")


_PROMOTED = ("float32", "float64", "int8", "int16", "uint8")


@check(Grade.AGREES)
def not_a_number(backend: Backend) -> None:
    """NaN is not lost in sums, maxima, minima, products and comparisons."""
    xp = backend.xp
    x, one = backend.asarray([1.0, np.nan, 2.0]), backend.asarray(1.0)
    for name, result in {
        "sum": xp.sum(x),
        "max": xp.max(x),
        "min": xp.min(x),
        "maximum(NaN, 1)": xp.maximum(x, one)[1],
        "minimum(1, NaN)": xp.minimum(one, x)[1],
        "NaN * 0": (x * 0.0)[1],
        "x @ x": x @ x,
        "abs": xp.abs(x)[1],
        "exp": xp.exp(x)[1],
    }.items():
        found = float(backend.to_numpy(result))
        expect(np.isnan(found), f"{name} of [1, NaN, 2] is {found}, expected NaN")
    for name, result in {"NaN == NaN": x == x, "NaN > 1": x > 1.0, "NaN < 1": x < 1.0}.items():  # noqa: PLR0124
        expect(not bool(backend.to_numpy(result)[1]), f"{name} is true")
    found = backend.to_numpy(xp.isnan(x)).tolist()
    expect(found == [False, True, False], f"isnan of [1, NaN, 2] is {found}")


@check(Grade.AGREES)
def rounding_of_operations(backend: Backend) -> None:
    """Sums, differences, products and quotients are rounded as IEEE 754 says."""
    operations: dict[str, Callable[[Array, Array], Array]] = {
        "a + b": lambda a, b: a + b,
        "a - b": lambda a, b: a - b,
        "a * b": lambda a, b: a * b,
        "a / b": lambda a, b: a / b,
    }
    for dtype in (np.float32, np.float64):
        a, b = _hard_numbers(dtype, 1), _hard_numbers(dtype, 2)
        for name, operation in operations.items():
            _expect_equal(
                f"{name} in {np.dtype(dtype)}",
                backend.to_numpy(operation(backend.asarray(a), backend.asarray(b))),
                operation(a, b),
                (a, b),
            )


@check(Grade.AGREES)
def contracted_products(backend: Backend) -> None:
    """A product is rounded before something is added to it: there is no fused multiply-add."""
    for dtype in (np.float32, np.float64):
        a, b = _hard_numbers(dtype, 3), _hard_numbers(dtype, 4)
        c = -(a * b)
        x, y, z = (backend.asarray(each) for each in (a, b, c))
        _expect_equal(
            f"a * b + c in {np.dtype(dtype)}",
            backend.to_numpy(x * y + z),
            np.zeros_like(a),
            (a, b),
        )


def _product_and_sum(xp: Namespace, a: Array, b: Array, c: Array) -> Array:
    """Return a b + c; a backend may compile functions of this package alone."""
    return a * b + c


@check(Grade.SAME_BITS)
def contracted_products_in_exact_functions(backend: Backend) -> None:
    """`compile` with `exact` contracts no product and sum either."""
    compiled = None
    if isinstance(backend, Compiler):
        compiled = backend.compile(partial(_product_and_sum, backend.xp), exact=True)
    if compiled is None:
        raise NotOffered("it compiles nothing exactly")
    for dtype in (np.float32, np.float64):
        a, b = _hard_numbers(dtype, 3), _hard_numbers(dtype, 4)
        arrays = [backend.asarray(each) for each in (a, b, -(a * b))]
        for _ in range(3):  # some compile at the second call
            found = backend.to_numpy(compiled(*arrays))
            _expect_equal(f"a * b + c in {np.dtype(dtype)}", found, np.zeros_like(a), (a, b))


def _expect_equal(
    name: str, found: NDArray[Any], expected: NDArray[Any], operands: tuple[NDArray[Any], ...]
) -> None:
    differ = found != expected
    if np.any(differ):
        place = int(np.argmax(differ))
        values = ", ".join(float(each[place]).hex() for each in operands)
        expect(
            False,
            f"{name} differs in {int(np.sum(differ))} of {differ.size} cases, first for {values}: "
            f"{float(found[place]).hex()}, expected {float(expected[place]).hex()}",
        )
