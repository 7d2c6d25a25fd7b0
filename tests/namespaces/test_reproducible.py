"""The reproducible namespace: the same bits on every library, its facts, its refusals.

Bits are compared with those over NumPy; values are in test_reproducible_values.py.
"""

import math
import re
from pathlib import Path
from typing import Any

import array_api_compat.numpy
import numpy as np
import pytest

from pluggable_mlp import get_backend, reproducible, special, to_native
from pluggable_mlp.backends import Backend
from pluggable_mlp.elementary.common import SMALLEST_NORMAL, SMALLEST_PRODUCT
from pluggable_mlp.namespaces.reproducible.array import ANY, LATTICE, PRODUCTS
from tests.elementary.cases import every_kind

pytestmark = pytest.mark.quick_on("jax:cpu")

NUMPY = reproducible(array_api_compat.numpy)
DTYPES = ("float32", "float64")


def of(backend: Backend) -> Any:
    return reproducible(backend.xp, getattr(backend, "run_all", None) or _one_by_one)


def _one_by_one(function: Any, items: Any) -> list[Any]:
    return [function(item) for item in items]


def bits(backend: Backend, wrapped: Any) -> bytes:
    return np.ascontiguousarray(backend.to_numpy(to_native(wrapped))).tobytes()


# fmt: off
NAMES = (
    "abs", "ceil", "exp", "expm1", "floor", "log", "log10", "log1p", "log2", "negative", "positive",
    "reciprocal", "round", "sign", "sqrt", "square", "tanh", "trunc", "sigmoid", "softplus", "erf",
    "rsqrt", "sum", "mean", "var", "std", "prod", "max", "min", "argmax", "sort", "cumulative_prod",
    "cumulative_sum", "diff", "isfinite", "signbit",
)
# fmt: on
UNARY = {name: lambda xp, x, name=name: getattr(xp, name)(x) for name in NAMES} | {
    "clip": lambda xp, x: xp.clip(x, -1.0, 2.5),
    "cube": lambda xp, x: x**3,
    "inverse square": lambda xp, x: x**-2,
    "root": lambda xp, x: x**0.5,
    "vector_norm": lambda xp, x: xp.linalg.vector_norm(x),
    "thirds": lambda xp, x: x / 3.0,
    "scalar over": lambda xp, x: 0.1 / x,
    "scalar minus": lambda xp, x: 1.0 - x,
    "take": lambda xp, x: xp.take(x, xp.argsort(x[:60])),
    "where": lambda xp, x: xp.where(x > 0.0, x, 0.5),
    "float32": lambda xp, x: xp.astype(x, xp.float32),
}
BINARY = {
    "add": lambda xp, x, y: x + y,
    "subtract": lambda xp, x, y: x - y,
    "multiply": lambda xp, x, y: x * y,
    "divide": lambda xp, x, y: x / y,
    "divide by one of a row": lambda xp, x, y: x / y[..., :1],
    "maximum": lambda xp, x, y: xp.maximum(x, y),
    "copysign": lambda xp, x, y: xp.copysign(x, y),
    "logaddexp": lambda xp, x, y: xp.logaddexp(x, y),
    "less": lambda xp, x, y: x < y,
    "matmul": lambda xp, x, y: xp.reshape(x, (-1, 60)) @ xp.reshape(y, (60, -1)),
    "vecdot": lambda xp, x, y: xp.vecdot(xp.reshape(x, (-1, 60)), xp.reshape(y, (-1, 60))),
    "tensordot": lambda xp, x, y: xp.tensordot(
        xp.reshape(x, (-1, 3, 4)), xp.reshape(y, (3, 4, -1))
    ),
}


