"""The NumPy backend, on the host."""

from importlib import import_module

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.shortcuts import offer

from .memory import keep_freed_blocks
from .numpy_random import philox_halves
from .numpy_tracing import TracedNumpyFunction, Tracer
from .numpy_update import Updater
from .tape import Function
from .threads import run_all
from .transfer import ArrayLibrary

# Keywords, defaults or orders of results differ.
_UNLIKE_THE_STANDARD = {
    "argsort", "sort", "take_along_axis",
    "unique_all", "unique_counts", "unique_inverse", "unique_values",
}  # fmt: skip


def _where_positive(x: Array, a: Array, b: Array | None) -> Array:
    # Products cost the same for every pattern, where np.where slows down up to seven times if the
    # pattern cannot be predicted, as that of relu.  Products with booleans convert them slowly.
    chosen = (~(x <= 0.0)).astype(x.dtype)
    if b is None:
        chosen *= a
        return chosen
    total = (1.0 - chosen) * b
    chosen *= a
    total += chosen
    return total


def _take(x: Array, indices: Array, *, axis: int) -> Array:
    for operand in (x, indices):  # for indices alone, NumPy asks no other class
        if isinstance(operand, Tracer):
            return operand.tape.record(np.ndarray.take, x, indices, axis=axis)
    return np.take(x, indices, axis=axis)


def _standard_function(name: str) -> Function:
    """Return a function as the standard has it."""
    is_unlike = name in _UNLIKE_THE_STANDARD  # to import the other takes as long as NumPy
    function: Function = getattr(import_module("array_api_compat.numpy") if is_unlike else np, name)
    return function


def _mean(x: Array, *, axis: int) -> Array:
    return np.add.reduce(x, axis=axis) / x.shape[axis]


class NumpyBackend(ArrayLibrary):
    """NumPy arrays, which are host data already, so that `asarray` and `to_numpy` do not copy."""

    name = "numpy"
    xp = np
    _device = "cpu"
    run_all = staticmethod(run_all)

    def __init__(self, device: str | None = None) -> None:
        if device not in (None, "cpu"):
            raise ValueError(f"device is {device!r}: NumPy has one device, 'cpu'")
        keep_freed_blocks()

    def _upload(self, host: Array) -> Array:
        return host

    def _download(self, array: Array) -> Array:
        return np.asarray(array)  # a scalar, as NumPy's reductions give it, becomes 0-d

    def synchronize(self) -> None:
        """Return at once: NumPy computes before it returns."""

    def compile(
        self,
        function: Function,
        used_up: tuple[int, ...] = (),
        *,
        exact: bool = False,
        most: int = 1,
    ) -> Function | None:
        """See `Abilities.compile`: functions are traced, which changes no bit."""
        return None if most > 1 else TracedNumpyFunction.of(function)

    def versions(self) -> dict[str, str]:
        """See `Backend.versions`."""
        return {"numpy": np.__version__}

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        """See `Backend.devices`."""
        return ("cpu",)


# `np.sum` and `np.mean` end there, too, after several functions in Python: half of their time for
# small arrays.
offer(
    np,
    backend_at=NumpyBackend._at,
    clip=np.clip,
    matmul=np.matmul,
    mean=_mean,
    philox_halves=philox_halves,
    put=np.put,
    standard_function=_standard_function,
    sum=np.add.reduce,
    take=_take,
    updater=lambda _: Updater(),
    where_positive=_where_positive,
)
