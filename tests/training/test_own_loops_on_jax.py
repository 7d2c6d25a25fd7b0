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
arithmetic, activation = sys.argv[1:]
if activation == "own":
    slope = lambda xp, x: xp.tanh(x) + x * (1.0 - xp.tanh(x) ** 2)
    activation = (lambda xp, x: x * xp.tanh(x), slope)
mlp, optimizer = MLP([6, 16, 2], activation=activation), SGD()
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


def compilations(arithmetic, activation):
    """How often JAX compiles for eight steps of a tiny network."""
    command = [sys.executable, "-c", PROGRAM, arithmetic, activation]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["relu", "own"])
def test_reproducible_steps_compile_about_as_much_as_native_ones_do(activation):
    """What a user defines is compiled function by function, the rest as one."""
    native = compilations("native", activation)
    assert 0 < compilations("reproducible", activation) <= 1.5 * native
