"""Every activation of the table, and with other parameters: exact values, peers, extremes, corners.

Backends against each other are in tests/consistency.
"""

from functools import lru_cache

import mpmath
import numpy as np
import pytest

from pluggable_mlp import MLP
from pluggable_mlp.namespaces import ARITHMETICS
from pluggable_mlp.network.activations import (
    ACTIVATIONS,
    ELU,
    LeakyReLU,
    activations_of_layers,
    hardswish,
    relu,
)
from tests.network.bounded import InArithmetic, assert_near, with_bounds

CASES = {**ACTIVATIONS, "leaky_relu 0.3": LeakyReLU(0.3), "elu 2.5": ELU(2.5)}


def normal_distribution(x):
    return mpmath.ncdf(max(x, mpmath.mpf(-1e9)))  # it overflows beyond, and is 0


def gelu_tanh(x):
    u = mpmath.sqrt(2 / mpmath.pi) * (x + mpmath.mpf("0.044715") * x**3)
    return x / 2 * (1 + mpmath.tanh(u))


def selu(x):
    scale = mpmath.mpf("1.0507009873554804934193349852946")
    alpha = mpmath.mpf("1.6732632423543772848170429916717")
    return scale * (x if x > 0 else alpha * mpmath.expm1(x))


EXACT = {
    "identity": lambda x: x,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "tanh": mpmath.tanh,
    "relu": lambda x: max(x, mpmath.mpf(0)),
    "leaky_relu": lambda x: x if x > 0 else mpmath.mpf("0.01") * x,
    "leaky_relu 0.3": lambda x: x if x > 0 else mpmath.mpf("0.3") * x,
    "elu": lambda x: x if x > 0 else mpmath.expm1(x),
    "elu 2.5": lambda x: x if x > 0 else mpmath.mpf("2.5") * mpmath.expm1(x),
    "gelu": lambda x: x * normal_distribution(x),
    "gelu_tanh": gelu_tanh,
    "silu": lambda x: x / (1 + mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
    "hardswish": lambda x: x * min(max(x + 3, 0), 6) / 6,
    "mish": lambda x: x * mpmath.tanh(mpmath.log1p(mpmath.exp(x))),
    "selu": selu,
}

POINTS = np.concatenate(
    [np.linspace(-12, 12, 33) + 0.01, [1e-3, -1e-3, 1e-9, -1e-9, -40.0, 40.0, -85.0, 85.0]]
)


@lru_cache
def exact(name, dtype):
    """f and f' at the points, rounded to float64; the slope is mpmath's difference quotient."""
    with mpmath.workdps(150):
        points = [mpmath.mpf(x) for x in POINTS.astype(dtype).tolist()]
        values = [float(EXACT[name](x)) for x in points]
        step = mpmath.mpf(10) ** -40  # errors: 1e-110 of rounding, h² f''' / 6 of truncation
        slopes = [
            float((EXACT[name](x + step) - EXACT[name](x - step)) / (2 * step)) for x in points
        ]
    return np.asarray(values), np.asarray(slopes)


def compute(activation, x, dy):
    def on(library):
        y, backward = activation(library.xp, library.asarray(x))
        return {"y": y, "dx": backward(library.asarray(dy))}

    return on


def test_every_activation_has_its_oracle():
    assert set(EXACT) == set(CASES)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_values_and_slopes(backend, name, dtype):
    """Against mpmath at 150 digits, within the derived bound.

    A dtype keeps a parameter such as 0.01 with a relative error of u: it is the bound's, too.
    """
    x, dy = POINTS.astype(dtype), np.full(POINTS.shape, 1.5, dtype=dtype)
    on = compute(CASES[name], x, dy)
    bounds, results = with_bounds(on, dtype), on(backend)
    for key, expected in zip(("y", "dx"), exact(name, dtype), strict=True):
        assert results[key].dtype == getattr(backend.xp, dtype)
        factor = 1.5 if key == "dx" else 1.0
        assert_near(backend.to_numpy(results[key]), factor * expected, bounds[key])


@lru_cache
def exact_at(name, number):
    """f and f' at a number of any size; the slope is mpmath's difference quotient."""
    with mpmath.workdps(60):
        x, step = mpmath.mpf(number), abs(mpmath.mpf(number)) * mpmath.mpf(10) ** -20
        return EXACT[name](x), (EXACT[name](x + step) - EXACT[name](x - step)) / (2 * step)


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_huge_inputs_have_their_limits(backend, name, dtype, arithmetic):
    """No NaN, no warning (all are errors); y within 4 u of the exact value, or within 1e-30."""
    largest = float(np.finfo(dtype).max)
    if exact_at(name, largest)[0] > largest:
        largest *= 0.9375
    x = np.asarray([s * a for a in (100.0, 1e4, 1e30, largest) for s in (1, -1)]).astype(dtype)
    place = InArithmetic(arithmetic, backend)
    results = compute(CASES[name], x, np.ones_like(x))(place)
    y, dx = (place.to_numpy(results[key]) for key in ("y", "dx"))
    unit = float(np.finfo(dtype).eps) / 2
    with mpmath.workdps(50):
        for value, result, slope in zip(x.tolist(), y.tolist(), dx.tolist(), strict=True):
            of_value, of_slope = exact_at(name, value)
            assert abs(result - of_value) <= 4 * unit * abs(of_value) + 1e-30, value
            assert abs(slope - of_slope) <= 4 * unit, value


def apply(backend, function, x, dtype="float64", dy=1.0):
    """y and dx on the host."""
    y, backward = function(backend.xp, backend.asarray(x, dtype=dtype))
    dx = backward(backend.asarray(np.full(x.shape, dy), dtype=dtype))
    return backend.to_numpy(y), backend.to_numpy(dx)


def test_relu_at_its_corner(backend):
    """The subgradient 0; no negative zero, whose sign a library could choose; NaN is not hidden."""
    y, dx = apply(backend, relu, np.asarray([0.0, -0.0, -1.0, np.nan]))
    assert y[:3].tolist() == [0.0, 0.0, 0.0]
    assert not np.signbit(y[:3]).any()
    assert dx[:3].tolist() == [0.0, 0.0, 0.0]
    assert np.isnan(y[3])


@pytest.mark.parametrize(("slope", "left"), [(2.0, -6.0), (-0.5, 1.5), (0.0, 0.0)])
def test_leaky_relu_with_slopes_above_one_and_up_to_zero(backend, slope, left):
    y, dx = apply(backend, LeakyReLU(slope), np.asarray([-3.0, 4.0, np.inf]))
    assert (y.tolist(), dx.tolist()) == ([left, 4.0, np.inf], [slope, 1.0, 1.0])


def test_hardswish_at_its_corners(backend):
    """Exactly 0 and x outside, with slopes 0 and 1 at the corners, too; NaN is not hidden."""
    x = np.asarray([-4.0, -3.0, 0.0, 3.0, 5.0, np.nan])
    for dtype in ("float32", "float64"):
        y, dx = apply(backend, hardswish, x, dtype)
        assert y[:5].tolist() == [0.0, 0.0, 0.0, 3.0, 5.0]
        assert dx[:5].tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]
        assert np.isnan([y[5], dx[5]]).all()


