"""Dropout and noise: what they drop and add, how often, and that evaluation does not change."""

import math

import numpy as np
import pytest

from pluggable_mlp import MLP, get_backend
from pluggable_mlp.namespaces import ARITHMETICS
from pluggable_mlp.network.layers import Dropout, Noise, Rng
from pluggable_mlp.network.philox import philox
from tests.network.bounded import InArithmetic

RNG = Rng(seed=3, t=5)


def run(backend, layer, x, dy, rng=RNG, arithmetic="native"):
    place = InArithmetic(arithmetic, backend)
    y, backward = layer.forward(place.xp, {}, place.asarray(x), rng)
    dx, gradients = backward(place.asarray(dy))
    assert gradients == {}
    assert backward(place.asarray(dy), with_dx=False) == (None, {})
    return place.to_numpy(y), place.to_numpy(dx)


def halves_at_the_address(stream=9):
    words = [word for block in (0, 1) for word in philox(np, block, stream, 5, 0, 3, 0)]
    return np.asarray([half for word in words for half in (word % 2**16, word // 2**16)])


def test_a_number_at_the_threshold_is_kept(backend):
    """So that p 2^16 of the 2^16 numbers are dropped."""
    number = int(halves_at_the_address()[3])
    x = np.ones((1, 4))
    for rate, kept in ((number / 2**16, True), ((number + 1) / 2**16, False)):
        y, _ = run(backend, Dropout(rate, stream=9), x, x)
        assert (y[0, 3] > 0.0) == kept


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_the_mask_is_that_of_its_address(backend, arithmetic):
    """An input is kept where its 16 bits are at least 0.25 · 2^16, and then divided by 0.75."""
    halves = halves_at_the_address()
    kept = (halves[:15] >= 2**14).reshape(3, 5)
    assert 0 < kept.sum() < 15
    x = np.arange(1.0, 16.0).reshape(3, 5)
    y, dx = run(backend, Dropout(0.25, stream=9), x, 2.0 * x, arithmetic=arithmetic)
    factor = 4 / 3  # rounded once; its product once more
    assert y.tolist() == np.where(kept, x * factor, 0.0).tolist()
    assert dx.tolist() == np.where(kept, 2.0 * x * factor, 0.0).tolist()


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, float("nan"), 1 - 2.0**-20])
@pytest.mark.parametrize("name", ["dropout", "input_dropout"])
def test_a_rate_out_of_range(name, rate):
    with pytest.raises(ValueError, match=rf"^{name} is {rate}, expected a"):
        MLP([2, 3, 2], **{name: rate})


def test_a_network_has_a_mask_for_each_hidden_layer():
    layers = MLP([2, 3, 4, 2], dropout=0.5).layers
    streams = [layer.stream for layer in layers if isinstance(layer, Dropout)]
    assert streams == [0, 1]
    assert not any(isinstance(layer, Dropout) for layer in MLP([2, 3, 2]).layers)


def test_inputs_are_dropped_before_the_first_layer(backend):
    """By the mask of a stream of their own; what is left is the network without dropout."""
    mlp = MLP([8, 3, 2], input_dropout=0.25)
    parameters = mlp.initialize(seed=0, backend=backend, dtype="float64")
    x, labels = np.arange(1.0, 17.0).reshape(2, 8), backend.asarray([0, 1])
    blocks = [philox(np, block, 2**32 - 1, 5, 0, 3, 0) for block in (0, 1)]
    halves = [half for block in blocks for word in block for half in (word % 2**16, word // 2**16)]
    kept = (np.asarray(halves) >= 2**14).reshape(2, 8)
    assert 0 < kept.sum() < 16
    dropped = x * np.where(kept, 4 / 3, 0.0)

    def of(network, x, rng):
        given = parameters, backend.asarray(x), labels
        loss, gradients = network.loss_and_gradients(*given, rng=rng)
        return float(loss), [backend.to_numpy(layer["W"]).tolist() for layer in gradients]

    plain = MLP([8, 3, 2])
    assert of(mlp, x, RNG) == of(plain, dropped, RNG) != of(plain, x, RNG)
    assert of(mlp, x, None) == of(plain, x, None)


@pytest.mark.parametrize("t", [5, (5, 0)])
def test_a_schedule_drops_what_the_rate_of_its_step_drops(t):
    backend = get_backend("numpy")
    varying, fixed = (MLP([8, 6, 2], dropout=rate) for rate in (lambda t: t / 10, 0.5))
    parameters = fixed.initialize(seed=0, backend=backend)
    given = parameters, np.ones((4, 8), "float32"), np.asarray([0, 1, 0, 1])
    found, expected = (mlp.loss_and_gradients(*given, rng=Rng(7, t)) for mlp in (varying, fixed))
    assert str(found) == str(expected) != str(fixed.loss_and_gradients(*given))


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_the_noise_is_that_of_its_address(backend, arithmetic):
    """The 2^16 numbers are evenly spaced within ± s 3^(1/2), whose standard deviation is s."""
    x, dy = np.full((3, 5), 2.0), np.arange(15.0).reshape(3, 5)
    layer, numbers = Noise(0.3), halves_at_the_address(2**32 - 2)[:15]
    y, dx = run(backend, layer, x, dy, arithmetic=arithmetic)
    expected = 0.3 * math.sqrt(3.0) * ((numbers + 0.5) / 2**15 - 1.0)
    np.testing.assert_allclose(y - x, expected.reshape(3, 5), rtol=0, atol=1e-15)
    assert dx.tolist() == dy.tolist()
    y, dx = run(backend, layer, x, dy, rng=None)
    assert (y.tolist(), dx.tolist()) == (x.tolist(), dy.tolist())


def test_noise_comes_before_dropout_with_numbers_of_its_own():
    layers = MLP([2, 2], input_noise=0.5, input_dropout=0.25).layers
    assert layers[:2] == (Noise(0.5), Dropout(0.25, 2**32 - 1))
    assert len(layers) == 3


@pytest.mark.parametrize("deviation", [-0.1, float("nan"), float("inf"), "much"])
def test_a_deviation_out_of_range(deviation):
    with pytest.raises(ValueError, match=rf"^input_noise is {deviation!r}, expected a finite"):
        MLP([2, 3, 2], input_noise=deviation)
