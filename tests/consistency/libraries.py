"""What the tests of this folder share: random networks, run on any library, bounded or not.

A library has a namespace `xp`, `asarray(host array)` and, unless its arrays are bounded,
`to_numpy(array)`: a backend is one.
"""

from typing import Any, NamedTuple

import numpy as np

from pluggable_mlp import MLP
from pluggable_mlp.backends import Backend, get_backend
from pluggable_mlp.consistency.units import name_arrays
from pluggable_mlp.namespaces import arithmetic_namespace, unwrapped
from pluggable_mlp.namespaces.bounded.namespace import BoundedNamespace
from pluggable_mlp.network.parameters import map_arrays

NUMPY = get_backend("numpy")


class BoundedLibrary:
    """Arrays that carry their error, with what the tests ask of a backend."""

    def __init__(self, dtype: str) -> None:
        self.xp = BoundedNamespace(dtype)
        self.asarray = self.xp.asarray


class InArithmetic:
    """A backend whose arrays are those that an arithmetic computes with."""

    def __init__(self, arithmetic: str, backend: Backend) -> None:
        self.xp = arithmetic_namespace(arithmetic, backend.xp)
        self._backend = backend

    def asarray(self, data: Any, dtype: str | None = None) -> Any:
        return self.xp.asarray(self._backend.asarray(data, dtype=dtype))

    def to_numpy(self, array: Any) -> Any:
        return self._backend.to_numpy(unwrapped(array))


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


def gradients(library: Any, case: Problem) -> dict[str, Any]:
    """Return the library's loss and gradients by name, as its arrays."""
    parameters = map_arrays(library.asarray, case.parameters)
    x, labels = library.asarray(case.x), library.asarray(case.labels)
    own = case.mlp.split(parameters)
    loss, tree, _ = case.mlp.loss_gradients_and_buffers(library.xp, *own, x, labels)
    return {"loss": loss, **name_arrays(tree, "d")}
