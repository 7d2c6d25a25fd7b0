"""One NaN is never lost, however large the array in which it stands.

JAX's maximum on the processor loses NaN in 4,096 elements or more, so everything here is larger.
"""

import numpy as np
import pytest

from pluggable_mlp import MLP
from pluggable_mlp.arithmetic import ARITHMETICS, get_arithmetic
from tests.network.losses.pieces import PIECES

BATCH, FEATURES, OUTPUTS = 128, 784, 64  # 8,192 logits
ONE_ARGUMENT = (
    *("exp", "log", "log1p", "tanh", "sigmoid", "softplus", "erf", "reciprocal", "sqrt", "rsqrt"),
    *("sum", "mean", "term"),
)


def inputs(dtype: str) -> np.ndarray:
    """Return (128, 784) of both signs with one NaN and, elsewhere, a row of tiny numbers."""
    x = np.random.default_rng(0).normal(size=(BATCH, FEATURES)).astype(dtype)
    x[3, 5] = np.nan
    # What asks for care, so that the NaN cannot be found by chance.
    x[7] *= {"float32": 1e-30, "float64": 1e-150}[dtype]
    return x


@pytest.fixture(params=ARITHMETICS)
def arithmetic(request, backend):
    return get_arithmetic(request.param, backend.xp)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_operation_loses_it(backend, arithmetic, dtype):
    x = backend.asarray(np.abs(inputs(dtype)))
    for name in ONE_ARGUMENT:
        result = backend.to_numpy(getattr(arithmetic, name)(x))
        expected = np.isnan(inputs(dtype)) if result.ndim else np.asarray(True)
        assert np.array_equal(np.isnan(result), expected), name


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("axis", [-1, -2])
def test_sums_along_an_axis_do_not_lose_it(backend, arithmetic, dtype, axis):
    x = backend.asarray(inputs(dtype))
    expected = np.any(np.isnan(inputs(dtype)), axis=axis)
    for function in (arithmetic.sum, arithmetic.mean):
        assert np.array_equal(np.isnan(backend.to_numpy(function(x, axis=axis))), expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_do_not_lose_it(backend, arithmetic, dtype):
    x = inputs(dtype)
    W = np.random.default_rng(1).normal(size=(FEATURES, OUTPUTS)).astype(dtype)
    here, there = backend.asarray(x), backend.asarray(W)
    bias = backend.asarray(np.ones(OUTPUTS, dtype))
    in_row = np.zeros((BATCH, OUTPUTS), bool)
    in_row[3] = True
    for product in (arithmetic.matmul(here, there), arithmetic.affine(here, there, bias)):
        assert np.array_equal(np.isnan(backend.to_numpy(product)), in_row)
    transposed = backend.xp.matrix_transpose
    product = arithmetic.matmul(transposed(there), transposed(here))
    assert np.array_equal(np.isnan(backend.to_numpy(product)), in_row.T)


@pytest.mark.parametrize("name", PIECES)
def test_no_loss_loses_it(backend, arithmetic, name):
    """Neither the loss nor, in the row where it stands, the gradient and the prediction."""
    rng = np.random.default_rng(2)
    z = rng.normal(size=(BATCH, OUTPUTS)).astype("float32")
    z[3, 5] = np.nan
    targets = {
        "classes": rng.integers(0, OUTPUTS, size=BATCH),
        "labels": rng.integers(0, 2, size=z.shape).astype("float32"),
        "numbers": rng.normal(size=z.shape).astype("float32"),
        "counts": rng.poisson(2.0, size=z.shape).astype("float32"),
    }[PIECES[name].targets]
    loss, dz = PIECES[name](arithmetic, backend.asarray(z), backend.asarray(targets))
    assert np.isnan(float(loss))
    if name not in ("absolute", "quantile", "quantile 0.9"):  # slopes of -1, 0 and 1 alone
        assert np.isnan(backend.to_numpy(dz)[3, 5])
    assert np.isnan(backend.to_numpy(PIECES[name].predict(arithmetic, backend.asarray(z)))[3, 5])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ARITHMETICS)
def test_the_network_does_not_lose_it(backend, name, dtype):
    mlp = MLP([FEATURES, OUTPUTS, 10])
    parameters = mlp.initialize(seed=0, backend=backend, dtype=dtype)
    x, labels = backend.asarray(inputs(dtype)), backend.asarray(np.arange(BATCH) % 10)
    rows = np.isnan(backend.to_numpy(mlp.logits(parameters, x, arithmetic=name)))
    assert rows[3].all()
    assert rows.sum() == 10
    assert np.array_equal(
        np.isnan(backend.to_numpy(mlp.predict_proba(parameters, x, arithmetic=name))), rows
    )
    loss, gradients = mlp.loss_and_gradients(parameters, x, labels, arithmetic=name)
    assert np.isnan(float(loss))
    for layer in gradients:
        for gradient in layer.values():
            assert np.isnan(backend.to_numpy(gradient)).all()
