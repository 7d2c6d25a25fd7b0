"""What a network keeps from one prediction for the next, without changing results.

Checks and calls of single operations cost more than a small network itself.
"""

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from pluggable_mlp.arrays import Array, LibraryArray, device_of, map_nested
from pluggable_mlp.arrays.compiling import compiled
from pluggable_mlp.arrays.shortcuts import array_context, backend_at
from pluggable_mlp.namespaces import compiles, run, unwrapped
from pluggable_mlp.namespaces.reproducible.array import native_of
from pluggable_mlp.namespaces.reproducible.namespace import ReproducibleNamespace
from pluggable_mlp.namespaces.reproducible.tiling import SMALL
from pluggable_mlp.network.checks import checked_inputs
from pluggable_mlp.network.parameters import Parameters
from pluggable_mlp.network.passes import LayeredNetwork, outputs

Cache: TypeAlias = dict[tuple[object, ...], Callable[..., Array]]
"""Compiled functions of (parameters, x), by the name of their result, the namespace and the device;
and their methods `call_if_known`, by the name of the result, the arithmetic and the class of x.

The latter return NotImplemented for arguments of new kinds, which are not yet checked.
"""


def cached_outputs(
    cache: Cache,
    mlp: LayeredNetwork,
    name: str,
    parameters: Parameters,
    x: Array,
    arithmetic: str,
) -> LibraryArray:
    """Return `outputs`, checked.

    Raises
    ------
    ValueError, TypeError
        If the parameters or x do not fit the network or each other.
    """
    call = cache.get((name, str(arithmetic), type(x)))  # other types may be unhashable
    result = NotImplemented if call is None else call(parameters, x)
    if result is not NotImplemented:
        return result
    with array_context(x):  # arguments of a new kind
        xp, wrapped_parameters, wrapped_x = checked_inputs(mlp, parameters, x, arithmetic)
        if compiles(xp):
            return unwrapped(run(xp, outputs, (mlp, name), wrapped_parameters, wrapped_x))
        if isinstance(xp, ReproducibleNamespace) and _has_small_products(
            wrapped_parameters, wrapped_x
        ):
            exact = partial(_exact_outputs, xp, mlp, name)
            faster = compiled(backend_at(xp.library, device_of(x)), exact, exact=True)
            if faster is not None:
                native = native_of((wrapped_parameters, wrapped_x))
                if call_if_known := getattr(faster, "call_if_known", None):
                    cache[name, arithmetic, type(x)] = call_if_known
                return faster(*native)
        key = name, xp, str(device_of(x))
        if key not in cache:
            call = partial(outputs, xp, mlp, name)
            cache[key] = compiled(backend_at(xp, device_of(x)), call) or call
        if call_if_known := getattr(cache[key], "call_if_known", None):
            cache[name, arithmetic, type(wrapped_x)] = call_if_known
        return unwrapped(cache[key](wrapped_parameters, wrapped_x))


def _has_small_products(parameters: Parameters, x: Array) -> bool:
    """Return whether no product is cut into tiles; else those are faster than what is traced."""
    sizes = [w.size for layer in parameters for w in layer.values()]
    return x.size // x.shape[-1] * max(sizes) < SMALL


def _exact_outputs(
    base: ReproducibleNamespace, mlp: LayeredNetwork, name: str, parameters: Parameters, x: Array
) -> LibraryArray:
    """Return `outputs` in a reproducible namespace, from the library's arrays to one of them."""
    xp = base.for_tracing()
    wrapped_parameters, wrapped_x = map_nested(xp.asarray, (parameters, x))
    return unwrapped(outputs(xp, mlp, name, wrapped_parameters, wrapped_x))
