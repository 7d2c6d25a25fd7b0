"""Namespaces, which determine how plain array-API code rounds.

The `arithmetic` of the command line and of `MLP` selects the namespace in which the formulas of the
network, the losses and the optimizers run.
"""

from collections.abc import Callable
from typing import Any

from pluggable_mlp.arrays import Array, Namespace, map_nested
from pluggable_mlp.executor import RunAll, one_by_one
from pluggable_mlp.namespaces.calls import compiles, run
from pluggable_mlp.namespaces.reproducible import ReproducibleArray, reproducible, to_native
from pluggable_mlp.namespaces.reproducible.exactness import ArithmeticUnavailable
from pluggable_mlp.namespaces.sharded import ShardedArray, ShardedNamespace
from pluggable_mlp.registry import choose
from pluggable_mlp.shortcuts import check_process, queued

__all__ = [
    "ARITHMETICS",
    "ArithmeticUnavailable",
    "ReproducibleArray",
    "ShardedNamespace",
    "arithmetic_namespace",
    "compiles",
    "namespace_at",
    "namespace_of",
    "reproducible",
    "run",
    "to_native",
    "unwrapped",
]


def _native(xp: Namespace, run_all: RunAll | None) -> Namespace:
    """Return the library's own namespace."""
    check_process(xp)
    return xp


ARITHMETICS: dict[str, Callable[..., Namespace]] = {
    "native": _native,
    "reproducible": reproducible,
}


def arithmetic_namespace(
    name: str, xp: Namespace, run_all: RunAll | None = one_by_one
) -> Namespace:
    """Return the namespace in which an arithmetic computes.

    Parameters
    ----------
    name : {"native", "reproducible"}
        Which arithmetic.
    xp : namespace
        That of the library's arrays.
    run_all : callable, optional
        Who runs the parts that an operation on large arrays is cut into; None cuts none.

    Raises
    ------
    ValueError
        If the arithmetic is unknown.
    BackendUnavailable
        If a setting of the library, for the whole process, forbids right results.
    ArithmeticUnavailable
        If the library has no float64, and the arithmetic asks for it.
    """
    return choose(ARITHMETICS, name, "arithmetic")(xp, run_all)


def namespace_at(name: str, xp: Namespace, x: Array) -> Namespace:
    """Return `arithmetic_namespace` for arrays of `xp` on the device of x, and its queue."""
    if name == "native":  # to ask for the queue costs as much as a small operation
        return _native(xp, None)
    return arithmetic_namespace(name, xp, None if queued(xp, x) else one_by_one)


def namespace_of(name: str, backend: Any) -> Namespace:
    """Return `arithmetic_namespace` for a backend's arrays, its threads and its queue."""
    run_all = None if getattr(backend, "queued", False) else getattr(backend, "run_all", one_by_one)
    return arithmetic_namespace(name, backend.xp, run_all)


def unwrapped(value: Any) -> Any:
    """Return a structure of tuples, lists and dicts with the library's arrays, and one NaN.

    Raises
    ------
    ShardingError
        If an array is cut over processes.
    """
    return map_nested(_library_array, value, (ShardedArray, ReproducibleArray))


def _library_array(value: Any) -> Any:
    whole = value.whole if isinstance(value, ShardedArray) else value
    return to_native(whole) if isinstance(whole, ReproducibleArray) else whole
