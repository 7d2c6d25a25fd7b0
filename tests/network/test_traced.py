"""The network within functions that JAX traces: jit, vmap, grad and scan.

JAX's own differentiation is an oracle here: its gradient of the loss is the one derived by hand.
"""

import itertools

import numpy as np
import pytest

from pluggable_mlp import MLP, Adam, first_state, get_backend
from pluggable_mlp.namespaces.reproducible.exactness import ArithmeticUnavailable
from pluggable_mlp.network.activations import ACTIVATIONS

jax = pytest.importorskip("jax")

BACKEND = get_backend("jax:cpu")
RNG = np.random.default_rng(0)
X = BACKEND.asarray(RNG.normal(size=(5, 3)))
LABELS = BACKEND.asarray(np.asarray([0, 1, 0, 1, 1]))
WEIGHTS = BACKEND.asarray(np.asarray([1.0, 2.0, 0.0, 0.5, 1.0]))
TARGETS = {
    "softmax_cross_entropy": (LABELS, BACKEND.asarray(np.eye(2)[[0, 1, 0, 1, 1]])),
    "sigmoid_cross_entropy": (BACKEND.asarray(RNG.integers(0, 2, (5, 2)).astype(float)),),
    "squared_error": (BACKEND.asarray(RNG.normal(size=(5, 2))),),
    "poisson": (BACKEND.asarray(RNG.poisson(2.0, size=(5, 2)).astype(float)),),
}


def network(activation="tanh", **settings):
    mlp = MLP([3, 4, 2], activation=activation, **settings)
    return mlp, mlp.initialize(seed=0, backend=BACKEND, dtype="float64")


def by_scan(predict):
    return lambda x: jax.lax.scan(lambda carry, row: (carry, predict(row[None])[0]), 0.0, x)[1]


TRANSFORMS = {
    "jit": jax.jit,
    "vmap": lambda predict: jax.vmap(lambda row: predict(row[None])[0]),
    "scan": by_scan,
    "jit of vmap": lambda predict: jax.jit(jax.vmap(lambda row: predict(row[None])[0])),
}


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("norm", [None, "batch"])
def test_predictions_over_parameters_closed_over(name, norm):
    mlp, parameters = network(norm=norm)
    traced = TRANSFORMS[name](lambda x: mlp.predict_proba(parameters, x))
    expected = np.asarray(mlp.predict_proba(parameters, X))
    np.testing.assert_allclose(np.asarray(traced(X)), expected, rtol=1e-12)


def test_slots_in_a_compiled_function():
    mlp, parameters = network()
    slots = jax.jit(lambda trained: first_state(mlp, Adam(), trained).slots)(parameters)
    assert [*slots] == ["mean", "mean_square"]
    for layers in slots.values():
        assert not any(array.any() for layer in layers for array in layer.values())


@pytest.mark.parametrize(("activation", "loss"), [*zip(ACTIVATIONS, itertools.cycle(TARGETS))])
def test_jaxs_gradient_of_the_loss_is_the_one_by_hand(activation, loss):
    mlp, parameters = network(activation, loss=loss)
    for targets in TARGETS[loss]:

        def loss_of(parameters, targets=targets):
            return mlp.loss_and_gradients(parameters, X, targets, sample_weight=WEIGHTS)[0]

        differentiated = jax.grad(jax.jit(loss_of))(parameters)
        _, by_hand = mlp.loss_and_gradients(parameters, X, targets, sample_weight=WEIGHTS)
        for layer, expected in zip(differentiated, by_hand, strict=True):
            for name, gradient in expected.items():
                np.testing.assert_allclose(layer[name], gradient, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("transform", [jax.jit, jax.grad])
def test_the_reproducible_arithmetic_is_refused_there(transform):
    """A compiler rounds otherwise, and differentiation takes no notice of rounding."""
    mlp, parameters = network()
    with pytest.raises(ArithmeticUnavailable, match="not available on what JAX traces: jit and"):
        transform(lambda x: mlp.logits(parameters, x, arithmetic="reproducible").sum())(X)
