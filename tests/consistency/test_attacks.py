"""Can the bound be exceeded?  Computations with one fault each, of the kind that libraries have.

And is it a bound?  The errors of a network against the same network in 50 digits.
"""

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

from pluggable_mlp.backends import Backend
from pluggable_mlp.consistency import part_of_bound
from tests.consistency.libraries import NUMPY, BoundedLibrary, Problem, gradients, problem, trained
from tests.consistency.planted import Replaced
from tests.together import together


class FastReciprocals(np.ndarray):
    """An array whose reciprocal has the error of the fast instructions."""

    def __rtruediv__(self, other: Any) -> Any:
        return super().__rtruediv__(other) * (1.0 + 2.0**-12)


class Faulty:
    """NumPy, some of whose functions are replaced, or the operators of its arrays."""

    def __init__(self, arrays: type[np.ndarray] = np.ndarray, **functions: Any) -> None:
        self.xp = Replaced(**functions)
        self._arrays = arrays

    def asarray(self, data: Any) -> Any:
        return np.asarray(data).view(self._arrays)


def single_precision(a: Any, b: Any) -> Any:
    return np.matmul(a.astype("float32"), b.astype("float32")).astype(a.dtype)


def tensor_float_32(a: Any, b: Any) -> Any:
    """Round the entries to 11 bits, as tensor cores do by default."""

    def rounded(x: Any) -> Any:
        fraction, exponent = np.frexp(x)
        return np.ldexp(np.round(fraction * 2048.0) / 2048.0, exponent).astype(x.dtype)

    return np.matmul(rounded(a), rounded(b))


def without_last_term(a: Any, b: Any) -> Any:
    return np.matmul(a[..., :-1], b[..., :-1, :])


def one_wrong_sign(x: Any, *, axis: Any = None, keepdims: bool = False) -> Any:
    signs = np.ones_like(x)
    signs[0, ...] = -1.0 if axis == -2 else 1.0  # in db alone: the loss must remain one
    return np.sum(x * signs, axis=axis, keepdims=keepdims)


def twelve_bits(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return the function with the error of the fast instructions: 2^-12, relatively."""
    return lambda x: function(x) * (1.0 + 2.0**-12)


FAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "float32 products in float64": ("float64", {"matmul": single_precision}),
    "TF32 products in float32": ("float32", {"matmul": tensor_float_32}),
    "products without the last term": ("float32", {"matmul": without_last_term}),
    "sums with a wrong sign": ("float32", {"sum": one_wrong_sign}),
    "a fast exp": ("float32", {"exp": twelve_bits(np.exp)}),
    "a fast tanh": ("float32", {"tanh": twelve_bits(np.tanh)}),
    "a fast reciprocal": ("float32", {"arrays": FastReciprocals}),
    "a logarithm to base 2": ("float32", {"log": np.log2}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_exceeds_the_bound(fault: str) -> None:
    dtype, replaced = FAULTS[fault]
    of = problem([6, 8, 3], 16, dtype)
    parts = parts_of(of, gradients(Faulty(**replaced), of))
    assert max(parts.values()) > 1.0, parts


def test_no_fault_does_not() -> None:
    of = problem([6, 8, 3], 16, "float32")
    assert max(parts_of(of, gradients(Faulty(), of)).values()) == 0.0


def parts_of(of: Problem, results: dict[str, Any]) -> dict[str, float]:
    """Return the part of the bound between NumPy's gradients and the given ones, by name."""
    bounds = gradients(BoundedLibrary(of.x.dtype.name), of)
    right = gradients(NUMPY, of)
    return {
        name: part_of_bound(right[name], np.asarray(results[name]), bounds[name]) for name in bounds
    }


def test_a_wrong_learning_rate_exceeds_the_bound_of_50_steps() -> None:
    of = problem([6, 8, 3], 16, "float32")
    bounds = trained(BoundedLibrary("float32"), of, 50)
    right, wrong = (trained(NUMPY, of, 50, rate) for rate in (0.003, 0.003 * 1.02))
    for name in bounds:
        assert part_of_bound(right[name], wrong[name], bounds[name]) > 1.0, name


def test_every_single_entry_counts() -> None:
    """One wrong entry of one gradient, by twice its bound, is found, and by half of it is not."""
    of = problem([6, 8, 3], 16, "float64")
    bounds = gradients(BoundedLibrary("float64"), of)
    for name, array in gradients(NUMPY, of).items():
        spread = bounds[name].spread
        for factor in (2.0, 0.5):
            wrong = np.array(array)
            wrong.reshape(-1)[-1] += factor * spread.reshape(-1)[-1]
            part = part_of_bound(np.asarray(array), wrong, bounds[name])
            assert part == pytest.approx(factor, rel=1e-2)


@together("dtype", ["float32", "float64"])
@together("activation", ["tanh", "sigmoid", "relu"])
def test_errors_are_within_the_bound(activation: str, dtype: str, backend: Backend) -> None:
    """Each library is within e of the exact result, for all that the 2 e of two of them says."""
    of = problem([6, 8, 3], 16, dtype, activation)
    bounds = gradients(BoundedLibrary(dtype), of)
    with mpmath.workdps(50):
        exact = exactly(of, activation)
        for name, array in gradients(backend, of).items():
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


def exactly(of: Problem, activation: str) -> dict[str, list[Any]]:
    """Return the loss and the gradients by name in mpmath, the textbook's formulas by hand."""
    function, slope = SLOPES[activation]
    weights = [mpmath.matrix(layer["W"].astype(float).tolist()) for layer in of.parameters]
    biases = [layer["b"].astype(float).tolist() for layer in of.parameters]
    n, last = len(of.labels), len(weights) - 1
    a = [mpmath.matrix(of.x.astype(float).tolist())]
    for layer, (W, b) in enumerate(zip(weights, biases, strict=True)):
        z = a[-1] * W
        for i in range(z.rows):
            for j in range(z.cols):
                z[i, j] = z[i, j] + b[j] if layer == last else function(z[i, j] + b[j])
        a.append(z)
    loss, delta = mpmath.mpf(0), mpmath.matrix(n, a[-1].cols)
    for i, label in enumerate(of.labels.tolist()):
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
