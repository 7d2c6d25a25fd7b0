"""Functions of reproducible arrays in one compiled call, where that changes no bit.

A reproducible namespace looks at no value, so what it computes can be compiled or recorded.  A
compiled function takes the library's own arrays and numbers, perhaps traced; within it they are
wrapped in a namespace that takes such arrays.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from pluggable_mlp.arrays import Namespace, device_of, map_nested
from pluggable_mlp.compiling import compiled
from pluggable_mlp.namespaces.reproducible.array import ReproducibleArray, native_of
from pluggable_mlp.namespaces.reproducible.exactness import traced
from pluggable_mlp.namespaces.reproducible.namespace import ReproducibleNamespace
from pluggable_mlp.provenance import is_builtin_call
from pluggable_mlp.shortcuts import backend_at

Function = Callable[..., Any]


def compiles(xp: Namespace) -> bool:
    """Return whether the namespace is a reproducible one on a queue, where many calls are slow."""
    return isinstance(xp, ReproducibleNamespace) and xp.queued


def run(
    xp: Namespace,
    function: Function,
    components: tuple[Any, ...],
    *trees: Any,
    numbers: tuple[Any, ...] = (),
) -> Any:
    """Return function(xp, *components, *numbers, *trees) of a pure function.

    Parameters
    ----------
    xp
        Any namespace: a reproducible one on a queue compiles it.
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
    xp: ReproducibleNamespace, function: Function, components: tuple[Any, ...], trees: Any
) -> Function | None:
    """Return the exactly compiled function of native arrays, or None.

    Functions of user-defined components are not cached; they would be compiled at each call.  Fixed
    point determines bits, and is lost if unwrapped.
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
    function: Function,
    components: tuple[Any, ...],
    numbers: tuple[Any, ...],
    *trees: Any,
) -> Any:
    xp = base.for_tracing()
    return native_of(function(xp, *components, *xp.as_numbers(numbers), *xp.wrap(trees)))
