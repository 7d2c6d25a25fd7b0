"""Dtypes of the reproducible namespace: defaults, conversions, integers; one rule on all libraries.

The expected numbers are those of integer arithmetic, done here by Python.
"""

import math
from typing import Any

import numpy as np
import pytest

from pluggable_mlp import reproducible, to_native
from pluggable_mlp.arrays import dtype_name
from pluggable_mlp.backends import Backend

pytestmark = pytest.mark.quick_on("jax:cpu")

LEAST = 2.0**-126
WIDTHS = {"int8": 8, "uint8": 8, "int16": 16, "int32": 32, "int64": 64}


def name_of(x: Any) -> str:
    return dtype_name(x.dtype).rpartition(".")[2]


def wrapped(backend: Backend, values: Any, dtype: str) -> tuple[Any, Any]:
    xp = reproducible(backend.xp)
    return xp, xp.asarray(backend.asarray(np.asarray(values, dtype)))


def listed(backend: Backend, x: Any) -> list[Any]:
    return backend.to_numpy(to_native(x)).tolist()


def wrap(value: int, dtype: str) -> int:
    """Return an integer modulo 2^bits, in the range of the dtype."""
    bits = WIDTHS[dtype]
    value %= 2**bits
    return value - 2**bits if dtype[0] == "i" and value >= 2 ** (bits - 1) else value


DEFAULTS: dict[str, tuple[Any, str]] = {
    "float": (lambda xp, d: xp.asarray(1.5, device=d), "float64"),
    "floats": (lambda xp, d: xp.asarray([[1.5, 2], [3, 4]], device=d), "float64"),
    "integer": (lambda xp, d: xp.asarray(3, device=d), "int64"),
    "integers": (lambda xp, d: xp.asarray([True, 3], device=d), "int64"),
    "booleans": (lambda xp, d: xp.asarray([True, False], device=d), "bool"),
    "nothing": (lambda xp, d: xp.asarray([], device=d), "float64"),
    "zeros": (lambda xp, d: xp.zeros((2,), device=d), "float64"),
    "ones": (lambda xp, d: xp.ones((2,), device=d), "float64"),
    "empty": (lambda xp, d: xp.empty((2,), device=d), "float64"),
    "eye": (lambda xp, d: xp.eye(2, device=d), "float64"),
    "full of a float": (lambda xp, d: xp.full((2,), 0.1, device=d), "float64"),
    "full of an integer": (lambda xp, d: xp.full((2,), 7, device=d), "int64"),
    "full of a boolean": (lambda xp, d: xp.full((2,), True, device=d), "bool"),
    "linspace": (lambda xp, d: xp.linspace(0.0, 1.0, 3, device=d), "float64"),
    "arange of floats": (lambda xp, d: xp.arange(0.0, 1.0, 0.25, device=d), "float64"),
    "arange of integers": (lambda xp, d: xp.arange(5, 0, -2, device=d), "int64"),
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_default_dtypes_are_the_same_everywhere(backend: Backend, name: str) -> None:
    make, expected = DEFAULTS[name]
    device = to_native(wrapped(backend, [0], "int64")[1]).device
    assert name_of(make(reproducible(backend.xp), device)) == expected


@pytest.mark.parametrize("name", ["argmax", "argmin", "argsort", "nonzero", "searchsorted"])
def test_places_and_counts_are_int64(backend: Backend, name: str) -> None:
    xp, x = wrapped(backend, [3.0, 1.0, 2.0], "float32")
    found = getattr(xp, name)(x, x) if name == "searchsorted" else getattr(xp, name)(x)
    for one in found if isinstance(found, tuple) else (found,):
        assert name_of(one) == "int64"
    if name == "nonzero":
        assert name_of(xp.count_nonzero(x)) == "int64"


@pytest.mark.parametrize("name", ["sum", "prod", "cumulative_sum", "cumulative_prod"])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "int64", "bool"])
def test_sums_of_integers_are_wide(backend: Backend, name: str, dtype: str) -> None:
    xp, x = wrapped(backend, [100, 120, 3] if dtype != "bool" else [True, True, True], dtype)
    found = getattr(xp, name)(x)
    assert name_of(found) == ("uint64" if dtype == "uint8" else "int64")
    exact = getattr(np, name)(backend.to_numpy(to_native(x)).astype(np.int64))
    assert listed(backend, found) == exact.tolist()


