"""Initial parameters: the same bits everywhere, the moments they promise, one rounding."""

import math

import numpy as np
import pytest

from pluggable_mlp import MLP, get_backend
from pluggable_mlp.host import randomness
from pluggable_mlp.network.parameters import INITIALIZERS

# Variance of a weight, and whether biases are drawn; N inputs, M outputs.
# Glorot and Bengio 2010: equations 12 and 16, U(-sqrt(6/(N+M)), sqrt(6/(N+M))).
# He et al. 2015: equation 10.  The classic notebook: N(0, 1) for both.  torch.nn.Linear:
# U(-1/sqrt(N), 1/sqrt(N)) for both.
N, M = 300, 200
PROMISED = {
    "glorot_uniform": (2 / (N + M), math.sqrt(6 / (N + M)), False),
    "glorot_normal": (2 / (N + M), math.inf, False),
    "he_uniform": (2 / N, math.sqrt(6 / N), False),
    "he_normal": (2 / N, math.inf, False),
    "standard_normal": (1.0, math.inf, True),
    "inverse_sqrt_uniform": (1 / (3 * N), math.sqrt(1 / N), True),
    "zeros": (0.0, 0.0, False),
}


def test_every_initializer_has_its_promise():
    assert set(INITIALIZERS) == set(PROMISED)


@pytest.mark.parametrize("name", INITIALIZERS)
def test_moments(name):
    """Mean 0 and the variance promised, within five standard deviations of their estimates.

    The variance's estimate has the variance (kurtosis - 1) var² / count: kurtosis 3 for the
    normal, 9/5 for the uniform distribution.
    """
    variance, limit, random_biases = PROMISED[name]
    drawn = INITIALIZERS[name].draw(7, 0, {"W": (N, M), "b": (M,)})
    kurtosis = 3.0 if limit == math.inf else 1.8
    for array in [drawn["W"], drawn["b"]] if random_biases else [drawn["W"]]:
        count = array.size
        assert abs(array.mean()) <= 5 * math.sqrt(variance / count)
        estimate = (array**2).mean()
        assert abs(estimate - variance) <= 5 * variance * math.sqrt((kurtosis - 1) / count)
        assert abs(array).max() <= limit
    if (
        0.0 < limit < math.inf
    ):  # and it is uniform: it comes close to its limits, P = 1 - (1-1e-3)^60000
        assert abs(drawn["W"]).max() > 0.999 * limit
    if not random_biases:
        assert np.asarray(drawn["b"]).tobytes() == bytes(8 * M)  # and none is -0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", INITIALIZERS)
def test_the_same_bits_on_every_backend(backend, name, dtype):
    mlp = MLP([5, 4, 3], initializer=name)
    ours = mlp.initialize(seed=3, backend=backend, dtype=dtype)
    host = mlp.initialize(seed=3, backend=get_backend("numpy"), dtype=dtype)
    assert [set(layer) for layer in ours] == [{"W", "b"}, {"W", "b"}]
    for layer, expected, shape in zip(ours, host, [(5, 4), (4, 3)], strict=True):
        assert layer["W"].shape == shape
        assert layer["b"].shape == shape[1:]
        for parameter, array in expected.items():
            assert backend.to_numpy(layer[parameter]).dtype == dtype
            assert backend.to_numpy(layer[parameter]).tobytes() == array.tobytes()


def test_float32_is_float64_rounded_once():
    mlp, backend = MLP([5, 4], initializer="standard_normal"), get_backend("numpy")
    single = mlp.initialize(seed=3, backend=backend)[0]
    double = mlp.initialize(seed=3, backend=backend, dtype="float64")[0]
    for name in ("W", "b"):
        assert (single[name] == double[name].astype(np.float32)).all()


def test_the_standard_normal_initializer_draws_normal_deviates():
    drawn = INITIALIZERS["standard_normal"].draw(1, 2, {"W": (3, 2), "b": (2,)})
    assert (drawn["W"] == randomness.normal(1, "parameters", 4, (3, 2))).all()
    assert (drawn["b"] == randomness.normal(1, "parameters", 5, (2,))).all()


def test_layers_seeds_and_parameters_have_their_own_streams():
    mlp, backend = MLP([4, 4, 4], initializer="standard_normal"), get_backend("numpy")
    firsts = {
        layer[name].flat[0].item()
        for seed in (0, 1)
        for layer in mlp.initialize(seed=seed, backend=backend, dtype="float64")
        for name in ("W", "b")
    }
    assert len(firsts) == 8
