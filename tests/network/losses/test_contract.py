"""The average over the batch that every loss takes: what the weights of examples mean."""

import numpy as np
import pytest

from pluggable_mlp.backends import get_backend
from pluggable_mlp.namespaces import ARITHMETICS
from tests.network.bounded import InArithmetic, assert_near, with_bounds
from tests.network.losses.cases import BATCH, CASES, OUTPUTS, WEIGHTS, compute, example
from tests.together import together


def sklearn_losses():
    metrics = pytest.importorskip("sklearn.metrics")

    def logistic_loss(z, t, w):  # the mean over the outputs of each one's
        p = 1 / (1 + np.exp(-z))
        return np.mean(
            [
                metrics.log_loss(t[:, k], p[:, k], sample_weight=w, labels=[0, 1])
                for k in range(OUTPUTS)
            ]
        )

    def softmax_loss(z, t, w):
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        return metrics.log_loss(t, p, sample_weight=w, labels=range(OUTPUTS))

    return {
        "softmax_cross_entropy": softmax_loss,
        "sigmoid_cross_entropy": logistic_loss,
        "squared_error": lambda z, t, w: metrics.mean_squared_error(t, z, sample_weight=w),
        "absolute_error": lambda z, t, w: metrics.mean_absolute_error(t, z, sample_weight=w),
        "quantile": lambda z, t, w: metrics.mean_pinball_loss(t, z, sample_weight=w, alpha=0.5),
        "quantile 0.9": lambda z, t, w: metrics.mean_pinball_loss(t, z, sample_weight=w, alpha=0.9),
        "poisson": lambda z, t, w: metrics.mean_poisson_deviance(t, np.exp(z), sample_weight=w),
    }


WITH_SKLEARN = [name for name in CASES if "huber" not in name and "0.1" not in name]


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("name", WITH_SKLEARN)
def test_weights_mean_what_scikit_learn_means(name, weights):
    """sample_weight in sklearn.metrics; theirs within 32 u of numbers below 10."""
    function = sklearn_losses()[name]
    z, targets = example(CASES[name].targets)
    own = weights
    if name == "poisson":  # only for one output, and in another parametrisation
        z, targets = z[:, :1], targets[:, :1]
    theirs = function(z, targets, own)
    if name == "poisson":
        # The deviance is 2 (t log t - t - t z + exp(z)); t log t is 0 at 0.
        constant = np.where(targets > 0, targets * np.log(np.maximum(targets, 1)), 0) - targets
        theirs = theirs / 2 - np.average(constant[:, 0], weights=own)
    on = compute(CASES[name], z, targets, own)
    bounds = with_bounds(on, "float64")
    assert_near(float(on(get_backend("numpy"))["loss"]), theirs, bounds["loss"], 32 * 2.0**-53 * 10)


@together("name", CASES)
def test_a_weight_of_two_is_the_example_twice(backend, name):
    """And one of 0 is an example that is not there: loss and gradient, within the bounds."""
    z, targets = example(CASES[name].targets)
    counts = np.asarray([2, 0, 1, 3, 1])
    weighted = compute(CASES[name], z, targets, counts.astype(float))
    repeated = compute(CASES[name], np.repeat(z, counts, axis=0), np.repeat(targets, counts, 0))
    bounds, others = with_bounds(weighted, "float64"), with_bounds(repeated, "float64")
    one, other = (
        {key: backend.to_numpy(array) for key, array in on(backend).items()}
        for on in (weighted, repeated)
    )
    assert_near(one["loss"], other["loss"], bounds["loss"], others["loss"].error)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    for index, count in enumerate(counts):
        copies = slice(starts[index], starts[index] + count)
        row = other["dz"][copies].sum(axis=0)
        rounding = others["dz"].error[copies].sum(axis=0) + 3 * 2.0**-53 * abs(row)
        difference = abs(one["dz"][index] - row)
        assert (difference <= bounds["dz"].error[index] + rounding).all()


@together("arithmetic", ARITHMETICS)
@together("name", CASES)
@together("weight", [0.0, 1e-310])
def test_weights_of_nothing_give_nothing(backend, name, arithmetic, weight):
    """A batch may hold no example that counts: no NaN then, and no step to speak of."""
    z, targets = example(CASES[name].targets)
    place = InArithmetic(arithmetic, backend)
    found = compute(CASES[name], z, targets, np.full(BATCH, weight))(place)
    assert abs(float(found["loss"])) <= 1e10 * weight
    assert (abs(place.to_numpy(found["dz"])) <= 1e10 * weight).all()
