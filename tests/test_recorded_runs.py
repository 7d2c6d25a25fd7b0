"""Every backend gives the bits that were recorded, for every optimizer, over 20 steps.

Two runs stand for the others in the default suite: libraries that compile each operation need
minutes for all of them.
"""

import json

import pytest

from tests.recorded_runs import RECORDED, RUNS, run
from tests.simulated_cupy import SimulatedCupyBackend
from tests.simulated_cupy.rounding import keeping_denormals

HASHES = json.loads(RECORDED.read_text())


def test_every_run_is_recorded():
    assert set(HASHES) == set(RUNS)
    assert len(set(HASHES.values())) == len(RUNS)


QUICK = ("sgd, pixels, float32", "adamw, many components, float64")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in RUNS],
)
def test_the_recorded_bits(backend, name):
    assert run(name, backend) == HASHES[name]


@pytest.mark.simulated_cupy
def test_the_recorded_bits_where_reductions_keep_denormal_numbers():
    with keeping_denormals():
        assert run(QUICK[0], SimulatedCupyBackend()) == HASHES[QUICK[0]]
