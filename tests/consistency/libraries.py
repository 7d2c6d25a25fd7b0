"""What the tests of this folder share: random networks, run on any library, bounded or not."""

from typing import Any, NamedTuple

import numpy as np

from pluggable_mlp import MLP, SGD
from pluggable_mlp.arithmetic import Arithmetic, get_arithmetic
from pluggable_mlp.backends import get_backend
from pluggable_mlp.consistency import bounded_arithmetic
from pluggable_mlp.consistency.units import named
from pluggable_mlp.training.trees import map_arrays

NUMPY = get_backend("numpy")


class BoundedLibrary:
    """Arrays that carry their error, with what the tests ask of a backend."""

    def __init__(self, dtype: str) -> None:
        self.xp = bounded_arithmetic(dtype).xp
        self.asarray = self.xp.asarray


def native(library: Any) -> Arithmetic:
    """Return the native arithmetic of a backend or of bounded arrays."""
    return get_arithmetic("native", library.xp)


class Problem(NamedTuple):
    """A network with parameters that are all random, inputs and labels, on the host."""

    mlp: MLP
    parameters: list[dict[str, Any]]
    x: Any
    labels: Any


def problem(sizes: list[int], batch: int, dtype: str, activation: str = "tanh") -> Problem:
    """Return a random problem: x (batch, sizes[0]), labels (batch,)."""
    rng = np.random.default_rng([batch, *sizes])
    mlp = MLP(sizes, activation=activation)
    parameters = mlp.initialize(seed=batch, backend=NUMPY, dtype=dtype)
    for layer in parameters:
        layer["b"] = rng.normal(scale=0.1, size=layer["b"].shape).astype(dtype)
    x = rng.normal(size=(batch, sizes[0])).astype(dtype)
    return Problem(mlp, parameters, x, rng.integers(0, sizes[-1], size=batch))


def gradients(library: Any, of: Problem, arithmetic: Arithmetic | None = None) -> dict[str, Any]:
    """Return the library's loss and gradients by name, as its arrays."""
    parameters = map_arrays(library.asarray, of.parameters)
    x, labels = library.asarray(of.x), library.asarray(of.labels)
    loss, tree = of.mlp.step_gradients(parameters, x, labels, arithmetic or native(library))
    return {"loss": loss, **named(tree, "d")}


def trained(library: Any, of: Problem, steps: int, rate: float = 0.003) -> dict[str, Any]:
    """Return the loss of the last step and the parameters after it, by name.

    The rate is small: a worst case grows with exp(steps * rate * curvature), curvature taken
    with absolute values.
    """
    optimizer, arithmetic = SGD(learning_rate=rate), native(library)
    parameters = map_arrays(library.asarray, of.parameters)
    state = optimizer.init(parameters)
    x, labels = library.asarray(of.x), library.asarray(of.labels)
    for _ in range(steps):
        loss, tree = of.mlp.step_gradients(parameters, x, labels, arithmetic)
        parameters, state = optimizer.update(tree, state, parameters, arithmetic)
    return {"loss": loss, **named(parameters)}
