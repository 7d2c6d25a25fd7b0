"""Is the bound one?  The errors of a network against the same network in 50 digits."""

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

from pluggable_mlp.backends import Backend
from tests.consistency.libraries import BoundedLibrary, Problem, gradients, problem


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu"])
def test_errors_are_within_the_bound(activation: str, dtype: str, backend: Backend) -> None:
    """Each library is within e of the exact result, for all that the 2 e of two of them says."""
    case = problem([6, 8, 3], 16, dtype, activation)
    bounds = gradients(BoundedLibrary(dtype), case)
    with mpmath.workdps(50):
        exact = exactly(case, activation)
        for name, array in gradients(backend, case).items():
            pairs = zip(
                np.ravel(backend.to_numpy(array)).tolist(),
                exact[name],
                np.ravel(bounds[name].spread / 2.0).tolist(),
                strict=True,
            )
            parts = [
                float(abs(mpmath.mpf(got) - right)) / e if e else got for got, right, e in pairs
            ]
            assert max(parts) <= 1.0
            # The worst cases of 20 operations do not coincide, but the bound is not absurd.
            assert max(parts) > 1e-4


SLOPES: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "tanh": (mpmath.tanh, lambda y: 1 - y * y),
    "sigmoid": (lambda x: 1 / (1 + mpmath.exp(-x)), lambda y: y * (1 - y)),
    "relu": (lambda x: max(x, mpmath.mpf(0)), lambda y: mpmath.mpf(y > 0)),
}


def exactly(case: Problem, activation: str) -> dict[str, list[Any]]:
    """Return the loss and the gradients by name in mpmath, the textbook's formulas by hand."""
    function, slope = SLOPES[activation]
    weights = [mpmath.matrix(layer["W"].astype(float).tolist()) for layer in case.parameters]
    biases = [layer["b"].astype(float).tolist() for layer in case.parameters]
    n, last = len(case.labels), len(weights) - 1
    a = [mpmath.matrix(case.x.astype(float).tolist())]
    for layer, (W, b) in enumerate(zip(weights, biases, strict=True)):
        z = a[-1] * W
        for i in range(z.rows):
            for j in range(z.cols):
                z[i, j] = z[i, j] + b[j] if layer == last else function(z[i, j] + b[j])
        a.append(z)
    loss, delta = mpmath.mpf(0), mpmath.matrix(n, a[-1].cols)
    for i, label in enumerate(case.labels.tolist()):
        exponentials = [mpmath.exp(a[-1][i, j]) for j in range(delta.cols)]
        total = mpmath.fsum(exponentials)
        loss += (mpmath.log(total) - a[-1][i, label]) / n
        for j in range(delta.cols):
            delta[i, j] = (exponentials[j] / total - (j == label)) / n
    results = {"loss": [loss]}
    for layer in range(last, -1, -1):
        results[f"layer {layer + 1} dW"] = list(a[layer].T * delta)
        columns = range(delta.cols)
        results[f"layer {layer + 1} db"] = [
            mpmath.fsum(delta[i, j] for i in range(n)) for j in columns
        ]
        delta = delta * weights[layer].T
        for i in range(n):
            for j in range(delta.cols):
                delta[i, j] *= slope(a[layer][i, j])
    return results
