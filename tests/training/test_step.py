"""Loops of callers: their steps are those of `train`, and what cannot be a step is refused."""

import math

import numpy as np
import pytest

from pluggable_mlp import (
    MLP,
    SGD,
    first_state,
    get_backend,
    make_optimizer,
    make_schedule,
    train,
    training_step,
)
from pluggable_mlp.network.layers import Rng
from pluggable_mlp.training.lbfgs import LBFGS

NUMPY = get_backend("numpy")
_RNG = np.random.default_rng(0)
X, LABELS, WEIGHTS = _RNG.normal(size=(10, 3)), _RNG.integers(0, 2, size=10), np.arange(1.0, 11.0)
FULL = MLP([3, 8, 2], norm="batch", dropout=0.25)
EPOCHS, BATCH = 2, 4


def own_loop(backend, mlp, optimizer, weights=None, **settings):
    """The loss of each step, and the parameters after all of them, of batches as they come."""
    start = mlp.initialize(seed=0, backend=backend, dtype="float64")
    state = first_state(mlp, optimizer, start, **settings)
    x, labels = backend.asarray(X), backend.asarray(LABELS)
    weights = None if weights is None else backend.asarray(weights)
    losses = []
    for place in [*range(0, len(X), BATCH)] * EPOCHS:
        batch = slice(place, min(place + BATCH, len(X)))
        given = {} if weights is None else {"sample_weight": weights[batch]}
        loss, state = training_step(
            mlp, optimizer, state, x[batch, ...], labels[batch], seed=7, **given, **settings
        )
        losses.append(float(loss))
    return losses, state.inference_parameters


@pytest.mark.parametrize(
    ("optimizer", "weights"),
    [(SGD(0.5), None), (make_optimizer("adam", average=0.9, clip_norm=0.5), WEIGHTS)],
    ids=["sgd", "adam, averaged, with weights"],
)
@pytest.mark.parametrize("arithmetic", ["native", "reproducible"])
def test_its_steps_are_those_of_train(arithmetic, optimizer, weights):
    """Dropout's masks, buffers, averages, weights: bit for bit."""
    losses, parameters = own_loop(NUMPY, FULL, optimizer, weights, arithmetic=arithmetic)
    trained = train(
        FULL,
        X,
        LABELS,
        backend=NUMPY,
        parameters=FULL.initialize(seed=0, backend=NUMPY, dtype="float64"),
        optimizer=optimizer,
        epochs=EPOCHS,
        batch_size=BATCH,
        dtype="float64",
        shuffle=False,
        seed=7,
        sample_weight=weights,
        arithmetic=arithmetic,
    )
    counts = [4, 4, 2] if weights is None else [w.sum() for w in np.split(WEIGHTS, [4, 8])]
    for epoch, loss in enumerate(trained.history):
        own = losses[3 * epoch : 3 * epoch + 3]
        mean = math.fsum(a * b for a, b in zip(own, counts, strict=True)) / math.fsum(counts)
        assert loss == mean
    for one, other in zip(parameters, trained.parameters, strict=True):
        assert list(one) == list(other)
        assert all(one[name].tobytes() == other[name].tobytes() for name in one)


@pytest.mark.slow
def test_the_state_keeps_the_order_of_their_names():
    """JAX sorts the names of a dict in what it compiles."""
    pytest.importorskip("jax")
    backend, mlp, optimizer = get_backend("jax:cpu"), MLP([2, 2]), SGD(0.5, momentum=0.9)
    start = mlp.initialize(seed=0, backend=backend)
    start = [{name: layer[name] for name in "Wb"[::-1]} for layer in start]
    x, labels = backend.asarray(np.ones((2, 2), dtype="float32")), backend.asarray([0, 1])
    state = first_state(mlp, optimizer, start, arithmetic="reproducible")
    _, state = training_step(mlp, optimizer, state, x, labels, arithmetic="reproducible")
    assert [[*layer] for layer in state.parameters] == [["b", "W"]]
    assert [[*layer] for layer in state.slots["velocity"]] == [["b", "W"]]


