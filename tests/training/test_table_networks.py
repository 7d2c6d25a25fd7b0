"""Networks for tables, whole: the same bits on every library, or within the bounds."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from pluggable_mlp import (
    MLP,
    Adam,
    AdamW,
    Categories,
    ClipByGlobalNorm,
    DecayFactors,
    Periodic,
    PiecewiseLinear,
    RateFactors,
    SoftmaxCrossEntropy,
    TabM,
    TabMMini,
    first_state,
    get_backend,
    train,
    training_step,
)
from pluggable_mlp.settings import Settings
from pluggable_mlp.training.recipes import TableForm
from pluggable_mlp.training.schedules import FlatCosine, LogCosine

RNG = np.random.default_rng(0)
X = RNG.normal(size=(48, 5))
CLASSES = (X[:, 0] * X[:, 1] > 0.0).astype(np.int64) + (X[:, 2] > 0.5)


def realmlp():
    """RealMLP-TD-S, small, with parametric activations."""
    mlp = MLP(
        [5, 8, 8, 3],
        activation="selu",
        loss=SoftmaxCrossEntropy(label_smoothing=0.1),
        initializer="standard_normal",
        output_initializer="zeros",
        parametrization="ntk",
        input_scaling=True,
        parametric_activation=True,
    )
    adam = Adam(LogCosine(0.04, total_steps=20), beta2=0.95)
    return mlp, RateFactors(adam, {"scale": 6.0, "b": 0.1})


def periodic():
    """RealMLP-TD's embedding."""
    mlp = MLP([5, 8, 3], activation="mish", parametrization="ntk", embedding=Periodic(3))
    decay = FlatCosine(0.02, total_steps=12)
    return mlp, AdamW(0.04, weight_decay=decay)


def tabm(ensemble, embedding=None):
    """TabM or TabM-mini, small."""
    mlp = MLP(
        [5, 8, 8, 3],
        activation="relu",
        initializer="inverse_sqrt_uniform",
        dropout=0.1,
        embedding=embedding,
        ensemble=ensemble,
    )
    return mlp, ClipByGlobalNorm(AdamW(2e-3, weight_decay=3e-4), 1.0)


def realmlp_td():
    """RealMLP-TD, small: the last two inputs are one-hot."""
    mlp = MLP(
        [5, 8, 8, 3],
        activation="selu",
        dropout=FlatCosine(0.15, total_steps=12),
        initializer="standard_normal",
        parametrization="ntk",
        input_scaling=True,
        parametric_activation=True,
        embedding=Periodic(2),
        category_embedding=Categories((2,), size=3),
        output_range=(-4.0, 4.0),
    )
    adam = RateFactors(Adam(0.04, beta2=0.95), {"scale": 6.0, "b": 0.1, "a": 0.1})
    decay = FlatCosine(0.02, total_steps=12)
    return mlp, DecayFactors(adam, decay, {"W": 1.0, "scale": 36.0, "category_E": 1.0})


NETWORKS = {
    "realmlp-td": realmlp_td,
    "realmlp": realmlp,
    "periodic": periodic,
    "tabm-mini": partial(
        tabm,
        TabMMini(4, scaling="normal", blocks=(1, 3, 1), own_batches=True),
        PiecewiseLinear([[-1.0, 0.0, 0.5, 1.0], [-1.0, 1.0]], size=3),
    ),
    "tabm": partial(tabm, TabM(4)),
}


def trained(name, backend, **settings):
    mlp, optimizer = NETWORKS[name]()
    given = {"epochs": 4, "batch_size": 16, "seed": 3, **settings}
    return train(mlp, X, CLASSES, optimizer=optimizer, backend=backend, **given)


def bits(training, backend):
    return [
        backend.to_numpy(array).tobytes()
        for layer in training.parameters
        for array in layer.values()
    ]


@pytest.mark.parametrize(
    ("backend", "name"),
    [
        *(("torch", name) for name in NETWORKS),
        # JAX compiles each operation: the other networks have little else, PyTorch has all.
        *(("jax:cpu", name) for name in ("realmlp-td", "tabm-mini")),
    ],
    indirect=["backend"],
)
def test_training_gives_the_same_bits(backend, name):
    numpy = get_backend("numpy")
    ours = trained(name, backend, arithmetic="reproducible")
    assert bits(ours, backend) == bits(trained(name, numpy, arithmetic="reproducible"), numpy)


def test_the_decay_of_realmlp_has_the_factors_of_the_rates_twice():
    """As in pytabkit; biases have none.  A loss without a gradient leaves the decay alone."""
    settings = Settings(task="classification", recipe="realmlp-td", batch_size=16, epochs=2)
    mlp = settings.make_mlp(TableForm((1, 1, 3), (), 2, (3,)), 3)
    mlp = replace(mlp, loss=lambda xp, z, *_: (xp.sum(z) * 0.0, xp.zeros_like(z)))
    optimizer = settings.make_optimizer(48, mlp)
    first = mlp.initialize(seed=0, backend=get_backend("numpy"), dtype="float64")
    state = first_state(mlp, optimizer, first)
    for _ in range(2):  # the rate of the first step is 0
        _, state = training_step(mlp, optimizer, state, X, X[:, :3])
    rate, decay = LogCosine(0.04, total_steps=6)(1), FlatCosine(0.02, total_steps=6)(1)
    factors = {"W": 1.0, "category_E": 1.0, "scale": 36.0, "a": 0.01, "b": 0.0}
    for before, after in zip(first, state.parameters, strict=True):
        for name, array in after.items():
            factor = factors.get(name, 0.01)  # of the waves
            expected = before[name] * (1.0 - factor * rate * decay)
            np.testing.assert_allclose(array, expected, rtol=1e-12, err_msg=name)
            assert factor == 0.0 or (array != before[name]).all()
