"""Targets: class indices as one-hot rows, rows as they are, a single output without its axis."""

import numpy as np
import pytest

from pluggable_mlp import special
from pluggable_mlp.arrays import by_columns
from pluggable_mlp.namespaces import ARITHMETICS, arithmetic_namespace, unwrapped
from pluggable_mlp.network.loss import one_hot
from pluggable_mlp.network.losses import LOSSES
from tests.network.losses.cases import compute
from tests.together import together


@together("kind", ["uint8", "int32", "int64"])
@together("dtype", ["float32", "float64"])
def test_one_hot_counts_from_zero(backend, kind, dtype):
    like = backend.asarray(np.zeros((3, 4)), dtype=dtype)
    labels = backend.asarray(np.asarray([0, 3, 1]), dtype=kind)
    rows = backend.to_numpy(one_hot(backend.xp, labels, like))
    assert rows.dtype == dtype
    assert rows.tolist() == [[1, 0, 0, 0], [0, 0, 0, 1], [0, 1, 0, 0]]


def test_rows_come_back_as_they_are(backend):
    rows = np.asarray([[0.0, 1.0], [0.25, 0.75]])
    like = backend.asarray(np.zeros((2, 2)))
    result = one_hot(backend.xp, backend.asarray(rows), like)
    assert backend.to_numpy(result).tolist() == rows.tolist()


def test_one_output_takes_targets_without_its_axis(backend):
    """(batch,) is (batch, 1), also beside a leading axis."""
    for name in ("squared_error", "sigmoid_cross_entropy", "poisson"):
        z = np.asarray([[[0.5], [2.0]], [[-1.0], [1.0]]])
        t = np.asarray([[1, 0], [0, 1]])
        results = [
            [backend.to_numpy(a).tolist() for a in compute(LOSSES[name], z, of)(backend).values()]
            for of in (t, t[..., None], t.astype(float))
        ]
        assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("shape", [(5, 3), (100, 3), (100, 40), (2, 100, 3)])
@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_few_columns_beside_many_rows_are_stored_by_columns(arithmetic, shape):
    bound, random = arithmetic_namespace(arithmetic, np), np.random.default_rng(0)
    *batch, classes = shape
    labels = random.integers(0, classes, batch)
    x, W = random.standard_normal((*batch, 7)), random.standard_normal((7, classes))
    of = bound.asarray
    z = special.affine(bound, of(x), of(W), of(np.zeros(classes)))
    z, targets = unwrapped([z, one_hot(bound, of(labels), z)])
    np.testing.assert_allclose(z, x @ W, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(targets, np.eye(classes)[labels])
    for array in (z, targets) if by_columns(*shape[-2:]) else ():
        assert array.strides[-2] < array.strides[-1]
