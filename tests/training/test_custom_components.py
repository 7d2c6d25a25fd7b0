"""User-defined components may change, draw numbers and look at values: none is taken as it was.

Where steps are traced, they run operation by operation; compiled or fused, they are so in each
training.
"""

from dataclasses import dataclass

import numpy as np
import pytest

from pluggable_mlp import MLP, SGD, average_of_elements, get_backend, train
from pluggable_mlp.training.optimizer import GradientDescent
from tests.conftest import present
from tests.training.compilers import Uncompiled

NUMPY = get_backend("numpy")
STEPS = 8


@pytest.fixture(params=["numpy", "jax:cpu", "cupy"])
def fast(request):
    """A backend that traces, one that compiles, and one that makes kernels."""
    return present(request.param)


def history(backend, mlp, epochs=1, **settings):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(4 * STEPS, 5)), rng.normal(size=(4 * STEPS, 2))
    settings = {"optimizer": SGD(0.01), "batch_size": 4, "dtype": "float32", **settings}
    return train(mlp, x, y, backend=backend, epochs=epochs, **settings).history


def network(kind=MLP, **settings):
    return kind([5, 4, 2], **{"activation": "tanh", "loss": "squared_error", **settings})


@dataclass
class Scaled:
    """A loss that keeps its parts, and has a number that may change."""

    k: float = 1.0

    def __post_init__(self):
        self.parts = []

    def __call__(self, xp, z, t, w=None):
        d = z - t
        loss, dz = average_of_elements(xp, d * d * self.k, 2 * d * self.k, w)
        self.parts.append(loss)
        return loss, dz


def test_a_loss_that_changed_between_trainings(fast):
    loss = Scaled()
    first = history(fast, network(loss=loss))
    loss.k = 5.0
    second = history(fast, network(loss=loss))
    assert second[0] > 4.0 * first[0]
    assert second == history(fast, network(loss=Scaled(5.0)))


class WithFactor(MLP):
    """A subclass with a number of its own, which its equality does not know."""

    def with_factor(self, factor):
        object.__setattr__(self, "factor", factor)
        return self

    def loss_gradients_and_buffers(self, *arguments):
        loss, gradients, buffers = super().loss_gradients_and_buffers(*arguments)
        scaled = [{name: layer[name] * self.factor for name in layer} for layer in gradients]
        return loss * self.factor, scaled, buffers


def test_a_subclass_of_the_network_with_a_number_of_its_own(fast):
    first, second = (history(fast, network(WithFactor).with_factor(k)) for k in (1.0, 5.0))
    assert second[0] > 4.0 * first[0]


def test_a_loss_that_changes_while_it_trains():
    loss, expected = Scaled(), Scaled()

    def annealed(loss):
        def halve(epoch):
            loss.k *= 0.5

        return halve

    found = history(NUMPY, network(loss=loss), 4, callbacks=[annealed(loss)])
    plain = Uncompiled(NUMPY)
    assert found == history(plain, network(loss=expected), 4, callbacks=[annealed(expected)])
    assert loss.parts == expected.parts
    assert len(loss.parts) == 4 * STEPS


@dataclass(frozen=True)
class Fading(GradientDescent):
    """An optimizer of which an epoch's losses change more than the rate."""

    learning_rate: float = 0.1
    factor: float = 1.0

    def after(self, losses):
        return self.replaced(factor=0.5 ** len(losses))

    def rule(self, xp, c, w, g, *slots):
        return (w - g * (c["rate"] * self.factor),)


def test_an_optimizer_that_changes_after_an_epoch(fast):
    found = history(fast, network(), 4, optimizer=Fading())
    expected = history(Uncompiled(NUMPY), network(), 4, optimizer=Fading())
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_predictions_of_an_activation_that_changes():
    scale = 1.0

    def activation(xp, x):
        return xp.tanh(x * scale), None

    mlp = network(activation=activation)
    parameters = mlp.initialize(seed=0, backend=NUMPY)
    x = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")
    before = [mlp.predict(parameters, x) for _ in range(4)][-1]
    scale = -1.0
    np.testing.assert_array_equal(mlp.predict(parameters, x), -before)
