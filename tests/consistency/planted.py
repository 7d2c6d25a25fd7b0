"""Networks, and backends with one fault each: NumPy, but for a function of its namespace, or for
a gradient, a buffer or a parameter on its way out of a layer or of the optimizer.

A fault is in one dtype alone, as faults of libraries mostly are: the comparison cannot rely on
the other one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import array_api_compat.numpy
import numpy as np

from pluggable_mlp import MLP
from pluggable_mlp.backends.numpy import NumpyBackend
from pluggable_mlp.training.optimizer import Optimizer
from pluggable_mlp.training.transforms import Transform

__all__ = [
    "NETWORKS",
    "Network",
    "OtherBackend",
    "Replaced",
    "WatchedRule",
    "faulty_backends",
    "watched",
]


class Replaced:
    """NumPy's namespace with some functions replaced."""

    def __init__(self, **functions: Any) -> None:
        self.__dict__.update(functions)

    def __getattr__(self, name: str) -> Any:
        return getattr(array_api_compat.numpy, name)


class OtherBackend(NumpyBackend):
    """NumPy on a namespace that is not NumPy's."""

    name = "other"

    def __init__(self, name: str = "other", **functions: Any) -> None:
        super().__init__()
        self.name = name
        self.xp = Replaced(**functions)


@dataclass(frozen=True)
class Network:
    """A network and what it is trained on: pixels, or standardised floats."""

    hidden: tuple[int, ...]
    activation: str
    inputs: int = 784
    norm: str | None = None
    pixels: bool = True

    def mlp(self, dropout: float = 0.0) -> MLP:
        sizes = [self.inputs, *self.hidden, 10]
        return MLP(sizes, activation=self.activation, norm=self.norm, dropout=dropout)

    def data(self, examples: int = 160) -> dict[str, Any]:
        """Return the arguments of `compare`: of the pixels a fifth is lit, of the border none."""
        rng = np.random.default_rng(self.inputs)
        shape = examples, self.inputs
        labels = rng.integers(0, 10, size=examples)
        if not self.pixels:
            return {"inputs": rng.normal(size=shape), "targets": labels}
        lit = rng.random(shape) < 0.2
        lit[:, : self.inputs // 10] = False
        pixels = np.where(lit, rng.integers(1, 256, size=shape), 0).astype(np.uint8)
        return {"inputs": pixels, "targets": labels, "scale": 1 / 256}


NETWORKS = {
    "64-100-10 sigmoid": Network((100,), "sigmoid", inputs=64),
    "784-256-128-10 gelu": Network((256, 128), "gelu"),
    "784-32x8-10 relu": Network((32,) * 8, "relu"),
    "784-100-100-10 relu, batch norm": Network((100, 100), "relu", norm="batch"),
    "784-64x4-10 relu, layer norm": Network((64,) * 4, "relu", norm="layer"),
    "784-100-10 tanh, floats": Network((100,), "tanh", pixels=False),
}


# Faults of a function of the namespace: they take the right function and return the faulty one.


def _rounded(bits: int) -> Callable[[Any], Any]:
    def rounded(x: Any) -> Any:
        fraction, exponent = np.frexp(x)
        return np.ldexp(np.round(fraction * 2.0**bits) / 2.0**bits, exponent).astype(x.dtype)

    return rounded


def _of_rounded(bits: int) -> Any:
    """Return products of entries rounded to so many bits, as tensor cores make them."""
    rounded = _rounded(bits)
    return lambda matmul: lambda a, b: matmul(rounded(a), rounded(b))


def _accumulated_in_float16(matmul: Any) -> Any:
    def product(a: Any, b: Any) -> Any:
        total = np.float16(0.0)
        for i in range(0, a.shape[-1], 16):
            block = matmul(a[..., i : i + 16], b[..., i : i + 16, :])
            total = (total + block).astype(np.float16)
        return total.astype(a.dtype)

    return product


def _in_float32(matmul: Any) -> Any:
    return lambda a, b: matmul(a.astype("float32"), b.astype("float32")).astype(a.dtype)


def _without_last_term(matmul: Any) -> Any:
    return lambda a, b: matmul(a[..., :-1], b[..., :-1, :])


def _without_last_example(add: Any) -> Any:
    def summed(x: Any, *, axis: Any = None, keepdims: bool = False) -> Any:
        return add(x[:-1] if axis == -2 else x, axis=axis, keepdims=keepdims)

    return summed


def _mean_for_sum(add: Any) -> Any:
    return lambda x, *, axis=None, keepdims=False: np.mean(x, axis=axis, keepdims=keepdims)


def _times(factor: float) -> Any:
    return lambda function: lambda x: function(x) * factor


FUNCTIONS: dict[str, tuple[str, Any]] = {
    "TF32 products": ("matmul", _of_rounded(11)),
    "products accumulated in float16": ("matmul", _accumulated_in_float16),
    "products without their last term": ("matmul", _without_last_term),
    "bias gradients without the last example": ("sum", _without_last_example),
    "mean for sum": ("sum", _mean_for_sum),
    "exp wrong by 0.01 %": ("exp", _times(1.0001)),
}


def _swapped(g: Any) -> Any:
    """Swap two columns, or two elements of a bias: the largest and the smallest."""
    sizes = np.linalg.norm(np.reshape(g, (-1, g.shape[-1])), axis=0)
    order = np.arange(g.shape[-1])
    order[[np.argmax(sizes), np.argmin(sizes)]] = order[[np.argmin(sizes), np.argmax(sizes)]]
    return g[..., order]


CHANGES: dict[str, Callable[[Any], Any]] = {
    "wrong by 0.01 %": lambda g: g * 1.0001,
    "zeroed": np.zeros_like,
    "with two columns swapped": _swapped,
}


def _in_dtype(dtype: str, faulty: Any, right: Any) -> Any:
    """Return the function that is faulty for arrays of that dtype, and right for others."""
    return lambda x, *args, **kwargs: (faulty if x.dtype == dtype else right)(x, *args, **kwargs)


class WatchedLayer:
    """A layer that lets a namespace spoil what its backward makes: `xp.spoil(name, gradient)`."""

    def __init__(self, layer: Any, label: str) -> None:
        self.layer, self.label = layer, label

    def __getattr__(self, name: str) -> Any:
        return getattr(self.layer, name)

    @property
    def __class__(self) -> Any:  # `compare` names activations by it
        return type(self.layer)

    def forward(self, xp: Any, parameters: Any, x: Any, rng: Any = None) -> Any:
        y, backward = self.layer.forward(xp, parameters, x, rng)
        spoil = getattr(xp, "spoil", None)
        if spoil is None:
            return y, backward

        def spoilt(dy: Any, *, with_dx: bool = True) -> Any:
            dx, gradients = backward(dy, with_dx=with_dx)
            for name, g in gradients.items():
                prefix = "" if name in self.layer.buffers else "d"
                gradients[name] = spoil(f"{self.label} {prefix}{name}", g)
            return (spoil(f"{self.label} dx", dx) if with_dx else None), gradients

        return y, spoilt


class WatchedLoss:
    """A loss that lets a namespace spoil its gradient: `xp.spoil("dz", gradient)`."""

    def __init__(self, loss: Any) -> None:
        self.loss = loss

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loss, name)

    def __call__(self, xp: Any, *arguments: Any) -> Any:
        loss, dz = self.loss(xp, *arguments)
        return loss, getattr(xp, "spoil", lambda name, array: array)("dz", dz)


