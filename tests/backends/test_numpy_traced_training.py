"""Steps of training that NumPy traces: the same bits, whatever is trained."""

import numpy as np
import pytest

from pluggable_mlp import MLP, ClipByGlobalNorm, HuberLoss, LeakyReLU, get_backend, train
from pluggable_mlp.network.activations import ACTIVATIONS
from pluggable_mlp.network.losses import LOSSES
from pluggable_mlp.training.components import OPTIMIZERS, make_optimizer
from pluggable_mlp.training.lbfgs import LBFGS
from pluggable_mlp.training.schedules import Cosine
from tests.training.compilers import Uncompiled

NUMPY = get_backend("numpy")
pytestmark = pytest.mark.usefixtures("nothing_kept")
GRADIENTS = [name for name, kind in OPTIMIZERS.items() if kind is not LBFGS]

NETWORKS = {
    **{name: {"activation": name} for name in ACTIVATIONS},
    "one per layer": {"activation": ["tanh", LeakyReLU(0.2)]},
    "dropout": {"dropout": 0.3},
    "norm layer": {"norm": "layer"},
    "norm batch and dropout": {"norm": "batch", "dropout": 0.5},
    **{f"loss {name}": {"loss": name} for name in LOSSES},
    "huber": {"loss": HuberLoss(delta=0.1)},
}
OPTIMIZERS_OF_TESTS = {
    **{name: make_optimizer(name) for name in GRADIENTS},
    "momentum": make_optimizer("sgd", momentum=0.9, nesterov=True),
    "clipped": ClipByGlobalNorm(make_optimizer("sgd"), 0.1),
    "penalties": make_optimizer("adam", weight_decay=0.1, l1=0.01),
    "average": make_optimizer("sgd", average=0.9),
    "schedule": make_optimizer("sgd", learning_rate=Cosine(0.1, total_steps=20)),
}
TRAININGS = {
    "weights": {"sample_weight": np.linspace(0.0, 2.0, 70)},
    "no order": {"shuffle": False},
    "one batch": {"batch_size": 70},
    "batches of one": {"batch_size": 1, "epochs": 1},
    "micro-batches": {"micro_batch": 7},
    "blocks": {"block_size": 40},
    "float64": {"dtype": "float64"},
    "pixels": {"scale": 1 / 256},
}


def trained(backend, network, **settings):
    """All numbers of a training, as bytes; batches of 20, 20, 20 and 10, or as the settings say."""
    dtype = settings.setdefault("dtype", "float32")
    rng = np.random.default_rng(0)
    mlp = MLP([5, 8, 6, 3], **network)
    x = rng.normal(size=(70, 5)).astype(dtype)
    if "scale" in settings:
        x = rng.integers(0, 256, size=(70, 5)).astype(np.uint8)
    if "sample_weight" in settings:
        settings = {**settings, "sample_weight": settings["sample_weight"].astype(dtype)}
    rows = rng.integers(0, 2, size=(70, 3))
    targets = rng.integers(0, 3, size=70) if mlp.objective.targets == "classes" else rows
    options = {"batch_size": 20, "epochs": 3, "seed": 4, "backend": backend, **settings}
    result = train(mlp, x, targets, **options)
    return result.history, [layer[name].tobytes() for layer in result.parameters for name in layer]


CASES = {
    **{name: (network, {}) for name, network in NETWORKS.items()},
    **{name: ({}, {"optimizer": optimizer}) for name, optimizer in OPTIMIZERS_OF_TESTS.items()},
    **{name: ({"dropout": 0.2}, settings) for name, settings in TRAININGS.items()},
    **{
        f"reproducible, {name}": (network, {"arithmetic": "reproducible", "optimizer": optimizer})
        for name, network, optimizer in (
            ("sgd", {"dropout": 0.2, "norm": "batch"}, make_optimizer("sgd")),
            ("adam", {"activation": "gelu"}, make_optimizer("adam")),
        )
    },
}


@pytest.mark.parametrize(("network", "settings"), CASES.values(), ids=CASES)
def test_training_gives_the_same_bits(network, settings, programs):
    expected = trained(Uncompiled(NUMPY), network, **settings)
    assert not programs
    assert trained(NUMPY, network, **settings) == expected
    assert programs
