"""A batch in parts: its loss and its gradient, less memory, the same bits everywhere."""

import numpy as np
import pytest

from pluggable_mlp import MLP, SGD, get_backend, train
from pluggable_mlp.network.layers import Rng
from pluggable_mlp.training.step import StepModel, differentiate

NUMPY = get_backend("numpy")
COUNT = 23  # in parts of 5 the last is smaller
LOSSES = {
    "softmax_cross_entropy": np.arange(COUNT) % 3,
    "squared_error": np.random.default_rng(1).normal(size=(COUNT, 3)),
}


def gradients_of(backend, mlp, targets, sample_weight, micro_batch=None):
    host_arrays = np.random.default_rng(0).normal(size=(COUNT, 4)), targets, sample_weight
    batch = [None if x is None else backend.asarray(x) for x in host_arrays]
    start = mlp.initialize(seed=0, backend=backend, dtype="float64")
    model = StepModel(mlp, None, micro_batch)
    arguments = *mlp.split(start), None, (5, 3, ()), tuple(batch)
    loss, _, _, gradients = differentiate(backend.xp, model, *arguments)
    arrays = [backend.to_numpy(layer[name]) for layer in gradients for name in sorted(layer)]
    return [float(loss), *arrays]


def assert_close(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
def test_loss_and_gradient_are_those_of_the_whole_batch(backend, loss, weighted):
    """With dropout; and a micro-batch whose weights are all 0 adds nothing."""
    weights = np.random.default_rng(2).uniform(0.5, 2.0, COUNT) if weighted else None
    if weighted:
        weights[5:10] = 0.0
    of_inputs = {"input_dropout": 0.25, "input_noise": 0.5}
    mlp = MLP([4, 9, 3], loss=loss, dropout=0.5, **of_inputs)
    whole = gradients_of(backend, mlp, LOSSES[loss], weights)
    for size in (5, COUNT, 100):
        assert_close(gradients_of(backend, mlp, LOSSES[loss], weights, size), whole)


@pytest.mark.parametrize("arithmetic", ["native", "reproducible"])
def test_a_batch_whose_weights_are_all_0_moves_nothing(arithmetic):
    """Of two batches the second: the parameters are those after the first."""
    x, y = np.random.default_rng(0).normal(size=(10, 4)), np.arange(10) % 3
    weights = np.asarray([1.0, 2.0, 3.0, 1.0, 0.5] + [0.0] * 5)
    mlp = MLP([4, 3])
    settings = {"backend": NUMPY, "batch_size": 5, "epochs": 1, "shuffle": False}
    settings |= {"arithmetic": arithmetic, "micro_batch": 2, "optimizer": SGD(0.1)}
    both = train(mlp, x, y, sample_weight=weights, **settings)
    first = train(mlp, x[:5], y[:5], sample_weight=weights[:5], **settings)
    assert both.history == first.history
    for name in "Wb":
        assert both.parameters[0][name].tolist() == first.parameters[0][name].tolist()


def test_batch_normalization_measures_each_micro_batch():
    """The last running mean is by hand: momentum of each micro-batch, one after the other."""
    mlp = MLP([2, 3, 2], norm="batch")
    x, y = np.random.default_rng(0).normal(size=(6, 2)), np.arange(6) % 2
    start = mlp.initialize(seed=0, backend=NUMPY, dtype="float64")
    trained, buffers = mlp.split(start)
    arguments = trained, buffers, None, (0, 0, ()), (x, y, None)
    _, _, found, _ = differentiate(NUMPY.xp, StepModel(mlp, None, 3), *arguments)
    for rows in (slice(0, 3), slice(3, 6)):
        *_, buffers = mlp.loss_gradients_and_buffers(
            NUMPY.xp, trained, buffers, x[rows], y[rows], None, Rng(0, 0)
        )
    assert str(found) == str(buffers)


def test_a_wrong_size_is_refused():
    with pytest.raises(ValueError, match="micro_batch is 0, expected"):
        train(MLP([4, 3]), np.zeros((2, 4)), [0, 1], backend=NUMPY, micro_batch=0)
