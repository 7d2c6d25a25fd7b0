"""Every backend's losses and gradients against NumPy's, within what rounding can do to them.

The bound is derived in pluggable_mlp/namespaces/bounded, rule by rule, and each rule is tested
against exact arithmetic in tests/namespaces/bounded/test_rules.py.  What this comes to for a dense
layer y = x W + b with k inputs, u the unit roundoff and exact x, W and b:

    a product of length k, in any order     |error of x W| <= gamma_k |x| |W|
    the sum with b                          + u |y|
    so                                      |ŷ - y| <= gamma_k |x| |W| + u |y|, about,

with gamma_k = k u / (1 - k u); two libraries differ by at most twice that.  The next layer takes
ŷ with this error, adds |ŷ - y| |W'| and its own rounding, and so on to the loss and back; an
activation f adds max |f'| times the error, and its own ulps.  In the test of training steps the
errors of the parameters go on into the next step: W - rate (dW + error).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pluggable_mlp.backends import Backend
from pluggable_mlp.consistency import part_of_bound
from pluggable_mlp.consistency.runs import named
from pluggable_mlp.namespaces.bounded import Bounded
from tests.consistency.libraries import (
    NUMPY,
    BoundedLibrary,
    Problem,
    gradients,
    problem,
    trained,
)
from tests.together import together

DTYPES = together("dtype", ["float32", "float64"])


def assert_within_bound(
    backends: list[Backend], dtype: str, compute: Callable[[Any], dict[str, Any]]
) -> dict[str, Bounded]:
    """Run compute(library) on NumPy, the backends and bounded arrays; return the bounds."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # of bounds, not values
        bounds = compute(BoundedLibrary(dtype))
    ours, *others = (
        {name: library.to_numpy(y) for name, y in compute(library).items()}
        for library in (NUMPY, *backends)
    )
    for theirs in others:
        for name, bounded in bounds.items():
            assert ours[name].dtype == theirs[name].dtype == dtype
            assert part_of_bound(ours[name], theirs[name], bounded) <= 1.0, name
    return bounds


@DTYPES
@pytest.mark.parametrize(
    ("sizes", "batch", "activation"),
    [
        ([300, 3], 257, "identity"),
        ([7, 300, 2], 1, "relu"),
        ([4, 4, 4, 4], 64, "sigmoid"),
        ([300, 1, 300, 1, 300], 257, "tanh"),
    ],
)
def test_network(
    sizes: list[int], batch: int, activation: str, dtype: str, backend: Backend
) -> None:
    assert_network_within_bound([backend], problem(sizes, batch, dtype, activation))


def assert_network_within_bound(backends: list[Backend], of: Problem) -> None:
    bounds = assert_within_bound(backends, of.x.dtype.name, lambda library: gradients(library, of))
    for name, bounded in bounds.items():
        # No larger than the tensor, so that the test can fail; both are 0 behind dead units.
        assert np.max(bounded.spread) <= np.max(np.abs(bounded.value)), name


@DTYPES
@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu"])
def test_after_50_training_steps(activation: str, dtype: str, backend: Backend) -> None:
    """Each library trains by itself; the parameters' errors are carried from step to step."""
    of = problem([6, 8, 3], 16, dtype, activation)
    bounds = assert_within_bound([backend], dtype, lambda library: trained(library, of, 50))
    start = {"loss": 0.0, **named(of.parameters)}
    for name, bounded in bounds.items():
        # The bound is small against what was learnt, so that the test can fail.
        learnt = np.max(np.abs(bounded.value - start[name]))
        assert np.max(bounded.spread) < learnt * (1e-2 if dtype == "float32" else 1e-11)
