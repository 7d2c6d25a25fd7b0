"""Every loss: exact values, central differences, peers, the link, stacked networks.

Backends against each other are in tests/consistency.
"""

import numpy as np
import pytest

from pluggable_mlp.backends import get_backend
from pluggable_mlp.special import softmax
from tests.network.bounded import assert_near, with_bounds
from tests.network.differences import central_differences
from tests.network.losses.cases import BATCH, CASES, OUTPUTS, WEIGHTS, compute, example, link
from tests.network.losses.exact import EXACT, exact


def test_every_loss_has_its_oracle():
    assert set(EXACT) == set(CASES)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_values(backend, name, dtype, weights):
    """Against the definition, within the derived bound."""
    z, targets = example(CASES[name].targets)
    z, targets, own = (
        a if a is None or a.dtype.kind == "i" else a.astype(dtype) for a in (z, targets, weights)
    )
    on = compute(CASES[name], z, targets, own)
    loss = on(backend)["loss"]
    assert loss.shape == ()
    assert loss.dtype == getattr(backend.xp, dtype)
    assert_near(float(loss), exact(name, z, targets, weights), with_bounds(on, dtype)["loss"])


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("name", CASES)
def test_gradients_against_central_differences(name, weights):
    """differences.py derives the bound; the gradient's own rounding is of the order of f's."""
    backend = get_backend("numpy")
    z, own = example(CASES[name].targets)
    probabilities = [np.random.default_rng(0).dirichlet(np.ones(OUTPUTS), BATCH)]
    for targets in (own, *(probabilities if own.ndim == 1 else ())):
        dz = compute(CASES[name], z, targets, weights)(backend)["dz"]
        bounded = with_bounds(compute(CASES[name], z, targets, weights), "float64")
        slopes, bounds = central_differences(
            lambda moved, t=targets: float(
                compute(CASES[name], moved, t, weights)(backend)["loss"]
            ),
            z,
            1.01 * float(bounded["loss"].error),
        )
        assert (abs(dz - slopes) <= bounds).all()
        assert (bounds < 1e-6).all(), "the bound is too wide to tell anything"


@pytest.mark.parametrize("name", CASES)
def test_predictions_are_the_link(backend, name):
    """Rows that sum to 1, sigmoids, rates, or the outputs; against NumPy's own functions."""
    z, _ = example(CASES[name].targets)
    result = backend.to_numpy(link(CASES[name])(backend.xp, backend.asarray(z)))
    expected = {
        "classes": np.exp(z) / np.exp(z).sum(axis=1, keepdims=True),
        "labels": 1 / (1 + np.exp(-z)),
        "numbers": z,
        "counts": np.exp(z),
    }[CASES[name].targets]
    np.testing.assert_allclose(result, expected, rtol=32 * 2.0**-53)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("name", CASES)
def test_stacked_networks_give_what_each_gives_by_itself(backend, name, weights):
    examples = [example(CASES[name].targets, seed) for seed in (0, 1)]
    z, targets = (np.stack(arrays) for arrays in zip(*examples, strict=True))
    own = None if weights is None else np.stack([weights, weights[::-1]])
    before = [a.tobytes() for a in (z, targets)]
    whole = compute(CASES[name], z, targets, own)(backend)
    assert whole["loss"].shape == (2,)
    for index in range(2):
        on = compute(CASES[name], z[index], targets[index], None if own is None else own[index])
        alone, bounds = on(backend), with_bounds(on, "float64")
        for key, array in alone.items():
            part = backend.to_numpy(whole[key])[index, ...]
            assert_near(part, backend.to_numpy(array), bounds[key], bounds[key].error)
    assert [a.tobytes() for a in (z, targets)] == before


def test_softmax_uses_the_maximum_of_each_row(backend):
    """Rows 2e4 apart: against the other's maximum, one would be 0 / 0."""
    z = np.asarray([[1e4, 1e4], [-1e4, -1e4], [1e4, -1e4]])
    p = softmax(backend.xp, backend.asarray(z, dtype="float32"))
    assert backend.to_numpy(p).tolist() == [[0.5, 0.5], [0.5, 0.5], [1.0, 0.0]]


def test_a_rate_beyond_exp_80_counts_as_exp_80(backend):
    z = np.asarray([[79.0], [80.0], [81.0], [1e4]])
    poisson = CASES["poisson"].predict
    below, *rates = backend.to_numpy(poisson(backend.xp, backend.asarray(z)))[:, 0]
    assert below < rates[0] == rates[1] == rates[2]
