"""The comparison takes steps of training: dropout's masks and running statistics among them."""

import numpy as np
import pytest

from pluggable_mlp import MLP, get_backend
from pluggable_mlp.arithmetic import get_arithmetic
from pluggable_mlp.consistency import compare
from pluggable_mlp.consistency.sides import Side
from pluggable_mlp.network.layers import TrainingStep
from pluggable_mlp.training.train import make_examples

BACKENDS = ("numpy", "torch", "array_api_strict")
LOSSES_AND_LABELS = {
    "softmax_cross_entropy": lambda rng: rng.integers(0, 3, size=20),
    "sigmoid_cross_entropy": lambda rng: rng.integers(0, 2, size=(20, 3)),
    "huber": lambda rng: rng.normal(size=(20, 3)),
}


@pytest.mark.parametrize("arithmetic", ["native", "reproducible"])
@pytest.mark.parametrize("norm", ["batch", "layer"])
@pytest.mark.parametrize("loss", LOSSES_AND_LABELS)
def test_networks_of_all_layers_agree(loss, norm, arithmetic):
    pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    mlp = MLP([5, 6, 4, 3], activation=["gelu", "elu"], loss=loss, norm=norm, dropout=0.25)
    report = compare(
        [get_backend(name) for name in BACKENDS],
        mlp,
        rng.normal(size=(20, 5)),
        LOSSES_AND_LABELS[loss](rng),
        arithmetic=arithmetic,
        batch_size=8,
        steps=4,
    )
    assert report.passes
    tensors = {of.tensor for of in (*report.agreements, *report.hashes)}
    assert "layer 2 dgamma" in tensors
    if norm == "batch" and arithmetic == "reproducible":
        assert "layer 2 running_variance" in tensors


def test_a_side_takes_the_steps_of_training():
    """The loss of its second step is that of TrainingStep(seed, 1), and not of evaluation."""
    backend = get_backend("numpy")
    mlp = MLP([5, 6, 3], norm="batch", dropout=0.5)
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(8, 5)), rng.integers(0, 3, size=8)
    examples = make_examples(mlp, x, labels, backend=backend, dtype="float64")
    arithmetic = get_arithmetic("native", backend.xp)
    parameters = mlp.initialize(seed=0, backend=backend, dtype="float64")
    side = Side("numpy", backend, arithmetic, mlp, examples, parameters, seed=9)
    batches = side.batches(8)
    side.step(next(batches), 1)
    before, batch = side.parameters, next(batches)
    losses = [
        float(mlp.step_gradients(before, *batch[:2], arithmetic, step)[0])
        for step in (TrainingStep(9, 1), TrainingStep(9, 0), None)
    ]
    assert float(side.step(batch, 2)["loss"]) == losses[0]
    assert len(set(losses)) == 3
    assert (side.parameters[1]["running_mean"] != before[1]["running_mean"]).all()