def test_a_custom_pair_of_functions(backend):
    """y = x², y' = 2 x, exact in small integers; as an activation of a network, too."""
    square = (lambda xp, x: xp.multiply(x, x), lambda _, x: x + x)
    custom = activations_of_layers(square, 1)[0]
    x, dy = np.asarray([[-3.0, 2.0]]), np.asarray([[5.0, 7.0]])
    results = compute(custom, x, dy)(backend)
    assert backend.to_numpy(results["y"]).tolist() == [[9.0, 4.0]]
    assert backend.to_numpy(results["dx"]).tolist() == [[-30.0, 28.0]]
    ones = [{"W": np.ones((1, 1)), "b": np.zeros(1)}] * 2
    parameters = [{n: backend.asarray(w) for n, w in layer.items()} for layer in ones]
    logits = MLP([1, 1, 1], activation=square).logits(parameters, backend.asarray([[3.0]]))
    assert backend.to_numpy(logits).tolist() == [[9.0]]


@pytest.mark.parametrize(
    ("activation", "error", "message"),
    [
        ("rleu", ValueError, r"activation is 'rleu', expected one of .*did you mean 'relu'"),
        (["relu"], ValueError, r"activation is a list of 1, expected 2, one for each hidden layer"),
        (["relu", "rleu"], ValueError, r"activation is 'rleu', expected one of"),
        (3, TypeError, r"activation is 3, expected a name, a pair of functions"),
        (["relu", 3], TypeError, r"activation is 3, expected a name, a pair of functions"),
    ],
)
def test_invalid_activations_raise(activation, error, message):
    with pytest.raises(error, match=message):
        MLP([2, 3, 4, 2], activation=activation)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LeakyReLU(float("nan")), "slope is nan, expected a finite number"),
        (
            lambda: LeakyReLU(-1e39),
            r"slope is -1e\+39, expected a finite number of at least -1.70141e",
        ),
        (lambda: ELU(-1.0), "alpha is -1.0, expected a finite number of at least 0"),
        (lambda: ELU(1e39), r"alpha is 1e\+39, .* of at least 0 and at most 1.70141e\+38"),
        (lambda: ELU(float("inf")), "alpha is inf, expected a finite number of at least 0"),
    ],
)
def test_parameters_out_of_range(make, message):
    with pytest.raises(ValueError, match=message):
        make()