def test_the_namespace_tells_its_default_dtypes(backend: Backend) -> None:
    xp = reproducible(backend.xp)
    found = xp.__array_namespace_info__().default_dtypes()
    expected = {"real floating": xp.float64, "integral": xp.int64, "indexing": xp.int64}
    assert found == expected


@pytest.mark.parametrize("dtype", ["float64", float, int, bool])
def test_dtypes_are_the_namespaces_not_texts_nor_types_of_python(
    backend: Backend, dtype: Any
) -> None:
    xp, x = wrapped(backend, [1.0], "float32")
    for call in (
        lambda: xp.astype(x, dtype),
        lambda: xp.asarray([1.0], dtype=dtype),
        lambda: xp.sum(x, dtype=dtype),
        lambda: xp.zeros((2,), dtype=dtype),
    ):
        with pytest.raises(TypeError, match=f"dtype is {dtype!r}, expected one of xp's"):
            call()
    with pytest.raises(TypeError, match="dtype"):  # as in the standard
        xp.mean(x, dtype=xp.float64)


def test_numbers_that_are_no_arrays_are_refused(backend: Backend) -> None:
    xp, x = wrapped(backend, [1.0, 2.0], "float32")
    for wrong, error in (
        ([[1.0, 2.0], [3.0]], ValueError),
        ([x, x], TypeError),
        ([x[0], np.ones(2)], TypeError),
        ([1.0, "2"], TypeError),
        ([1j], TypeError),
        ([2**63], OverflowError),
    ):
        with pytest.raises(error):
            xp.asarray(wrong)
    with pytest.raises(OverflowError, match="300 is not in .*uint8: 0 to 255"):
        xp.asarray([300], dtype=xp.uint8)
    with pytest.raises(OverflowError):
        xp.full((2,), -1, dtype=xp.uint8)
    with pytest.raises(OverflowError):
        xp.arange(200, dtype=xp.int8)
    with pytest.raises(ValueError, match="step is 0"):
        xp.arange(0, 3, 0)
    with pytest.raises(TypeError, match="expected integers"):
        xp.arange(0.5, 3.0, dtype=xp.int32)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64"])
@pytest.mark.parametrize("of", ["float32", "float64"])
def test_floats_out_of_range_become_the_ends(backend: Backend, of: str, dtype: str) -> None:
    values = [0.0, 0.9, -0.9, 1.5, -1.5, 126.99, 128.0, -128.9, -129.0, 255.5, 256.0, 1e10, -1e10,
              2.0**31, -(2.0**31), 2.0**62, 2.0**63, -(2.0**63), 1e30, math.inf, -math.inf,
              math.nan]  # fmt: skip
    xp, x = wrapped(backend, values, of)
    info = np.iinfo(dtype)
    expected = [
        0 if math.isnan(value) else int(max(min(value, float(info.max)), float(info.min)))
        for value in np.asarray(values, of).tolist()
    ]
    expected = [max(min(value, int(info.max)), int(info.min)) for value in expected]
    assert listed(backend, xp.astype(x, getattr(xp, dtype))) == expected


