"""The network once more, for the tests: textbook lines in plain NumPy, float64, no namespace.

Every number carries a bound of its rounding error, so that a test knows how far a correct
implementation may be from it.  Two-dimensional only: x (batch, in), W (in, out), b (out,).

The error model (N. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., chapter 3):
`a op b` is computed as (a op b)(1 + d), |d| <= u, and a sum of k products in any order as
sum a b + e, |e| <= gamma_k sum |a||b|, gamma_k = k u / (1 - k u).  A library's exp, log, tanh or
sigmoid errs by at most 4 ulp, 8 u of its value (NumPy's, PyTorch's and XLA's stay below).
A `Ball` is a value and a bound on |what any such evaluation gives - the exact value|; the bounds
of the operands are carried through each operation by the triangle inequality.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

U = 2.0**-53
FUNCTION = 8 * U


def gamma(k: int) -> float:
    return k * U / (1 - k * U)


@dataclass(frozen=True)
class Ball:
    value: Any
    error: Any

    def __add__(self, other: "Ball") -> "Ball":
        value = self.value + other.value
        return Ball(value, self.error + other.error + U * abs(value))

    def __sub__(self, other: "Ball") -> "Ball":
        value = self.value - other.value
        return Ball(value, self.error + other.error + U * abs(value))

    def __mul__(self, other: "Ball") -> "Ball":
        value = self.value * other.value
        carried = self.error * abs(other.value) + abs(self.value) * other.error
        return Ball(value, carried + self.error * other.error + U * abs(value))

    def __matmul__(self, other: "Ball") -> "Ball":
        a, b = abs(self.value), abs(other.value)
        carried = self.error @ b + a @ other.error + self.error @ other.error
        return Ball(self.value @ other.value, carried + gamma(a.shape[1]) * (a @ b))

    @property
    def T(self) -> "Ball":
        return Ball(self.value.T, self.error.T)

    def sum(self, axis: int) -> "Ball":
        rounding = gamma(self.value.shape[axis]) * abs(self.value).sum(axis=axis)
        return Ball(self.value.sum(axis=axis), self.error.sum(axis=axis) + rounding)

    def through(self, function: Callable[[Any], Any], slope: Any, rounding: float) -> "Ball":
        """A function whose derivative is at most `slope` near the value."""
        value = function(self.value)
        return Ball(value, slope * self.error + rounding * abs(value))


def exactly(value: Any) -> Ball:
    value = np.asarray(value, dtype=np.float64)
    return Ball(value, np.zeros_like(value))


ONE = exactly(1.0)


def sigmoid(z: Ball) -> tuple[Ball, Ball]:
    y = z.through(lambda v: 1.0 / (1.0 + np.exp(-v)), 0.25, FUNCTION)
    return y, y * (ONE - y)


def tanh(z: Ball) -> tuple[Ball, Ball]:
    y = z.through(np.tanh, 1.0, FUNCTION)
    return y, ONE - y * y


def relu(z: Ball) -> tuple[Ball, Ball]:
    assert (abs(z.value) > z.error).all(), "the sign is not certain: choose another example"
    return z.through(lambda v: np.maximum(v, 0.0), 1.0, 0.0), exactly(z.value > 0)


def identity(z: Ball) -> tuple[Ball, Ball]:
    return z, exactly(np.ones_like(z.value))


Activation = Callable[[Ball], tuple[Ball, Ball]]
ACTIVATIONS: dict[str, Activation] = {
    "identity": identity,
    "sigmoid": sigmoid,
    "tanh": tanh,
    "relu": relu,
}
"""f(z) and f'(z) by the activation's name."""


def cross_entropy(z: Ball, t: np.ndarray) -> tuple[Ball, Ball]:
    """The mean of log(sum exp z) - z[target] over the batch, and softmax(z) - t over its size."""
    n = exactly(t.shape[0])
    s = z - exactly(z.value.max(axis=1, keepdims=True))
    # exp's slope is its value; 1.01 covers the ball around it.
    exponentials = s.through(np.exp, 1.01 * np.exp(s.value), FUNCTION)
    total = exponentials.sum(axis=1)
    logarithm = total.through(np.log, 1.01 / total.value, FUNCTION)
    inverse = total.through(lambda v: 1.0 / v, 1.01 / total.value**2, U)
    probabilities = exponentials * Ball(inverse.value[:, None], inverse.error[:, None])
    # Some libraries take exp(s - log(sum exp s)) instead: its exponent is rounded, too.
    exponent = abs(s.value) + abs(logarithm.value)[:, None]
    probabilities = Ball(
        probabilities.value, probabilities.error + 2 * U * exponent * probabilities.value
    )
    losses = logarithm - (s * exactly(t)).sum(axis=1)
    return losses.sum(axis=0) * inverse_of(n), (probabilities - exactly(t)) * inverse_of(n)


def inverse_of(n: Ball) -> Ball:
    return Ball(1.0 / n.value, U / n.value)


def loss_and_gradients(
    function: str | Activation, parameters: list[dict[str, Ball]], x: np.ndarray, t: np.ndarray
) -> tuple[Ball, list[dict[str, Ball]]]:
    """For x (batch, in) and target rows t (batch, classes)."""
    hidden = ACTIVATIONS[function] if isinstance(function, str) else function
    outputs, slopes = [exactly(x)], []
    for index, layer in enumerate(parameters):
        b = Ball(layer["b"].value[None, :], layer["b"].error[None, :])
        z = outputs[-1] @ layer["W"] + b
        y, slope = (hidden if index + 1 < len(parameters) else identity)(z)
        outputs.append(y)
        slopes.append(slope)
    loss, dz = cross_entropy(outputs[-1], t)
    gradients: list[dict[str, Ball]] = []
    for index in reversed(range(len(parameters))):
        gradients.insert(0, {"W": outputs[index].T @ dz, "b": dz.sum(axis=0)})
        if index:
            dz = (dz @ parameters[index]["W"].T) * slopes[index - 1]
    return loss, gradients


def descend(
    parameters: list[dict[str, Ball]], gradients: list[dict[str, Ball]], learning_rate: float
) -> list[dict[str, Ball]]:
    rate = exactly(learning_rate)
    return [
        {name: layer[name] - rate * of[name] for name in layer}
        for layer, of in zip(parameters, gradients, strict=True)
    ]


def balls(parameters: list[dict[str, Any]]) -> list[dict[str, Ball]]:
    return [{name: exactly(array) for name, array in layer.items()} for layer in parameters]


def one_hot(labels: np.ndarray, classes: int) -> np.ndarray:
    return np.asarray([[float(k == label) for k in range(classes)] for label in labels])


def assert_within(actual: Any, expected: Ball, name: str = "") -> None:
    """Both err by at most the bound, so they differ by at most twice the bound."""
    actual = np.asarray(actual, dtype=np.float64)
    assert actual.shape == np.shape(expected.value), name
    difference = abs(actual - expected.value)
    assert (difference <= 2 * expected.error).all(), (
        f"{name} is off by {np.max(difference / (2 * expected.error + 1e-300))} times the bound"
    )