@pytest.mark.parametrize(
    ("optimizer", "error", "message"),
    [
        (LBFGS(), TypeError, "expected one such as SGD.* lbfgs looks at all .*: use train"),
        ("sgd", TypeError, "optimizer is 'sgd', expected one such as SGD"),
        (SGD, TypeError, "optimizer is <class .*SGD'>, expected one such as SGD"),
        (
            SGD(make_schedule("plateau", 0.1)),
            ValueError,
            "plateau follows the loss of whole epochs",
        ),
    ],
)
def test_what_needs_more_than_a_batch_is_refused(optimizer, error, message):
    mlp = MLP([3, 2])
    with pytest.raises(error, match=message):
        first_state(mlp, optimizer, mlp.initialize(seed=0, backend=NUMPY))


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"x": X.astype("float32")}, ValueError, "x is float32, but the parameters are float64"),
        ({"x": X[:, :2]}, ValueError, r"x has shape \(10, 2\)"),
        ({"targets": LABELS + 1}, ValueError, "targets run from 1 to 2"),
        ({"sample_weight": -WEIGHTS}, ValueError, "sample_weight holds negative numbers"),
        ({"seed": 2**64}, ValueError, "seed is .*, expected an integer from 0 to 2"),
        ({"seed": 0.5}, ValueError, "seed is 0.5"),
        ({"arithmetic": "exact"}, ValueError, "arithmetic is 'exact'"),
        ({"state": []}, TypeError, r"state is a list, expected one from first_state"),
        ({"optimizer": "sgd"}, TypeError, "optimizer is 'sgd', expected one such as SGD"),
        ({"optimizer": LBFGS()}, TypeError, "optimizer is LBFGS.*, expected one such as SGD"),
        *(
            ({"optimizer": make_optimizer(name, **more)}, ValueError, "state is of another optim")
            for name, more in (
                ("rmsprop", {}),
                ("adam", {}),
                ("muon", {}),
                ("sgd", {"momentum": 0.9}),
                ("sgd", {"average": 0.9}),
            )
        ),
    ],
)
def test_what_does_not_fit_is_refused(changed, error, message):
    start = FULL.initialize(seed=0, backend=NUMPY, dtype="float64")
    state = first_state(FULL, SGD(), start)
    given = {"optimizer": SGD(0.5), "state": state, "x": X, "targets": LABELS}
    with pytest.raises(error, match=message):
        training_step(FULL, **given | changed)
    training_step(FULL, **given)


def test_an_own_optimizer_with_buffers_takes_the_steps_of_training(backend):
    """Gradients and buffers of `loss_and_gradients`, w - rate g by hand: SGD, rounding apart."""
    start = FULL.initialize(seed=0, backend=backend, dtype="float64")
    state = first_state(FULL, SGD(0.5), start)
    parameters, buffers = FULL.split(start)
    assert [sorted(of) for of in buffers] == [[], ["running_mean", "running_variance"], []]
    x, labels = backend.asarray(X), backend.asarray(LABELS)
    for t in range(3):
        loss, gradients, buffers = FULL.loss_and_gradients(
            parameters, x, labels, buffers=buffers, rng=Rng(7, t)
        )
        parameters = [
            {name: w - 0.5 * own[name] for name, w in of.items()}
            for of, own in zip(parameters, gradients, strict=True)
        ]
        expected, state = training_step(FULL, SGD(0.5), state, x, labels, seed=7)
        np.testing.assert_allclose(float(loss), float(expected), rtol=1e-13)
    for ours, theirs in zip(
        [*parameters, *buffers], [*state.parameters, *state.buffers], strict=True
    ):
        assert list(ours) == list(theirs)
        for name, array in ours.items():
            on_host = backend.to_numpy(theirs[name])
            np.testing.assert_allclose(backend.to_numpy(array), on_host, rtol=0.0, atol=1e-13)
