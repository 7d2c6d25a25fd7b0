"""A loop of one's own on JAX: how much of a few steps is compiled.

Counts of compilations are compared, each of a process of its own: no verdict hangs on a clock.
"""

import subprocess
import sys

import pytest

pytest.importorskip("jax")

PROGRAM = """
import sys
import jax
import numpy as np
from pluggable_mlp import MLP, SGD, first_state, get_backend, training_step

compiled = []

def note(event, *_, **__):
    if event == "/jax/core/compile/backend_compile_duration":
        compiled.append(event)

jax.monitoring.register_event_duration_secs_listener(note)
backend = get_backend("jax:cpu")
mlp, optimizer, arithmetic = MLP([6, 16, 2]), SGD(), sys.argv[1]
x = backend.asarray(np.random.default_rng(0).normal(size=(8, 4, 6)).astype("float32"))
targets = backend.asarray(np.arange(32).reshape(8, 4) % 2)
parameters = mlp.initialize(seed=0, backend=backend)
state = first_state(mlp, optimizer, parameters, arithmetic=arithmetic)
for step in range(8):
    _, state = training_step(
        mlp, optimizer, state, x[step, ...], targets[step, ...], arithmetic=arithmetic
    )
assert state.t == 8
print(len(compiled))
"""


def compilations(arithmetic):
    """How often JAX compiles for eight steps of a tiny network."""
    command = [sys.executable, "-c", PROGRAM, arithmetic]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.slow
def test_reproducible_steps_compile_no_more_than_native_ones_do():
    native, reproducible = compilations("native"), compilations("reproducible")
    assert 0 < reproducible <= native
