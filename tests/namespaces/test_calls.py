"""Whole computations of reproducible arrays: they look at no value, whatever is extreme in them."""

import numpy as np
import pytest

from pluggable_mlp import MLP, SGD, first_state, get_backend, train, training_step
from pluggable_mlp.training.evaluation import measure
from pluggable_mlp.training.examples import make_examples
from pluggable_mlp.training.lbfgs import LBFGS
from tests.emulated_card import counting

NUMPY = get_backend("numpy")
NETWORK = MLP([5, 4, 3])


def examples(factor=1.0, dtype="float64"):
    """Return 12 examples, the magnitudes of one of them extreme."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(12, 5)).astype(dtype)
    x[7] *= factor
    return x, rng.integers(0, 3, 12)


def inferred(method):
    def function(backend, parameters, x, y, arithmetic):
        del backend, y
        return getattr(NETWORK, method)(parameters, x, arithmetic=arithmetic)

    return function


def gradients(backend, parameters, x, y, arithmetic):
    del backend
    return NETWORK.loss_and_gradients(parameters, x, y, arithmetic=arithmetic)


def stepped(backend, parameters, x, y, arithmetic):
    del backend
    state = first_state(NETWORK, SGD(), parameters, arithmetic=arithmetic)
    return training_step(NETWORK, SGD(), state, x, y, arithmetic=arithmetic)


def minimized(backend, parameters, x, y, arithmetic):
    result = train(
        NETWORK,
        backend.to_numpy(x),
        backend.to_numpy(y),
        backend=backend,
        parameters=parameters,
        dtype=backend.to_numpy(x).dtype.name,
        optimizer=LBFGS(),
        epochs=2,
        batch_size=12,
        arithmetic=arithmetic,
    )
    return result.parameters


def scored(backend, parameters, x, y, arithmetic):
    place = {"backend": backend, "arithmetic": arithmetic}
    dtype = backend.to_numpy(x).dtype.name
    examples = make_examples(NETWORK, *map(backend.to_numpy, (x, y)), dtype=dtype, **place)
    scores, _ = measure(NETWORK, parameters, examples, **place)
    return backend.asarray([*scores.values()])


COMPUTATIONS = {
    **{method: inferred(method) for method in ("logits", "predict", "predict_proba")},
    "loss_and_gradients": gradients,
    "training_step": stepped,
    "lbfgs": minimized,
    "scores": scored,
}


def arrays_in(value):
    if isinstance(value, dict):
        value = [value[name] for name in sorted(value)]
    if isinstance(value, list | tuple):
        return [array for item in value for array in arrays_in(item)]
    return [] if isinstance(value, int) else [value]


def bits(name, backend, factor=1.0, dtype="float64", arithmetic="reproducible"):
    x, y = map(backend.asarray, examples(factor, dtype))
    parameters = NETWORK.initialize(seed=0, backend=backend, dtype=dtype)
    with np.errstate(all="ignore"):
        found = COMPUTATIONS[name](backend, parameters, x, y, arithmetic)
    return [backend.to_numpy(array).tobytes() for array in arrays_in(found)]


def waits(name, backend, dtype, arithmetic):
    with counting() as counts:
        bits(name, backend, dtype=dtype, arithmetic=arithmetic)
    # What is downloaded to be compared, by this test or by the trial of a kernel.
    others = ("test_calls", "cupy_tracing", "cupy_kernels")
    return sum(n for line, n in counts.lines.items() if not any(file in line for file in others))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [*COMPUTATIONS])
def test_a_computation_waits_no_more_than_a_native_one(name, dtype, cupy_backend):
    waits(name, cupy_backend, dtype, "reproducible")  # tries the device's products
    counts = [waits(name, cupy_backend, dtype, each) for each in ("native", "reproducible")]
    assert counts[0] == counts[1]


@pytest.mark.parametrize("factor", [2.0**-600, 2.0**500, np.inf])
@pytest.mark.parametrize("name", [*COMPUTATIONS])
def test_extreme_data_have_the_same_bits(name, factor, cupy_backend):
    if name in ("lbfgs", "scores") and factor == np.inf:
        factor = 2.0**1000  # data sets with infinity are refused
    assert bits(name, cupy_backend, factor) == bits(name, NUMPY, factor)
