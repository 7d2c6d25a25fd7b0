"""Every loss: exact values, central differences, peers, the link, stacked networks.

Backends against each other are in tests/consistency.
"""

import numpy as np
import pytest

from pluggable_mlp.backends import get_backend
from tests.network.bounded import assert_near, with_bounds
from tests.network.differences import central_differences
from tests.network.losses.cases import CASES, WEIGHTS, compute, example, link
from tests.network.losses.exact import EXACT, exact
from tests.together import together


def test_every_loss_has_its_oracle():
    assert set(EXACT) == set(CASES)


@together("weights", [None, WEIGHTS])
@together("dtype", ["float32", "float64"])
@together("name", CASES)
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


@together("weights", [None, WEIGHTS])
@together("name", CASES)
def test_gradients_against_central_differences(name, weights):
    """differences.py derives the bound; the gradient's own rounding is of the order of f's."""
    backend = get_backend("numpy")
    z, targets = example(CASES[name].targets)
    dz = compute(CASES[name], z, targets, weights)(backend)["dz"]
    error = float(with_bounds(compute(CASES[name], z, targets, weights), "float64")["loss"].error)
    slopes, bounds = central_differences(
        lambda moved: float(compute(CASES[name], moved, targets, weights)(backend)["loss"]),
        z,
        1.01 * error,  # near z
    )
    assert (abs(dz - slopes) <= bounds).all()
    assert (bounds < 1e-6).all(), "the bound is too wide to tell anything"


def torch_losses():
    functional = pytest.importorskip("torch").nn.functional
    return {
        "softmax_cross_entropy": functional.cross_entropy,
        "softmax_cross_entropy 0.1": lambda z, t: functional.cross_entropy(
            z, t, label_smoothing=0.1
        ),
        "sigmoid_cross_entropy": functional.binary_cross_entropy_with_logits,
        "squared_error": functional.mse_loss,
        "absolute_error": functional.l1_loss,
        "huber": functional.huber_loss,
        "huber 0.25": lambda z, t: functional.huber_loss(z, t, delta=0.25),
        "poisson": functional.poisson_nll_loss,
    }


@pytest.mark.parametrize("name", [name for name in CASES if "quantile" not in name])
def test_against_torch_differentiation(name):
    """Ours is within its bound; theirs within 32 u of numbers below 10: a few roundings each."""
    function = torch_losses()[name]
    import torch

    z, targets = example(CASES[name].targets)
    theirs = torch.tensor(z, requires_grad=True)
    loss = function(theirs, torch.tensor(targets))
    loss.backward()
    on = compute(CASES[name], z, targets)
    ours, bounds = on(get_backend("numpy")), with_bounds(on, "float64")
    also = 32 * 2.0**-53 * 10
    assert_near(ours["loss"], float(loss.detach()), bounds["loss"], also)
    assert_near(ours["dz"], theirs.grad.numpy(), bounds["dz"], also)


@together("name", CASES)
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


@together("weights", [None, WEIGHTS])
@together("name", CASES)
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
