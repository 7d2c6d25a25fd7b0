"""Namespaces, which determine how plain array-API code rounds.

The `arithmetic` of the command line and of `MLP` selects the namespace in which the formulas of the
network, the losses and the optimizers run.  A reproducible namespace reads no values, so its
computations can be compiled or recorded; `run` does so if that is faster, and no bit changes.
"""

from collections.abc import Callable
from functools import partial
from operator import attrgetter
from typing import Any

from pluggable_mlp.arrays import Array, Namespace, Nested, device_of, map_nested
from pluggable_mlp.arrays.compiling import compiled, is_builtin_call
from pluggable_mlp.arrays.executor import RunAll, one_by_one
from pluggable_mlp.arrays.shortcuts import backend_at, check_process
from pluggable_mlp.backends import Backend
from pluggable_mlp.fields import choose
from pluggable_mlp.namespaces.reproducible.array import ReproducibleArray, native_of
from pluggable_mlp.namespaces.reproducible.exactness import (
    ArithmeticUnavailable as ArithmeticUnavailable,  # its line among the public names is too long
)
from pluggable_mlp.namespaces.reproducible.exactness import traced, without_float64
from pluggable_mlp.namespaces.reproducible.namespace import ReproducibleNamespace, reproducible
from pluggable_mlp.namespaces.sharded.array import ShardedArray


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
        The name of the arithmetic.
    xp : namespace
        The namespace of the library's arrays.
    run_all : callable, optional
        Runs the parts that an operation on large arrays is cut into; None to cut nothing.

    Raises
    ------
    ValueError
        If the arithmetic is unknown.
    BackendUnavailable
        If a process-wide setting of the library prevents correct results.
    ArithmeticUnavailable
        If the library lacks float64, and the arithmetic needs it.
    """
    return choose(ARITHMETICS, name, "arithmetic")(xp, run_all)


def namespace_at(name: str, xp: Namespace, x: Array) -> Namespace:
    """Return `arithmetic_namespace` for arrays of `xp` on the device of x, and its queue."""
    if name == "native":  # asking for the queue costs as much as a small operation
        check_process(xp)
        return xp
    backend = backend_at(xp, device_of(x))
    _require_float64(backend)
    is_queued = getattr(backend, "queued", False)
    return arithmetic_namespace(name, xp, None if is_queued else one_by_one)


def namespace_of(name: str, backend: Backend) -> Namespace:
    """Return `arithmetic_namespace` for a backend's arrays, its threads and its queue."""
    run_all = None if getattr(backend, "queued", False) else getattr(backend, "run_all", one_by_one)
    xp = arithmetic_namespace(name, backend.xp, run_all)
    if xp is not backend.xp:
        _require_float64(backend)
    return xp


def _require_float64(backend: Any) -> None:
    if "float64" in getattr(backend, "missing_dtypes", ()):
        raise without_float64(f"{backend.name} on {backend.device}")


def compiles(xp: Namespace) -> bool:
    """Return whether the namespace is reproducible and on a queue, where many calls are slow."""
    return isinstance(xp, ReproducibleNamespace) and xp.queued


def run(
    xp: Namespace,
    function: Callable[..., Nested],
    components: tuple[object, ...],
    *trees: Nested,
    numbers: tuple[Nested, ...] = (),
) -> Nested:
    """Return function(xp, *components, *numbers, *trees) for a pure function.

    Parameters
    ----------
    xp
        Any namespace; a reproducible one on a queue compiles the function.
    function : callable
        It must be defined at the top of a module to be compiled.
    components : tuple
        Constants of the compiled function: networks, optimizers, names.
    *trees
        Tuples, lists and dicts with arrays of `xp`.
    numbers : tuple
        Python numbers, or tuples and dicts of numbers, which may change from call to call.

    Raises
    ------
    ArithmeticUnavailable
        If JAX traces the arrays, so that they have no values.
    """
    exact = _compiled(xp, function, components, trees) if compiles(xp) else None
    if exact is None:
        return function(xp, *components, *numbers, *trees)
    return xp.wrap(exact(numbers, *native_of(trees)))


def _compiled(
    xp: ReproducibleNamespace,
    function: Callable[..., Nested],
    components: tuple[object, ...],
    trees: Nested,
) -> Callable[..., Nested] | None:
    """Return the exactly compiled function of native arrays, or None.

    Functions of user-defined components are not cached, so they would be compiled at each call.
    Fixed point determines bits, and would be lost by unwrapping.
    """
    arrays: list[ReproducibleArray] = []
    map_nested(arrays.append, trees, ReproducibleArray)
    if not all(x.device is not None for x in arrays):
        raise traced()
    call = partial(_on_native, xp, function, components)
    if any(x.fixed_point is not None for x in arrays) or not is_builtin_call(call):
        return None
    backend = backend_at(xp.library, device_of(arrays[0].native))
    return compiled(backend, call, exact=True)


def _on_native(
    base: ReproducibleNamespace,
    function: Callable[..., Nested],
    components: tuple[object, ...],
    numbers: tuple[Nested, ...],
    *trees: Nested,
) -> Nested:
    xp = base.for_tracing()
    return native_of(function(xp, *components, *xp.as_numbers(numbers), *xp.wrap(trees)))


def unwrapped(value: Nested) -> Nested:
    """Return a structure of tuples, lists and dicts with the library's arrays, all with one NaN.

    Raises
    ------
    ShardingError
        If an array is divided among processes.
    """
    return map_nested(attrgetter("library_array"), value, (ShardedArray, ReproducibleArray))