class WatchedRule(Transform):
    """An optimizer that lets a namespace spoil the parameters: `xp.spoil(name, parameter)`."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer

    def update(self, before: Any) -> Any:
        parameters, slots = self.optimizer.update(before)
        spoil = getattr(before.xp, "spoil", lambda name, array: array)
        spoilt = [
            {name: spoil(f"layer {number} {name}", array) for name, array in layer.items()}
            for number, layer in enumerate(parameters, 1)
        ]
        return spoilt, slots


def watched(mlp: MLP) -> MLP:
    """Return the network whose layers and whose loss a namespace can spoil."""
    layers = tuple(WatchedLayer(layer, label) for label, layer in _labelled(mlp))
    object.__setattr__(mlp, "layers", layers)
    object.__setattr__(mlp, "objective", WatchedLoss(mlp.objective))
    return mlp


def _labelled(mlp: MLP) -> list[tuple[str, Any]]:
    """Return each layer with its name in a report, of those with parameters and of activations."""
    kinds = ["layer" if layer.shapes() else "activation" for layer in mlp.layers]
    return [
        (f"{kind} {kinds[: place + 1].count(kind)}", layer)
        for place, (kind, layer) in enumerate(zip(kinds, mlp.layers, strict=True))
    ]


def faulty_backends(mlp: MLP, dtype: str) -> dict[str, tuple[OtherBackend, str | None]]:
    """Return backends by the name of their fault, each with the tensor that is wrong, if one is.

    The faults are in computations of that dtype.
    """
    faulty: dict[str, tuple[OtherBackend, str | None]] = {}
    functions = dict(FUNCTIONS)
    if dtype == "float64":
        functions["float32 products"] = ("matmul", _in_float32)
    for fault, (name, spoil) in functions.items():
        right = getattr(array_api_compat.numpy, name)
        replaced = {name: _in_dtype(dtype, spoil(right), right)}
        faulty[fault] = OtherBackend(fault, **replaced), None
    gradients, updated = _tensors(mlp)
    for kind, change in CHANGES.items():
        faulty[f"all gradients {kind}"] = (
            OtherBackend(spoil=_spoiler(dtype, gradients, change)),
            None,
        )
        for tensor in [*gradients, *(updated if "wrong" in kind else [])]:
            faulty[f"{tensor} {kind}"] = (
                OtherBackend(spoil=_spoiler(dtype, [tensor], change)),
                tensor,
            )
    for name, (backend, _) in faulty.items():
        backend.name = name
    return faulty


def _tensors(mlp: MLP) -> tuple[list[str], list[str]]:
    """Return the names of the gradients, dx and dz among them, and of what a step changes."""
    gradients, updated = ["dz"], []
    for place, (label, layer) in enumerate(_labelled(mlp)):
        updated += [f"{label} {name}" for name in layer.shapes()]
        trained = [name for name in layer.shapes() if name not in layer.buffers]
        gradients += [f"{label} d{name}" for name in trained]
        gradients += [f"{label} dx"] if place else []  # the first layer computes none
    return gradients, updated


def _spoiler(dtype: str, which: list[str], change: Callable[[Any], Any]) -> Any:
    def spoil(tensor: str, array: Any) -> Any:
        return change(array) if tensor in which and array.dtype == dtype else array

    return spoil
