"""The comparison takes steps of training: dropout's masks and buffers among them."""

import numpy as np
import pytest

from pluggable_mlp import MLP, get_backend
from pluggable_mlp.consistency import compare

BACKENDS = ("numpy", "torch", "array_api_strict")
LOSSES_AND_LABELS = {
    "softmax_cross_entropy": lambda rng: rng.integers(0, 3, size=20),
    "sigmoid_cross_entropy": lambda rng: rng.integers(0, 2, size=(20, 3)),
    "huber": lambda rng: rng.normal(size=(20, 3)),
}


@pytest.mark.parametrize("arithmetic", ["native", "reproducible"])
@pytest.mark.parametrize("norm", ["batch", pytest.param("layer", marks=pytest.mark.slow)])
@pytest.mark.parametrize("loss", LOSSES_AND_LABELS)
def test_networks_of_all_layers_agree(loss, norm, arithmetic):
    pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    of_inputs = {"input_dropout": 0.125, "input_noise": 0.5}
    network = {"activation": ["gelu", "elu"], "norm": norm, "dropout": 0.25, **of_inputs}
    mlp = MLP([5, 6, 4, 3], loss=loss, **network)
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
    if norm == "batch":
        assert "layer 2 running_variance" in tensors
    by_layer = {one.tensor: one for one in report.agreements if one.check == "layer by layer"}
    if arithmetic == "native":
        # What training does: dropout divides by 1 - p, the batch is measured.
        assert by_layer["noise 1 y"].smallest_fault > 0.0
        assert by_layer["dropout 1 y"].smallest_fault > 0.0
        assert by_layer["dropout 2 dx"].smallest_fault > 0.0
        assert "dropout 1 dx" not in by_layer  # of the inputs, which have no gradient
        assert ("layer 2 running_variance" in by_layer) == (norm == "batch")
