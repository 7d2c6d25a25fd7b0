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
# Launches of a step of 784-hidden-10 on 128 examples of floats, whatever the width; no waits.
LIMITS = {
    "native": {"sgd": 24, "adam": 24, "gelu": 24, "dropout": 33, "batch": 36, "layer": 36},
    "reproducible": {
        "sgd": 87, "adam": 87, "gelu": 87, "dropout": 96, "batch": 104, "layer": 103
    },
}  # fmt: skip


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
    for arithmetic, launches in LIMITS.items():
        for case, most in launches.items():
            for hidden in (16, 100, 512):  # the first stored by columns elsewhere
                is_native = arithmetic == "native"
                quick = {
                    16: is_native and case in ("batch", "layer"),
                    100: is_native or case in ("sgd", "adam"),
                }
                marks = [] if quick.get(hidden) else [pytest.mark.slow]
                yield pytest.param(hidden, arithmetic, case, most, marks=marks)


@pytest.mark.simulated_cupy
@pytest.mark.parametrize(("hidden", "arithmetic", "case", "most"), list(cases()))
def test_a_step_asks_for_no_more_than_it_did(hidden, arithmetic, case, most):
    # The first runs make tables and the like, and try kernels, once for the process.
    *_, first, second = (counted(steps, hidden, arithmetic, case) for steps in (4, 4, 5, 6))
    launches, waits = second.launches - first.launches, second.waits - first.waits
    assert not waits, f"waits, by the line that asked: {waits}"
    assert launches.total() <= most, f"launches, by name: {launches}"


@pytest.mark.simulated_cupy
@pytest.mark.parametrize(
    "arithmetic", ["native", pytest.param("reproducible", marks=pytest.mark.slow)]
)
def test_a_step_by_a_graph_is_five_launches(arithmetic, monkeypatch):
    """Rows of inputs and targets in the order of the epoch, copies in, the graph, copies out.

    And one that puts the losses together, of up to 8.
    """
    monkeypatch.setattr("pluggable_mlp.backends.graphs.CALLS_BEFORE_CAPTURE", 2)
    # Each count is of another shape of data: of that, functions are traced at the third call.
    *_, first, second = (counted(steps, 17, arithmetic, "adam") for steps in (5, 6) * 4)
    launches, waits = second.launches - first.launches, second.waits - first.waits
    assert not waits, f"waits, by the line that asked: {waits}"
    assert launches == {"take": 2, "fused": 2, "graph": 1, "concatenate": 1}
