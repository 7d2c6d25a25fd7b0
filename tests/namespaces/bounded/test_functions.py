"""Are the libraries' elementary functions as accurate as the bounds assume?

Each is compared with mpmath on every backend, where training calls it: results that are normal
numbers, log1p of what is not negative.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import mpmath
import numpy as np
import pytest

from pluggable_mlp import special
from pluggable_mlp.backends import Backend
from pluggable_mlp.namespaces.bounded.elementwise import ELEMENTARY
from pluggable_mlp.namespaces.bounded.namespace import BoundedNamespace

pytestmark = pytest.mark.quick_on("jax:cpu")

COUNT = 800


def arguments(name: str, dtype: str) -> Any:
    """Return arguments (4 COUNT,) that are dense where such functions are hard."""
    rng = np.random.default_rng(7)
    largest = 87.0 if dtype == "float32" else 700.0

    def powers(low: float, high: float) -> Any:
        return 10.0 ** rng.uniform(low, high, COUNT)

    def uniform(low: float, high: float) -> Any:
        return rng.uniform(low, high, COUNT)

    sets = {
        "exp": (uniform(-largest, 0), uniform(-1, 1), -powers(-10, 1), uniform(-20, 20)),
        "expm1": (uniform(-largest, 0), uniform(-1, 1), powers(-20, 1), uniform(-0.7, 0.4)),
        "log": (powers(-30, 30), uniform(1, 2), 1 + powers(-8, 0), uniform(0.5, 1)),
        "log2": (powers(-30, 30), uniform(1, 2), 1 + powers(-8, 0), 2.0 ** uniform(-9, 9)),
        "log10": (powers(-30, 30), uniform(1, 2), 1 + powers(-8, 0), 10.0 ** uniform(-9, 9)),
        "log1p": (powers(-30, 0), uniform(0, 1), powers(-4, 2), uniform(0.3, 0.5)),
        "tanh": (uniform(-10, 10), uniform(-1, 1), powers(-20, 1), uniform(-0.6, 0.6)),
        "erf": (uniform(-6, 6), uniform(-1, 1), powers(-20, 1), uniform(0.8, 1.3)),
        "sqrt": (powers(-30, 30), uniform(0, 4), powers(-3, 3), uniform(0.25, 1)),
    }
    return np.concatenate(sets[name]).astype(dtype)


@lru_cache
def exact(name: str, dtype: str) -> tuple[Any, Any]:
    """Return the function's values as float64 pairs (rounded, remainder): about 106 bits."""
    function: Callable[[Any], Any] = getattr(mpmath, name, lambda x: mpmath.log(x, 2))  # log2
    with mpmath.workdps(40):
        values = [function(mpmath.mpf(x)) for x in arguments(name, dtype).tolist()]
        rounded = [float(v) for v in values]
        remainders = [float(v - r) for v, r in zip(values, rounded, strict=True)]
    return np.asarray(rounded), np.asarray(remainders)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ELEMENTARY)
def test_error_in_ulps(name: str, dtype: str, backend: Backend) -> None:
    x = arguments(name, dtype)
    # The standard has no erf.
    function = partial(special.erf, backend.xp) if name == "erf" else getattr(backend.xp, name)
    got = backend.to_numpy(function(backend.asarray(x)))
    assert got.dtype == dtype
    rounded, remainder = exact(name, dtype)
    ulp = np.spacing(np.abs(rounded).astype(dtype)).astype(np.float64)
    errors = np.abs((got.astype(np.float64) - rounded) - remainder) / ulp
    assert np.max(errors) <= ELEMENTARY[name].ulps


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("power", [2, 3, 7, -1, -2, -5])
def test_powers(power: int, dtype: str, backend: Backend) -> None:
    """4 ulps, or a product more or less for each factor."""
    x, exact = bases_and_powers(power, dtype)
    bound = BoundedNamespace(dtype).asarray(x) ** power
    y = backend.to_numpy(backend.asarray(x) ** power)
    assert y.dtype == dtype
    with mpmath.workdps(40):
        errors = [float(abs(a - b)) for a, b in zip(y.tolist(), exact, strict=True)]
    assert (errors <= bound.error).all()
    normal = y > 1e-30
    assert (bound.error <= 20.0 * np.spacing(y.astype(dtype)))[normal].all()


@lru_cache
def bases_and_powers(power: int, dtype: str) -> tuple[Any, list[Any]]:
    x = (10.0 ** np.random.default_rng(3).uniform(-5, 5, COUNT)).astype(dtype)
    with mpmath.workdps(40):
        return x, [mpmath.mpf(base) ** power for base in x.tolist()]
