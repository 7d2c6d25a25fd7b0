"""Every backend gives the bits that were recorded, for every optimizer, over 20 steps.

One run stands for the others in the default suite, on NumPy two: libraries that compile each
operation need minutes for all of them.
"""

import pytest

from pluggable_mlp import get_backend
from pluggable_mlp.testing.conformance import CHECKS
from pluggable_mlp.testing.result_checks import RUNS, recorded, run

pytestmark = [pytest.mark.as_user, pytest.mark.quick_on("jax:cpu")]

HASHES = recorded()


def test_every_run_is_recorded():
    assert set(HASHES) == set(RUNS)
    assert {f"recorded run: {name}" for name in RUNS} <= set(CHECKS)
    assert len(set(HASHES.values())) == len(RUNS)


QUICK = "sgd, pixels, float32"
IN_ONE_DTYPE = [name for place, name in enumerate(RUNS) if place % 4 in (0, 3)]
"""Each optimizer, by turns."""
IN_THE_OTHER = [name for name in RUNS if name not in IN_ONE_DTYPE]


def slow_but(quick, names):
    return [pytest.param(name, marks=[pytest.mark.slow] * (name != quick)) for name in names]


@pytest.mark.parametrize("name", slow_but(QUICK, RUNS))
def test_the_recorded_bits(backend, name):
    if backend.name == "jax" and name not in IN_ONE_DTYPE:
        pytest.skip("JAX compiles each operation: it has each optimizer in one dtype")
    if (backend.name, str(backend.device)) == ("array_api_strict", "cpu") and name != QUICK:
        pytest.skip("array_api_strict has all on its other device")
    assert run(name, backend) == HASHES[name]


def test_numpy_gives_the_recorded_bits_of_many_components():
    name = "adamw, many components, float64"
    assert run(name, get_backend("numpy")) == HASHES[name]


@pytest.mark.parametrize("names", [IN_ONE_DTYPE, IN_THE_OTHER])
def test_every_optimizer_and_both_dtypes_are_among_those_of_one_dtype(names):
    assert {RUNS[name][2] for name in names} == {optimizer for _, _, optimizer, _ in RUNS.values()}
    assert {name.rpartition(", ")[2] for name in names} == {"float32", "float64"}
