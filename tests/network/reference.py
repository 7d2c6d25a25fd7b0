"""The network once more, for the tests: the formulas of a textbook, with bounds on their errors.

The arrays are those of `pluggable_mlp.consistency`, so that a test knows how far a correct
implementation may be from the results.  The formulas are written out here: nothing of the network
is used.  Two-dimensional only: x (batch, in), W (in, out), b (out,); all in float64.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from pluggable_mlp.namespaces.bounded import Bounded, BoundedNamespace

U = 2.0**-53

xp = BoundedNamespace("float64")


def exactly(value: Any) -> Bounded:
    return xp.asarray(np.asarray(value, dtype=np.float64))


def with_error(value: Any, error: Any) -> Bounded:
    return Bounded(np.asarray(value, dtype=np.float64), np.asarray(error), xp)


def tanh(z: Bounded) -> tuple[Bounded, Bounded]:
    y = xp.tanh(z)
    return y, 1.0 - y * y


def identity(z: Bounded) -> tuple[Bounded, Bounded]:
    return z, exactly(np.ones_like(z.value))


Activation = Callable[[Bounded], tuple[Bounded, Bounded]]


def cross_entropy(z: Bounded, t: np.ndarray) -> tuple[Bounded, Bounded]:
    """The mean of log(sum exp z) - z[target] over the batch, and softmax(z) - t over its size."""
    n = float(t.shape[0])
    s = z - exactly(z.value.max(axis=1, keepdims=True))
    exponentials = xp.exp(s)
    total = xp.sum(exponentials, axis=1)
    logarithm = xp.log(total)
    softmax = exponentials / total[:, None]
    # Some libraries take exp(s - log(sum exp s)) instead: its exponent is rounded, too.
    exponent = abs(s.value) + abs(logarithm.value)[:, None]
    softmax = with_error(softmax.value, softmax.error + 2 * U * exponent * softmax.value)
    losses = logarithm - xp.sum(s * exactly(t), axis=1)
    return xp.sum(losses, axis=0) / n, (softmax - exactly(t)) / n


def loss_and_gradients(
    hidden: Activation, parameters: list[dict[str, Bounded]], x: np.ndarray, t: np.ndarray
) -> tuple[Bounded, list[dict[str, Bounded]]]:
    """For x (batch, in) and target rows t (batch, classes)."""
    outputs, slopes = [exactly(x)], []
    for index, layer in enumerate(parameters):
        z = xp.matmul(outputs[-1], layer["W"]) + layer["b"][None, :]
        y, slope = (hidden if index + 1 < len(parameters) else identity)(z)
        outputs.append(y)
        slopes.append(slope)
    loss, dz = cross_entropy(outputs[-1], t)
    gradients: list[dict[str, Bounded]] = []
    for index in reversed(range(len(parameters))):
        dW, db = xp.matmul(outputs[index].mT, dz), xp.sum(dz, axis=0)
        gradients.insert(0, {"W": dW, "b": db})
        if index:
            dz = xp.matmul(dz, parameters[index]["W"].mT) * slopes[index - 1]
    return loss, gradients


def descend(
    parameters: list[dict[str, Bounded]], gradients: list[dict[str, Bounded]], learning_rate: float
) -> list[dict[str, Bounded]]:
    return [
        {name: layer[name] - exactly(learning_rate) * of[name] for name in layer}
        for layer, of in zip(parameters, gradients, strict=True)
    ]


def exact_parameters(parameters: list[dict[str, Any]]) -> list[dict[str, Bounded]]:
    return [{name: exactly(array) for name, array in layer.items()} for layer in parameters]


def one_hot(labels: np.ndarray, classes: int) -> np.ndarray:
    return np.asarray([[float(k == label) for k in range(classes)] for label in labels])


def assert_within(actual: Any, expected: Bounded, name: str = "") -> None:
    """Both err by at most the bound, so they differ by at most twice the bound."""
    actual = np.asarray(actual, dtype=np.float64)
    assert actual.shape == np.shape(expected.value), name
    difference = abs(actual - expected.value)
    assert (difference <= expected.spread).all(), (
        f"{name} is off by {np.max(difference / (expected.spread + 1e-300))} times the bound"
    )
