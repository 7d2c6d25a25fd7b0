"""Programs of one's own in plain `xp` code on JAX: how much is compiled, and the bits of NumPy.

Compilations are counted in a process that has compiled nothing: no verdict hangs on a clock.
"""

import gc
import hashlib
import subprocess
import sys
import weakref

import numpy as np
import pytest

from pluggable_mlp import get_backend, reproducible, to_native

pytest.importorskip("jax")


def mixture(xp, x, means, iterations):
    """Fit a mixture of Gaussians with diagonal covariances by expectation and maximization.

    Parameters
    ----------
    x : array (n, d)
    means : array (k, d)

    Returns
    -------
    weights (k,), means (k, d), variances (k, d), and the mean log likelihood of each iteration.
    """
    n, d = x.shape
    variances = xp.ones(means.shape, dtype=x.dtype)
    weights = xp.full(means.shape[:1], 1.0 / means.shape[0], dtype=x.dtype)
    likelihoods = []
    for _ in range(iterations):
        precisions = 1.0 / variances
        distances = (x * x) @ precisions.T - 2.0 * (x @ (means * precisions).T)
        distances = distances + xp.sum(means * means * precisions, axis=1)
        constants = xp.sum(xp.log(variances), axis=1) + d * 1.8378770664093453
        densities = xp.log(weights) - 0.5 * (distances + constants)  # (n, k)
        top = xp.max(densities, axis=1, keepdims=True)
        shares = xp.exp(densities - top)
        totals = xp.sum(shares, axis=1, keepdims=True)
        likelihoods.append(xp.mean(top + xp.log(totals)))
        shares = shares / totals
        counts = xp.sum(shares, axis=0)
        weights = counts / n
        means = (shares.T @ x) / counts[:, None]
        variances = (shares.T @ (x * x)) / counts[:, None] - means * means
        variances = xp.where(variances > 1e-6, variances, 1e-6)
    return weights, means, variances, likelihoods


CENTRES = np.asarray([[0.0, 0.0], [4.0, 1.0], [-2.0, 5.0]])


def fitted(spec, dtype, iterations=15):
    """Fit 501 points on a backend; return NumPy arrays."""
    backend = get_backend(spec)
    points = np.random.default_rng(0).normal(size=(167, 3, 2)) + CENTRES
    points = points.reshape(-1, 2).astype(dtype)
    xp = reproducible(backend.xp)
    found = mixture(xp, *(xp.asarray(backend.asarray(a)) for a in (points, points[:3])), iterations)
    return [backend.to_numpy(to_native(array)) for array in (*found[:3], *found[3])]


def digest(arrays):
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


COUNTING = """
import jax
compiled = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, *_, **__: compiled.append(event) if "backend_compile" in event else None
)
"""
MIXTURE = """
import sys
from tests.namespaces.test_own_programs_on_jax import digest, fitted
found = fitted("jax:cpu", sys.argv[1])
first = len(compiled)
fitted("jax:cpu", sys.argv[1])
print(first, len(compiled) - first, digest(found))
"""


def ran(code, *arguments):
    """Return the words that a process prints."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_mixture_has_the_bits_of_numpy_and_finds_the_centres():
    """Of the components, in any order: what was drawn has a standard error of 0.08."""
    _, means, variances, likelihoods = fitted("numpy", "float64")[:4]
    del likelihoods
    assert np.abs(np.sort(means, axis=0) - np.sort(CENTRES, axis=0)).max() < 0.4
    assert np.abs(variances - 1.0).max() < 0.4


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_few_compilations_for_a_mixture_of_gaussians(dtype):
    """An iteration consists of 40 operations and attributes; none is compiled in parts."""
    first, later, found = ran(COUNTING + MIXTURE, dtype)
    assert found == digest(fitted("numpy", dtype))
    assert int(first) <= 60
    assert int(later) == 0


CALLS = """
import numpy as np
from pluggable_mlp import get_backend, reproducible
get_backend("jax:cpu")
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


def test_numbers_beside_arrays_have_the_bits_of_numpy():
    """A quotient by 1.7 is a product with the float64 reciprocal of 1.7, not of float32(1.7)."""
    values = np.random.default_rng(0).normal(size=500).astype("float32")

    def bits(spec):
        backend = get_backend(spec)
        xp = reproducible(backend.xp)
        x = xp.asarray(backend.asarray(values))
        results = x / 1.7, 0.3 / x, 1.0 / x, 0.3 - x, 3 * x, xp.where(x > 0.0, x, 0.1)
        return [backend.to_numpy(to_native(result)).tobytes() for result in results]

    assert bits("jax:cpu") == bits("numpy")


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


@pytest.mark.slow
@pytest.mark.parametrize("value", [np.inf, 2.0**1000])
def test_what_a_compiled_function_cannot_do_it_does_otherwise(value):
    """Extreme values, of which flags of the compiled function say that it was not valid."""
    numbers = np.ones((3, 3))
    numbers[1, 2] = value

    def bits(spec):
        backend = get_backend(spec)
        xp = reproducible(backend.xp)
        x = xp.asarray(backend.asarray(numbers))
        results = x @ x, xp.sum(x, axis=0), x / x
        return [backend.to_numpy(to_native(result)).tobytes() for result in results]

    with np.errstate(all="ignore"):
        assert bits("jax:cpu") == bits("numpy")


def test_a_function_is_compiled_in_one_piece_and_for_all_numbers():
    """`x @ x.T` are two operations."""
    assert ran(COUNTING + CALLS) == ["1", "2", "1", "1", "0"]
