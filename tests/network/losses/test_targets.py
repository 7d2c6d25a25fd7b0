"""Targets: class indices as one-hot rows, rows as they are, a single output without its axis."""

import numpy as np
import pytest

from pluggable_mlp.network.loss import one_hot
from pluggable_mlp.network.losses import LOSSES
from tests.network.losses.cases import compute


@pytest.mark.parametrize("kind", ["uint8", "int32", "int64"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_hot_counts_from_zero(backend, kind, dtype):
    like = backend.asarray(np.zeros((3, 4)), dtype=dtype)
    labels = backend.asarray(np.asarray([0, 3, 1]), dtype=kind)
    rows = backend.to_numpy(one_hot(backend.xp, labels, like))
    assert rows.dtype == dtype
    assert rows.tolist() == [[1, 0, 0, 0], [0, 0, 0, 1], [0, 1, 0, 0]]


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
