"""Layers, each forward with its backward: exact in small integers, stacked, with and without dx."""

import numpy as np
import pytest

from pluggable_mlp.network.activations import tanh
from pluggable_mlp.network.layers import ActivationLayer, Dense


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


@pytest.mark.parametrize(
    ("batch", "inputs", "outputs"), [(1, 1, 1), (1, 4, 5), (2, 1, 3), (2, 3, 1), (7, 4, 5)]
)
def test_dense_gradients_are_exact_differences(backend, batch, inputs, outputs):
    """L = sum of y * c is linear in each of W, b, x: a step of 1 changes it by its derivative.

    In small integers nothing is rounded, so the comparison is exact.
    """
    W, b, x, c = (
        integers(1, inputs, outputs),
        integers(2, outputs),
        integers(3, batch, inputs),
        integers(4, batch, outputs),
    )
    _, dx, dW, db = dense(backend, W, b, x, c)

    def change(array, rebuild):
        """What L gains from a step of 1 in each element."""
        slopes = np.empty_like(array)
        for index in np.ndindex(array.shape):
            stepped = array.copy()
            stepped[index] += 1.0
            slopes[index] = rebuild(stepped) - rebuild(array)
        return slopes

    assert (dW == change(W, lambda v: np.sum((x @ v + b) * c))).all()
    assert (db == change(b, lambda v: np.sum((x @ W + v) * c))).all()
    assert (dx == change(x, lambda v: np.sum((v @ W + b) * c))).all()


def test_dense_without_dx(backend):
    W, b, x, dy = integers(1, 3, 2), integers(2, 2), integers(3, 4, 3), integers(4, 4, 2)
    _, dx, dW, db = dense(backend, W, b, x, dy, with_dx=False)
    _, _, dW_too, db_too = dense(backend, W, b, x, dy)
    assert dx is None
    assert (dW == dW_too).all()
    assert (db == db_too).all()


def test_dense_leading_axes_are_networks(backend):
    """Each with its own W and b; in small integers exactly what each gives alone."""
    W, b = integers(1, 2, 3, 4, 5), integers(2, 2, 3, 5)
    x, dy = integers(3, 2, 3, 6, 4), integers(4, 2, 3, 6, 5)
    stacked = dense(backend, W, b, x, dy)
    for index in np.ndindex(2, 3):
        alone = dense(backend, W[index], b[index], x[index], dy[index])
        for together, single in zip(stacked, alone, strict=True):
            assert (together[index] == single).all()


def test_shapes():
    assert Dense(3, 2).shapes() == {"W": (3, 2), "b": (2,)}
    assert ActivationLayer(tanh).shapes() == {}


def test_activate_is_the_function_with_its_own_backward(backend):
    x, dy = backend.asarray(integers(1, 2, 3)), backend.asarray(integers(2, 2, 3))
    y, backward = ActivationLayer(tanh).forward(backend.xp, {}, x)
    expected, derivative = tanh(backend.xp, x)
    dx, gradients = backward(dy)
    assert gradients == {}
    assert (backend.to_numpy(y) == backend.to_numpy(expected)).all()
    assert (backend.to_numpy(dx) == backend.to_numpy(derivative(dy))).all()
    assert backward(dy, with_dx=False) == (None, {})


def test_nothing_is_changed_in_place():
    arrays = integers(1, 3, 2), integers(2, 2), integers(3, 4, 3), integers(4, 4, 2)
    before = [array.tobytes() for array in arrays]
    W, b, x, dy = arrays
    _, backward = Dense(3, 2).forward(np, {"W": W, "b": b}, x)
    backward(dy)
    assert [array.tobytes() for array in arrays] == before
