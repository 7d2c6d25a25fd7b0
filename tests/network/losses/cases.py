"""Every loss of the table, and those with other parameters, each with examples for it."""

import numpy as np

from pluggable_mlp import LOSSES, HuberLoss, PinballLoss, SoftmaxCrossEntropy
from tests.network.differences import on_grid

CASES = {
    **LOSSES,
    "softmax_cross_entropy 0.1": SoftmaxCrossEntropy(label_smoothing=0.1),
    "huber 0.25": HuberLoss(delta=0.25),
    "quantile 0.9": PinballLoss(quantile=0.9),
}
BATCH, OUTPUTS = 5, 3
WEIGHTS = np.asarray([0.5, 2.0, 0.0, 1.25, 3.0])


def example(kind, seed=0):
    """z (5, 3), on the grid of the central differences, and targets of a kind."""
    rng = np.random.default_rng(seed)
    targets = {
        "classes": rng.integers(0, OUTPUTS, size=BATCH),
        "labels": rng.integers(0, 2, size=(BATCH, OUTPUTS)).astype(float),
        "numbers": rng.normal(size=(BATCH, OUTPUTS)),
        "counts": rng.poisson(2.0, size=(BATCH, OUTPUTS)).astype(float),
    }[kind]
    return on_grid(rng.normal(size=(BATCH, OUTPUTS))), targets


def link(loss):
    """What the loss takes z for: the probabilities of classes and labels, rates, or values."""
    return getattr(loss, "predict_proba", loss.predict)


def compute(loss, z, targets, weights=None):
    def on(library):
        arrays = [None if a is None else library.asarray(a) for a in (z, targets, weights)]
        value, dz = loss(library.xp, *arrays)
        return {"loss": value, "dz": dz}

    return on
