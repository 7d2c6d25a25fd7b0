"""Is every fault seen that a library or a line of code could have?  And no backend accused?"""

from typing import Any

import pytest

from pluggable_mlp import SGD
from pluggable_mlp.backends import Backend
from pluggable_mlp.consistency.compare import compare
from pluggable_mlp.consistency.report import Report
from pluggable_mlp.training.components import OPTIMIZERS, make_optimizer
from pluggable_mlp.training.optimizer import Optimizer
from tests.consistency.libraries import NUMPY
from tests.consistency.planted import (
    NETWORKS,
    Network,
    OtherBackend,
    WatchedRule,
    faulty_backends,
    watched,
)

pytestmark = pytest.mark.as_user

DTYPES = ("float32", "float64")
SMALL, NORMALIZED = "64-100-10 sigmoid", "784-100-100-10 relu, batch norm"


# The small one is quick, one more runs in CI, and all others at night.
CASES = [
    pytest.param(
        network,
        DTYPES[place % 2],
        id=name,
        marks=[pytest.mark.slow] * (name != SMALL)
        + [pytest.mark.nightly] * (name not in (SMALL, NORMALIZED)),
    )
    for place, (name, network) in enumerate(NETWORKS.items())
]


@pytest.mark.parametrize(("network", "dtype"), CASES)
def test_every_fault_is_seen(network: Network, dtype: str) -> None:
    """All the faulty backends in one comparison, each of them to be named for what is wrong."""
    mlp, optimizer = watched(network.mlp()), WatchedRule(SGD())
    faulty = faulty_backends(mlp, dtype)
    backends = [NUMPY, *(backend for backend, _ in faulty.values())]
    report = compare(backends, mlp, **network.data(), optimizer=optimizer, dtype=dtype, steps=1)
    found = beyond(report)
    # The gradient of a bias before batch normalization is 0: wrong by some factor it still is.
    zeros = {f"layer {n} db" for n in (1, 3)} if network.norm == "batch" else set()
    assert blind_layer_by_layer(report) == zeros
    missed = {fault for fault, (_, tensor) in faulty.items() if tensor not in zeros}
    missed -= {backend for backend, _ in found}
    assert not missed
    wrong = {(fault, tensor) for fault, (_, tensor) in faulty.items() if tensor} - found
    assert {tensor for _, tensor in wrong} <= zeros


@pytest.mark.parametrize(("network", "dtype"), CASES)
def test_no_backend_is_accused(network: Network, dtype: str, all_backends: list[Backend]) -> None:
    backends = [NUMPY, *all_backends]
    report = compare(backends, network.mlp(0.25), **network.data(), dtype=dtype, steps=3)
    assert not beyond(report)
    assert 0.0 < report.improbability < 1e-6


RULES: dict[str, dict[str, Any]] = {
    **{name: {} for name in OPTIMIZERS if name != "lbfgs"},
    "sgd, momentum": {"momentum": 0.9, "nesterov": True},
    "sgd, all transforms": {"weight_decay": 0.1, "l1": 0.01, "clip_norm": 0.1, "average": 0.9},
}


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        pytest.param(name, DTYPES[place % 2], marks=[pytest.mark.slow] * (name != "adam"))
        for place, name in enumerate(RULES)
    ],
)
def test_every_optimizers_rule_is_compared(
    name: str, dtype: str, all_backends: list[Backend]
) -> None:
    """From common gradients: no backend is accused, and parameters wrong by 0.01 % are seen."""
    optimizer = make_optimizer(name.partition(",")[0], **RULES[name])
    assert isinstance(optimizer, Optimizer)
    network = NETWORKS[SMALL]
    wrong = OtherBackend("wrong", spoil=lambda tensor, array: array * 1.0001)
    report = compare(
        [NUMPY, *all_backends, wrong],
        network.mlp(),
        **network.data(),
        dtype=dtype,
        optimizer=WatchedRule(optimizer),
        steps=2,
    )
    trained = {f"layer {number} {key}" for number in (1, 2) for key in "Wb"}
    assert beyond(report) == {("wrong", tensor) for tensor in trained}
    # What the optimizer remembers is compared, too.
    slots = optimizer.initial_slots(network.mlp().initialize(seed=0, backend=NUMPY))
    remembered = {f"layer 2 b {slot}" for slot in slots if slot != "momentum"}
    assert remembered <= {one.tensor for one in report.agreements}


def beyond(report: Report) -> set[tuple[str, str]]:
    """Return (backend, tensor) wherever a bound is exceeded."""
    return {(one.backend, one.tensor) for one in report.agreements if one.part_of_bound > 1.0}


def blind_layer_by_layer(report: Report) -> set[str]:
    """Return the tensors of which a check of single layers sees less than a half."""
    return {
        one.tensor
        for one in report.agreements
        if one.check == "layer by layer" and one.blind_part >= 0.5
    }