@pytest.mark.parametrize("dtype", WIDTHS)
@pytest.mark.parametrize("divide", ["//", "%"])
def test_quotients_of_integers(backend: Backend, divide: str, dtype: str) -> None:
    info = np.iinfo(dtype)
    numbers = {int(info.min), int(info.max), 0, 1, 2, 7, 100, *((-1, -2, -7) if info.min else ())}
    pairs = [(a, b) for a in numbers for b in numbers]
    _, a = wrapped(backend, [a for a, _ in pairs], dtype)
    b = wrapped(backend, [b for _, b in pairs], dtype)[1]
    found = a // b if divide == "//" else a % b
    exact = [0 if y == 0 else x // y if divide == "//" else x % y for x, y in pairs]
    assert listed(backend, found) == [wrap(value, dtype) for value in exact]
    for y in (0, 2):
        found = a // y if divide == "//" else a % y
        exact = [0 if y == 0 else x // y if divide == "//" else x % y for x, _ in pairs]
        assert listed(backend, found) == exact


@pytest.mark.parametrize("dtype", WIDTHS)
def test_shifts_of_integers(backend: Backend, dtype: str) -> None:
    info, bits = np.iinfo(dtype), WIDTHS[dtype]
    numbers = {int(info.min), int(info.max), 0, 1, 5, 100, *((-1, -100) if info.min else ())}
    places = [0, 1, bits - 1, bits, bits + 1, 100, *((-1, -100) if info.min else ())]
    pairs = [(a, b) for a in numbers for b in places]
    _, a = wrapped(backend, [a for a, _ in pairs], dtype)
    _, b = wrapped(backend, [b for _, b in pairs], dtype)
    left = [0 if not 0 <= y < bits else wrap(x << y, dtype) for x, y in pairs]
    right = [x >> (y if 0 <= y < bits else bits - 1) for x, y in pairs]
    assert listed(backend, a << b) == left
    assert listed(backend, a >> b) == right
    assert listed(backend, a << 3) == [wrap(x << 3, dtype) for x, _ in pairs]
    assert listed(backend, a >> 100) == [x >> (bits - 1) for x, _ in pairs]


@pytest.mark.parametrize("dtype", WIDTHS)
def test_powers_of_integers(backend: Backend, dtype: str) -> None:
    numbers = [0, 1, 2, 3, 10, *((-1, -2, -3) if dtype[0] == "i" else ())]
    exponents = [0, 1, 2, 5, 63, 100, *((-1, -2, -3) if dtype[0] == "i" else ())]
    pairs = [(a, b) for a in numbers for b in exponents]

    def exact(x: int, n: int) -> int:
        if n >= 0:
            return wrap(x**n, dtype)
        return {1: 1, -1: (-1) ** -n}.get(x, 0)

    _, a = wrapped(backend, [a for a, _ in pairs], dtype)
    _, b = wrapped(backend, [b for _, b in pairs], dtype)
    assert listed(backend, a**b) == [exact(x, n) for x, n in pairs]
    for n in (0, 3, 100):
        assert listed(backend, a**n) == [exact(x, n) for x, _ in pairs]


def test_integer_scalars_out_of_range_are_refused(backend: Backend) -> None:
    _, x = wrapped(backend, [1, 2], "int8")
    operations: tuple[Any, ...] = (
        lambda: x + 300, lambda: 300 - x, lambda: x * -129, lambda: x < 128, lambda: x & 256,
    )  # fmt: skip
    for operation in operations:
        with pytest.raises(OverflowError, match="is not in .*int8: -128 to 127"):
            operation()
    assert listed(backend, x + 127) == [-128, -127]


def test_what_the_standard_does_not_promote_is_refused(backend: Backend) -> None:
    xp, x = wrapped(backend, [1, 2], "int64")
    booleans = wrapped(backend, [True, False], "bool")[1]
    for operation in (
        lambda: x + booleans,
        lambda: booleans + booleans,
        lambda: booleans * True,
        lambda: xp.where(booleans, x, booleans),
    ):
        with pytest.raises(TypeError):
            operation()
    small, pixels = wrapped(backend, [-3], "int8")[1], wrapped(backend, [200], "uint8")[1]
    assert name_of(small + pixels) == "int16"
    assert listed(backend, small + pixels) == [197]


@pytest.mark.parametrize("name", ["astype", "cumulative_prod", "linspace", "arange", "assignment"])
def test_what_rounds_up_to_the_smallest_normal_number_is_zero(backend: Backend, name: str) -> None:
    """In float64 it is below 2^-126; devices that flush would make 0 of it, others 2^-126."""
    nearly = LEAST * (1.0 - 2.0**-30)
    xp, x = wrapped(backend, [nearly, LEAST, -nearly], "float64")
    device = to_native(x).device
    if name == "astype":
        found = xp.astype(x, xp.float32)
    elif name == "cumulative_prod":
        root = 2.0**-63 * (1.0 - 2.0**-24)
        found = xp.cumulative_prod(wrapped(backend, [root, root], "float32")[1])[1:]
    elif name == "linspace":
        found = xp.linspace(nearly, 1.0, 3, dtype=xp.float32, device=device)[:1]
    elif name == "arange":
        found = xp.arange(nearly, 1.0, 0.5, dtype=xp.float32, device=device)[:1]
    else:
        found = wrapped(backend, [1.0, 1.0, 1.0], "float32")[1]
        found[...] = x
    expected = {"astype": [0.0, LEAST, 0.0], "assignment": [0.0, LEAST, 0.0]}.get(name, [0.0])
    assert listed(backend, found) == expected
