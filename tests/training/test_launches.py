"""What a step asks of a GPU, held to what it was once: counted on CuPy on the emulated card.

A launch takes some microseconds of the host's time, a wait empties the queue of the device.  The
limits are what was counted when they were written: a change that asks for less lowers them.
"""

import json
from functools import partial

import pytest

from pluggable_mlp import MLP, get_backend, sweep
from tests.launches import BATCH, RECORDED, STEPS, Step, by_train, counts_of, counts_of_step

pytestmark = pytest.mark.usefixtures("cupy_backend")


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_a_step_asks_for_what_the_page_says(step):
    """After a change, `python -m tests.launches` and `python docs/include.py`."""
    assert counts_of_step(step) == json.loads(RECORDED.read_text())[str(step)]


@pytest.mark.parametrize(
    ("settings", "most"),
    [({"activation": "gelu"}, 45), ({"dropout": 0.5}, 58), ({"norm": "batch"}, 64)],
)
def test_a_step_of_other_networks_is_few_launches(settings, most):
    counts = counts_of(partial(by_train, Step(16, "sgd", "native"), **settings))
    assert counts.launches <= most
    assert not counts.waits


@pytest.mark.slow
def test_a_step_of_a_sweep_is_few_launches():
    networks = [{"learning_rate": rate} for rate in (0.1, 0.2, 0.3)]

    def run(inputs, labels):
        settings = {"optimizer": "adam", "epochs": 1, "batch_size": BATCH}
        sweep(MLP([784, 17, 10]), inputs, labels, networks, backend=get_backend("cupy"), **settings)

    counts = counts_of(run)
    assert counts.launches <= 98
    assert not counts.waits
