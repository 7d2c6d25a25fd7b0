"""How often a step asks something of a GPU, held to what it was once: counted on a simulated CuPy.

A launch takes some microseconds of the host's time, a wait empties the queue of the device.  The
limits are what was counted when they were written: a change that asks for less lowers them.
"""

from typing import Any

import numpy as np
import pytest

from pluggable_mlp import MLP, SGD, train
from pluggable_mlp.training.optimizers import Adam
from tests.simulated_cupy import SimulatedCupyBackend, counting

BATCH = 128
CASES: dict[str, tuple[dict[str, Any], Any]] = {
    "sgd": ({}, SGD()),
    "adam": ({}, Adam()),
    "gelu": ({"activation": "gelu"}, SGD()),
    "dropout": ({"dropout": 0.5}, SGD()),
    "batch": ({"norm": "batch"}, SGD()),
    "layer": ({"norm": "layer"}, SGD()),
}
# Launches of a step, and waits, of 784-hidden-10 on 128 examples of floats.
LIMITS = {
    (100, "native"): (
        {"sgd": 41, "adam": 88, "gelu": 47, "dropout": 262, "batch": 70, "layer": 64},
        0,
    ),
    (512, "native"): (
        {"sgd": 41, "adam": 88, "gelu": 47, "dropout": 262, "batch": 70, "layer": 64},
        0,
    ),
    (100, "reproducible"): (
        {"sgd": 512, "adam": 746, "gelu": 581, "dropout": 742, "batch": 725, "layer": 711},
        0,
    ),
    (512, "reproducible"): (
        {"sgd": 515, "adam": 749, "gelu": 584, "dropout": 745, "batch": 728, "layer": 718},
        0,
    ),
}


def counted(steps: int, hidden: int, arithmetic: str, case: str) -> Any:
    """Return what training asks for in so many steps of floats."""
    network, optimizer = CASES[case]
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(steps * BATCH, 784)).astype(np.float32)
    labels = rng.integers(0, 10, size=steps * BATCH)
    with counting() as counts:
        train(
            MLP([784, hidden, 10], **network),
            inputs,
            labels,
            backend=SimulatedCupyBackend(),
            optimizer=optimizer,
            epochs=1,
            batch_size=BATCH,
            arithmetic=arithmetic,
        )
    return counts


def cases() -> Any:
    for (hidden, arithmetic), (launches, waits) in LIMITS.items():
        for case, most in launches.items():
            large = hidden == 512 and arithmetic == "reproducible" and case != "sgd"
            marks = [pytest.mark.slow] if large else []
            yield pytest.param(hidden, arithmetic, case, most, waits, marks=marks)


@pytest.mark.simulated_cupy
@pytest.mark.parametrize(
    ("hidden", "arithmetic", "case", "most_launches", "most_waits"), list(cases())
)
def test_a_step_asks_for_no_more_than_it_did(hidden, arithmetic, case, most_launches, most_waits):
    # The first run makes tables and the like, once for the process.
    _, first, second = (counted(steps, hidden, arithmetic, case) for steps in (1, 2, 3))
    launches, waits = second.launches - first.launches, second.waits - first.waits
    assert waits.total() <= most_waits, f"waits, by the line that asked: {waits}"
    assert launches.total() <= most_launches, f"launches, by name: {launches}"
