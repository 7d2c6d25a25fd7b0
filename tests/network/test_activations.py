"""The four basic activations: values by mpmath, slopes by differences, extremes; corners."""

import mpmath
import numpy as np
import pytest

from pluggable_mlp.network.activations import (
    ACTIVATIONS,
    hardswish,
    identity,
    relu,
    sigmoid,
    tanh,
)
from tests.network.differences import H, on_grid
from tests.network.reference import FUNCTION, U

EXACT = {
    "identity": lambda x: x,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "tanh": mpmath.tanh,
    "relu": lambda x: max(x, mpmath.mpf(0)),
}


def apply(backend, function, x, dtype="float64", dy=1.0):
    """y and dx on the host."""
    y, backward = function(backend.xp, backend.asarray(x, dtype=dtype))
    dx = backward(backend.asarray(np.full(x.shape, dy), dtype=dtype))
    return backend.to_numpy(y), backend.to_numpy(dx)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", EXACT)
def test_values(backend, name, dtype):
    """Against mpmath: within 4 ulp (8 u), what a library's exp or tanh may err by, and 4 roundings.

    The sigmoid needs exp, a sum and a reciprocal; its exp errs relatively, which 1 + exp(-x)
    passes on by a factor below 1.
    """
    x = np.concatenate([np.linspace(-30, 30, 41), [1e-3, -1e-3, 1e-9, -85.0, 85.0]]).astype(dtype)
    y, _ = apply(backend, ACTIVATIONS[name], x, dtype)
    assert y.dtype == dtype
    unit = float(np.finfo(dtype).eps) / 2
    with mpmath.workdps(40):
        for value, result in zip(x.tolist(), y.tolist(), strict=True):
            exact = EXACT[name](mpmath.mpf(value))
            assert abs(result - exact) <= (8 + 4) * unit * abs(exact), value


@pytest.mark.parametrize("name", EXACT)
def test_slopes_against_central_differences(backend, name):
    """Elementwise: dy times (f(x + h) - f(x - h)) / 2h, in float64.

    `differences.py` derives the bound: truncation |D(2h) - D(h)|, rounding 1.5 e / h, where e
    is 4 ulp and 4 roundings of f.  No point is within 2h of relu's corner.
    """
    x = on_grid(np.concatenate([np.linspace(-8, 8, 60), [-0.01, 0.01, 20.0, -20.0]]))
    assert abs(x).min() > 2 * H
    dy = 1.5
    _, dx = apply(backend, ACTIVATIONS[name], x, dy=dy)
    low2, low, high, high2 = (
        apply(backend, ACTIVATIONS[name], x + step)[0] for step in (-2 * H, -H, H, 2 * H)
    )
    near, far = (high - low) / (2 * H), (high2 - low2) / (4 * H)
    e = (FUNCTION + 4 * U) * np.maximum(abs(high2), abs(low2))
    assert (abs(dx - dy * near) <= dy * (abs(far - near) + 1.5 * e / H)).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [100.0, 1e3, 1e4, 1e30])
def test_saturation_is_quiet_and_has_its_limits(backend, dtype, size):
    """No warning (all are errors here), no NaN.  sigmoid(-100) is 3.7e-44, so 0 within 1e-37."""
    x = np.asarray([-size, size])
    y, dx = apply(backend, sigmoid, x, dtype)
    assert abs(y[0]) <= 1e-37
    assert y[1] == 1.0
    assert (abs(dx) <= 1e-37).all()
    y, dx = apply(backend, tanh, x, dtype)
    assert y.tolist() == [-1.0, 1.0]
    assert dx.tolist() == [0.0, 0.0]
    y, dx = apply(backend, relu, x, dtype)
    assert y.tolist() == [0.0, np.asarray(size, dtype=dtype)]
    assert dx.tolist() == [0.0, 1.0]


def test_relu_at_its_corner(backend):
    """The subgradient 0; no negative zero, whose sign a library could choose; NaN is not hidden."""
    y, dx = apply(backend, relu, np.asarray([0.0, -0.0, -1.0, np.nan]))
    assert y[:3].tolist() == [0.0, 0.0, 0.0]
    assert not np.signbit(y[:3]).any()
    assert dx[:3].tolist() == [0.0, 0.0, 0.0]
    assert np.isnan(y[3])


def test_hardswish_at_its_corners(backend):
    """Exactly 0 and x outside, with slopes 0 and 1 at the corners, too; NaN is not hidden."""
    x = np.asarray([-4.0, -3.0, 0.0, 3.0, 5.0, np.nan])
    for dtype in ("float32", "float64"):
        y, dx = apply(backend, hardswish, x, dtype)
        assert y[:5].tolist() == [0.0, 0.0, 0.0, 3.0, 5.0]
        assert dx[:5].tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]
        assert np.isnan([y[5], dx[5]]).all()


def test_identity_passes_everything_on(backend):
    x = np.asarray([[1.0, -2.0]])
    y, dx = apply(backend, identity, x, dy=3.0)
    assert y.tolist() == [[1.0, -2.0]]
    assert dx.tolist() == [[3.0, 3.0]]


@pytest.mark.parametrize("name", EXACT)
def test_nothing_is_changed_in_place(name):
    x, dy = np.linspace(-1, 1, 6).reshape(1, 2, 3), np.ones((1, 2, 3))
    before = x.tobytes(), dy.tobytes()
    import array_api_compat.numpy as xp

    y, backward = ACTIVATIONS[name](xp, x)
    kept = y.tobytes()
    assert backward(dy).shape == x.shape
    assert (x.tobytes(), dy.tobytes(), y.tobytes()) == (*before, kept)
