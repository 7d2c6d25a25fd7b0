"""One NaN is never lost, however large the array in which it stands.

JAX's maximum on the processor loses NaN in 4,096 elements or more, so everything here is larger.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from pluggable_mlp import special
from pluggable_mlp.namespaces import ARITHMETICS, arithmetic_namespace, unwrapped
from tests.network.losses.cases import CASES, link

pytestmark = pytest.mark.quick_on("jax:cpu")

BATCH, FEATURES, OUTPUTS = 128, 96, 64  # 8,192 logits, 6,144 weights


STANDARD = ("exp", "log", "log1p", "tanh", "sqrt", "sum", "mean", "asarray")
SPECIAL = (special.sigmoid, special.softplus, special.erf, special.rsqrt)


def operations(xp: Any) -> dict[str, Callable[[Any], Any]]:
    """Return what takes one argument, by name."""
    return {
        **{name: getattr(xp, name) for name in STANDARD},
        **{function.__name__: partial(function, xp) for function in SPECIAL},
        "reciprocal": lambda x: 1.0 / x,
        "square": lambda x: x * x,
        "quotient": lambda x: x / (x + 1.0),
    }


def inputs(dtype: str) -> np.ndarray:
    """Return (128, 96) of both signs with one NaN and, elsewhere, a row of tiny numbers."""
    x = np.random.default_rng(0).normal(size=(BATCH, FEATURES)).astype(dtype)
    x[3, 5] = np.nan
    # What asks for care, so that the NaN cannot be found by chance.
    x[7] *= {"float32": 1e-30, "float64": 1e-150}[dtype]
    return x


@pytest.fixture(params=ARITHMETICS)
def xp(request, backend):
    return arithmetic_namespace(request.param, backend.xp)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_operation_loses_it(backend, xp, dtype):
    x = xp.asarray(backend.asarray(np.abs(inputs(dtype))))
    for name, operation in operations(xp).items():
        result = backend.to_numpy(unwrapped(operation(x)))
        expected = np.isnan(inputs(dtype)) if result.ndim else np.asarray(True)
        assert np.array_equal(np.isnan(result), expected), name


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("axis", [-1, -2])
def test_sums_along_an_axis_do_not_lose_it(backend, xp, dtype, axis):
    x = xp.asarray(backend.asarray(inputs(dtype)))
    expected = np.any(np.isnan(inputs(dtype)), axis=axis)
    for function in (partial(special.sum, xp), partial(special.mean, xp), xp.var, xp.std):
        result = backend.to_numpy(unwrapped(function(x, axis=axis)))
        assert np.array_equal(np.isnan(result), expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_do_not_lose_it(backend, xp, dtype):
    x = inputs(dtype)
    W = np.random.default_rng(1).normal(size=(FEATURES, OUTPUTS)).astype(dtype)
    here, there, bias = (
        xp.asarray(backend.asarray(array)) for array in (x, W, np.ones(OUTPUTS, dtype))
    )
    in_row = np.zeros((BATCH, OUTPUTS), bool)
    in_row[3] = True
    for product in (special.matmul(xp, here, there), special.affine(xp, here, there, bias)):
        assert np.array_equal(np.isnan(backend.to_numpy(unwrapped(product))), in_row)
    transposed = xp.matrix_transpose
    product = special.matmul(xp, transposed(there), transposed(here))
    assert np.array_equal(np.isnan(backend.to_numpy(unwrapped(product))), in_row.T)


@pytest.mark.parametrize("name", CASES)
def test_no_loss_loses_it(backend, xp, name):
    """Neither the loss nor, in the row where it stands, the gradient and the prediction."""
    rng = np.random.default_rng(2)
    z = rng.normal(size=(BATCH, OUTPUTS)).astype("float32")
    z[3, 5] = np.nan
    targets = {
        "classes": rng.integers(0, OUTPUTS, size=BATCH),
        "labels": rng.integers(0, 2, size=z.shape).astype("float32"),
        "numbers": rng.normal(size=z.shape).astype("float32"),
        "counts": rng.poisson(2.0, size=z.shape).astype("float32"),
    }[CASES[name].targets]
    z, targets = (xp.asarray(backend.asarray(array)) for array in (z, targets))
    loss, dz = CASES[name](xp, z, targets)
    assert np.isnan(float(loss))
    if name not in ("absolute_error", "quantile", "quantile 0.9"):  # slopes of -1, 0 and 1 alone
        assert np.isnan(backend.to_numpy(unwrapped(dz))[3, 5])
    predicted = unwrapped(link(CASES[name])(xp, z))
    assert np.isnan(backend.to_numpy(predicted)[3, 5])
