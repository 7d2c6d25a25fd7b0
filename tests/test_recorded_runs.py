"""Every backend gives the bits that were recorded, for every optimizer, over 20 steps.

Two runs stand for the others in the default suite: libraries that compile each operation need
minutes for all of them.
"""

from collections import deque

import pytest

from pluggable_mlp.testing.recorded_runs import RUNS, recorded, run
from tests.simulated_cupy import SimulatedCupyBackend, counting
from tests.simulated_cupy.rounding import keeping_denormals

HASHES = recorded()


def test_every_run_is_recorded():
    assert set(HASHES) == set(RUNS)
    assert len(set(HASHES.values())) == len(RUNS)


QUICK = ("sgd, pixels, float32", "adamw, many components, float64")
ON_JAX = [name for place, name in enumerate(RUNS) if place % 4 in (0, 3)]
"""Each optimizer in one dtype, by turns."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in RUNS],
)
def test_the_recorded_bits(backend, name):
    if backend.name == "jax" and name not in ON_JAX:
        pytest.skip("JAX compiles each operation: it has each optimizer in one dtype")
    assert run(name, backend) == HASHES[name]


def test_jax_has_every_optimizer_and_both_dtypes():
    assert {RUNS[name][2] for name in ON_JAX} == {of[2] for of in RUNS.values()}
    assert {RUNS[name][4] for name in ON_JAX} == {"float32", "float64"}
    assert set(QUICK) <= set(ON_JAX)


@pytest.mark.simulated_cupy
def test_the_recorded_bits_where_reductions_keep_denormal_numbers():
    with keeping_denormals():
        assert run(QUICK[0], SimulatedCupyBackend()) == HASHES[QUICK[0]]


@pytest.mark.simulated_cupy
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name == QUICK[1] else pytest.mark.slow) for name in RUNS],
)
def test_the_recorded_bits_by_cuda_graphs(name, monkeypatch):
    monkeypatch.setattr("pluggable_mlp.backends.graphs.CALLS_BEFORE_CAPTURE", 4)
    monkeypatch.setattr("pluggable_mlp.compile_cache._recent", deque())  # of other tests
    with counting() as counts:
        assert run(name, SimulatedCupyBackend()) == HASHES[name]
    assert counts.launches["graph"] > 10 or RUNS[name][2] == "lbfgs"
