"""Programs of one's own in plain `xp` code on JAX: how much is compiled, and the bits of NumPy.

Compilations are counted in a process that has compiled nothing: no verdict hangs on a clock.
"""

import gc
import subprocess
import sys
import weakref

import numpy as np
import pytest

from pluggable_mlp import get_backend, reproducible

pytest.importorskip("jax")


COUNTING = """
import jax
compiled = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, *_, **__: compiled.append(event) if "backend_compile" in event else None
)
"""


def ran(code, *arguments):
    """Return the words that a process prints."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


CALLS = """
import numpy as np
from pluggable_mlp import reproducible
jax.config.update("jax_enable_x64", True)
xp = reproducible(jax.numpy)
x = xp.asarray(np.arange(12.0).reshape(3, 4))
xp.sum(x)  # tries whether the device keeps bits
for call in (
    lambda: xp.exp(x), lambda: x @ x.T, lambda: xp.sum(x, axis=1), lambda: xp.linalg.vector_norm(x)
):
    before = len(compiled)
    call()
    print(len(compiled) - before)
for factor in range(1, 6):  # a rate that changes, as in a loop
    before = len(compiled)
    x * (0.3 * factor), x + 0.3 * factor, x / (0.3 * factor), (0.3 * factor) / (x + 1.0)
    xp.where(x > 0.1 * factor, x, 0.1 * factor)
print(len(compiled) - before)
"""


@pytest.mark.parametrize("operation", ["add", "multiply", "where"])
def test_booleans_and_floats_do_not_meet(operation):
    """Whatever was compiled before."""
    xp = reproducible(get_backend("jax:cpu").xp)
    x = xp.asarray([1.0, 2.0])
    first = (x > 1.5,) if operation == "where" else ()
    for _ in range(2):
        assert np.asarray(getattr(xp, operation)(*first, x, 1.0)).dtype == np.float64
        with pytest.raises(TypeError, match="expected a scalar of its kind"):
            getattr(xp, operation)(*first, x, True)


def test_a_compiled_function_keeps_no_arrays_alive_and_leaks_no_tracer():
    import jax

    xp = reproducible(get_backend("jax:cpu").xp)
    with jax.checking_leaks():
        x = xp.asarray(np.ones((3, 7)))
        y = xp.log1p(x @ xp.exp(x).T)
    held = [weakref.ref(array.native) for array in (x, y)]
    del x, y
    gc.collect()
    assert [reference() for reference in held] == [None, None]


def test_a_function_is_compiled_in_one_piece_and_for_all_numbers():
    """`x @ x.T` are two operations."""
    assert ran(COUNTING + CALLS) == ["1", "2", "1", "1", "0"]
