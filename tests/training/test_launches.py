"""How often a step asks something of a GPU, held to what it was once: counted on a simulated CuPy.

A launch takes some microseconds of the host's time, a wait empties the queue of the device.  The
limits are what was counted when they were written: a change that asks for less lowers them.
"""

import json
from functools import partial
from typing import Any

import pytest

from pluggable_mlp import MLP, get_backend, sweep
from tests.launches import BATCH, RECORDED, STEPS, Step, by_train, counts_of, counts_of_step

pytestmark = pytest.mark.simulated_cupy

CASES: dict[str, dict[str, Any]] = {
    "gelu": {"activation": "gelu"},
    "dropout": {"dropout": 0.5},
    "batch": {"norm": "batch"},
    "layer": {"norm": "layer"},
}
# Launches of a step of 784-hidden-10 on 128 examples of floats, whatever the width; no waits.  The
# widths that are tried: that of 16 is stored by columns elsewhere.
WIDTHS = {"gelu": (100, 512), "dropout": (100,), "batch": (16, 100), "layer": (16, 100)}
LIMITS = {
    "native": {"gelu": 22, "dropout": 31, "batch": 31, "layer": 31},
    "reproducible": {"gelu": 71, "dropout": 81, "batch": 84, "layer": 82},
}


def cases() -> Any:
    for arithmetic, launches in LIMITS.items():
        for case, most in launches.items():
            for hidden in WIDTHS[case]:
                is_quick = arithmetic == "native" and hidden != 512
                marks = [] if is_quick else [pytest.mark.slow]
                yield pytest.param(hidden, arithmetic, case, most, marks=marks)


@pytest.mark.parametrize(("hidden", "arithmetic", "case", "most"), list(cases()))
def test_a_step_asks_for_no_more_than_it_did(hidden, arithmetic, case, most):
    step = Step(hidden, "sgd", arithmetic, "train")
    launches, waits = counts_of(partial(by_train, step, **CASES[case]))
    assert not waits, f"waits, by the line that asked: {waits}"
    assert launches.total() <= most, f"launches, by name: {launches}"


@pytest.mark.parametrize(
    "arithmetic", ["native", pytest.param("reproducible", marks=pytest.mark.slow)]
)
def test_a_step_by_a_graph_is_five_launches(arithmetic, monkeypatch):
    """Rows of inputs and targets in the order of the epoch, copies in, the graph, copies out.

    And one that puts the losses together, of up to 8.
    """
    monkeypatch.setattr("pluggable_mlp.backends.graphs.CALLS_BEFORE_CAPTURE", 2)
    # Each count is of another shape of data: of that, functions are traced at the third call.
    step = Step(17, "adam", arithmetic, "train")
    launches, waits = counts_of(partial(by_train, step), (5, 6) * 4)
    assert not waits, f"waits, by the line that asked: {waits}"
    assert launches == {"take": 2, "fused": 2, "graph": 1, "concatenate": 1}


@pytest.mark.slow
@pytest.mark.parametrize("arithmetic", ["native", "reproducible"])
def test_a_step_of_a_sweep_by_a_graph_is_seven_launches(arithmetic, monkeypatch):
    """Those of a step of one network, and the coefficients of the networks."""
    monkeypatch.setattr("pluggable_mlp.backends.graphs.CALLS_BEFORE_CAPTURE", 2)
    networks = [{"learning_rate": rate} for rate in (0.1, 0.2, 0.3)]

    def run(inputs, labels):
        settings = {"optimizer": "adam", "epochs": 1, "batch_size": BATCH, "arithmetic": arithmetic}
        sweep(MLP([784, 17, 10]), inputs, labels, networks, backend=get_backend("cupy"), **settings)

    launches, waits = counts_of(run, (5, 6) * 4)
    assert not waits, f"waits, by the line that asked: {waits}"
    del launches["concatenate"]  # of the losses
    assert launches == {"take": 2, "fused": 2, "graph": 1, "upload": 2}


def in_suite(step: Step) -> Any:
    """Return a step as a parameter: in the default suite the small ones, each solver once."""
    quick = {("native", "adam", "train"), ("native", "adam", "fit"), ("reproducible", "sgd", "fit")}
    is_quick = step.hidden == 100 and (step.arithmetic, step.solver, step.by) in quick
    return pytest.param(step, id=str(step), marks=[] if is_quick else [pytest.mark.slow])


@pytest.mark.parametrize("step", [in_suite(step) for step in STEPS])
def test_a_step_asks_for_what_the_page_says(step):
    """After a change, `python -m tests.launches` and `python docs/include.py`."""
    launches, waits = counts_of_step(step)
    assert [launches.total(), waits.total()] == json.loads(RECORDED.read_text())[str(step)], (
        f"launches, by name: {launches}; waits, by the line that asked: {waits}"
    )