def operands(dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Return 6,000 numbers of every kind, and as many moderate ones."""
    x = every_kind(dtype)[::5]
    return x, np.random.default_rng(3).normal(0.0, 2.0, x.size).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [*UNARY, *BINARY])
def test_every_library_gives_the_bits_of_numpy(backend: Backend, name: str, dtype: str) -> None:
    if name in UNARY:
        arguments: tuple[np.ndarray, ...] = operands(dtype)[:1]
        function: Any = UNARY[name]
        if name in ("prod", "var", "std", "vector_norm", "cumulative_prod", "cumulative_sum"):
            arguments = operands(dtype)[1:]  # of all kinds NaN would hide the rest
    else:
        arguments, function = operands(dtype), BINARY[name]
    xp = of(backend)
    with np.errstate(all="ignore"):
        found = function(xp, *(xp.asarray(backend.asarray(x)) for x in arguments))
        expected = function(NUMPY, *map(NUMPY.asarray, arguments))
    assert bits(backend, found) == np.ascontiguousarray(to_native(expected)).tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_operation_gives_denormal_numbers_or_negative_zeros(
    backend: Backend, dtype: str
) -> None:
    xp, least = of(backend), float(np.finfo(dtype).smallest_normal)
    entering = np.asarray([1.5 * least, -1.25 * least, least / 2, -0.0, 0.0], dtype)
    x = xp.asarray(backend.asarray(entering))
    small = xp.asarray(backend.asarray(np.asarray([least], dtype)))
    results = [
        x,
        -x,
        x - small,
        x + x * -1.0,
        x * x,
        -small * small,
        xp.round(x),
        x - x,
        -xp.abs(x),
    ]
    for result in results:
        found = backend.to_numpy(to_native(result))
        assert not np.any((found != 0.0) & (np.abs(found) < least))
        assert not np.any(np.signbit(found) & (found == 0.0))


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_known_of_the_smallest_values_is_true(dtype: str) -> None:
    """Of every result: classes that `array.py` defines, which decide where sums are flushed."""
    random, size = np.random.default_rng(4), 120
    least, smallest = SMALLEST_NORMAL[dtype], SMALLEST_PRODUCT[dtype]
    numbers = [1.5 * least, 0.75 * smallest, smallest, 3.0 * smallest, 0.0]
    places = 1.0 + np.finfo(dtype).eps * random.integers(0, 8, size)
    anything = [
        least * random.uniform(1.0, 8.0, size),
        *(number * places for number in numbers),
        2.0**-110 * random.uniform(1.0, 2.0, size),
    ]
    arrays = [NUMPY.asarray(x.astype(dtype)) for x in anything]
    arrays += [x * 1.0 for x in arrays]  # those below the smallest product are 0
    arrays += [x - smallest for x in arrays[10:12]]
    assert {x.underflow for x in arrays} == {ANY, LATTICE, PRODUCTS}
    with np.errstate(all="ignore"):
        results = [function(NUMPY, x) for function in UNARY.values() for x in arrays]
    for a in arrays:
        for b in [*arrays, *numbers]:
            results += [a + b, a - b, b - a, NUMPY.maximum(a, b), NUMPY.where(a > b, a, b)]
        for b in arrays:
            whole = NUMPY.ones((1, size), dtype=a.dtype)
            results += [NUMPY.sum(NUMPY.stack([a, -b[::-1]]) * 1.0, axis=0)]
            results += [special.affine(NUMPY, NUMPY.reshape(a, (-1, 1)), whole, -b)]
    for result in (result for result in results if result.kind):
        x = np.abs(to_native(result).astype("float64"))
        x = x[np.isfinite(x) & (x > 0.0)]
        least, smallest = SMALLEST_NORMAL[result.kind], SMALLEST_PRODUCT[result.kind]
        assert np.all(x >= (smallest if result.underflow == PRODUCTS else least))
        assert result.underflow == ANY or not np.any(x % (2.0 * least))


def test_pixels_are_known_as_fixed_point() -> None:
    generator = np.random.default_rng(12)
    pixels = generator.integers(0, 256, (50, 60), dtype=np.uint8)
    W = generator.normal(0.0, 1.0, (60, 7)).astype(np.float32)
    x = NUMPY.astype(NUMPY.asarray(pixels), NUMPY.float32) * 2.0**-8
    assert x.fixed_point is not None
    assert x.mT.fixed_point is not None
    assert (x * 0.1).fixed_point is None
    found = to_native(x @ NUMPY.asarray(W))
    exact = (pixels / 256.0) @ W.astype(np.float64)
    # Two products of slices would leave 2^-29 of the largest; one of 35 bits leaves nothing here.
    np.testing.assert_array_equal(found, exact.astype(np.float32))
    np.testing.assert_array_equal(to_native(x.mT), (pixels.T / 256.0).astype(np.float32))


def test_every_nan_has_the_same_bits(backend: Backend) -> None:
    xp = of(backend)
    inf = xp.asarray(backend.asarray(np.asarray([math.inf, -math.inf, 1.0], np.float32)))
    with np.errstate(invalid="ignore"):
        results = (inf - inf, inf * 0.0, xp.log(-xp.abs(inf)), xp.max(inf - inf))
    for result in results:
        found = np.atleast_1d(backend.to_numpy(to_native(result)))
        assert set(found[np.isnan(found)].view(np.uint32).tolist()) == {0x7FC00000}


def test_functions_without_a_rule_are_refused_by_name() -> None:
    x = NUMPY.asarray([1.0, 2.0])
    with pytest.raises(AttributeError, match=r"\(numpy\)\.linalg has no rule for 'svd': its"):
        NUMPY.linalg.svd(x)
    with pytest.raises(AttributeError, match=r"reproducible\(numpy\) has no rule for 'sin'"):
        NUMPY.sin(x)
    assert not hasattr(NUMPY, "fft")
    for wrong, match in (
        (lambda: x % 2.0, "no rule for remainder of floats"),
        (lambda: NUMPY.asarray(1.0) // 2, "no rule for floor_divide of floats"),
        (lambda: x**x, "no rule for powers"),
        (lambda: x**0.3, "no rule for powers"),
        (lambda: x + NUMPY.asarray([1, 2]), "mixes no integers with floats"),
        (lambda: NUMPY.asarray([1, 2]) * 0.5, "expected a scalar of its kind"),
        (lambda: NUMPY.asarray([1j]), "complex128, expected float32"),
        (lambda: NUMPY.astype(x, np.float16), "float16, expected float32"),
        (lambda: NUMPY.linalg.vector_norm(x, ord=3), "ord is 3"),
        (lambda: to_native(np.ones(3)), r"expected an array of pluggable_mlp.reproducible\(xp\)"),
        (
            lambda: x + reproducible(get_backend("array_api_strict").xp).asarray([1.0]),
            "expected one",
        ),
        (lambda: x + np.ones(2), "ReproducibleArray"),
    ):
        with pytest.raises((TypeError, ValueError), match=match):
            wrong()


def test_the_namespace_is_found_from_its_arrays() -> None:
    x = NUMPY.asarray([1.0])
    assert array_api_compat.array_namespace(x, x) is NUMPY
    assert reproducible(array_api_compat.numpy) is NUMPY
    assert "sin" not in dir(NUMPY)
    assert {"exp", "asarray", "linalg"} <= set(dir(NUMPY))


def test_numpy_and_its_wrapper_are_one_namespace_with_the_keywords_of_the_standard() -> None:
    assert reproducible(np) is reproducible(array_api_compat.numpy)
    x = reproducible(np).asarray([1.0, 3.0, 0.0])
    assert to_native(NUMPY.sort(x, descending=True)).tolist() == [3.0, 1.0, 0.0]
    places = NUMPY.argsort(x, descending=True)
    assert to_native(places).tolist() == [1, 0, 2]
    assert to_native(NUMPY.take_along_axis(x, places)).tolist() == [3.0, 1.0, 0.0]  # no axis
    assert to_native(NUMPY.count_nonzero(x)).shape == ()


def test_the_page_lists_every_function() -> None:
    file = Path(__file__).parents[2] / "docs" / "reference" / "reproducible-namespace.md"
    page = file.read_text("utf-8")
    rows = [row.split("|")[1] for row in page.splitlines() if row.startswith("| `")]
    listed = {name for row in rows for name in re.findall(r"`([\w.]+)`", row)}
    functions = {name for name in dir(NUMPY) if callable(getattr(NUMPY, name))}
    functions -= {name for name in functions if isinstance(getattr(NUMPY, name), type)}  # dtypes
    linalg = {f"linalg.{name}" for name in vars(NUMPY.linalg) if name != "__name__"}
    assert listed == (functions | linalg) - {"of_library", "value_for"}
