"""Layers, each forward with its backward: exact in small integers, stacked, with and without dx."""

import numpy as np

from pluggable_mlp.network.layers import Dense


def dense(backend, W, b, x, dy, with_dx=True):
    """y, dx, dW, db on the host."""
    layer = Dense(W.shape[-2], W.shape[-1])
    parameters = {"W": backend.asarray(W), "b": backend.asarray(b)}
    y, backward = layer.forward(backend.xp, parameters, backend.asarray(x))
    dx, gradients = backward(backend.asarray(dy), with_dx=with_dx)
    assert set(gradients) == {"W", "b"}
    results = (y, dx, gradients["W"], gradients["b"])
    return [None if array is None else backend.to_numpy(array) for array in results]


def integers(seed, *shape):
    return np.random.default_rng(seed).integers(-4, 5, size=shape).astype(np.float64)


def test_dense_by_hand(backend):
    """x = [[1, 2]], W = [[1, 0, 2], [0, 1, 3]], b = [10, 20, 30], dy = [[1, -1, 2]].

    y = (1 + 10, 2 + 20, 2 + 6 + 30);  dW = xᵀ dy;  db = dy;  dx = dy Wᵀ = (1 + 4, -1 + 6).
    """
    y, dx, dW, db = dense(
        backend,
        np.asarray([[1.0, 0.0, 2.0], [0.0, 1.0, 3.0]]),
        np.asarray([10.0, 20.0, 30.0]),
        np.asarray([[1.0, 2.0]]),
        np.asarray([[1.0, -1.0, 2.0]]),
    )
    assert y.tolist() == [[11.0, 22.0, 38.0]]
    assert dx.tolist() == [[5.0, 5.0]]
    assert dW.tolist() == [[1.0, -1.0, 2.0], [2.0, -2.0, 4.0]]
    assert db.tolist() == [1.0, -1.0, 2.0]
