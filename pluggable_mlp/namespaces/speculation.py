"""Speculation: compute as if the fast path were right, and check a flag on the device later.

A reproducible namespace that looks at values waits for the device, and can be neither compiled nor
recorded.  A speculating one (`ReproducibleNamespace.speculating`) takes the fast path everywhere
and keeps a flag on the device that says whether this was valid.  If it was not, the namespace that
looks computes everything again.  Both give the same bits: see `reproducible/validity.py`.  Training
speculates over many steps: `training/steps.py`.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from pluggable_mlp.arrays import Array, Namespace, device_of, has_values
from pluggable_mlp.compile_cache import compiled_once
from pluggable_mlp.namespaces.reproducible.array import ReproducibleArray, map_wrapped, native_of
from pluggable_mlp.namespaces.reproducible.device_scalar import DeviceScalar
from pluggable_mlp.namespaces.reproducible.namespace import ReproducibleNamespace
from pluggable_mlp.namespaces.reproducible.operand import traced
from pluggable_mlp.provenance import is_builtin_call
from pluggable_mlp.shortcuts import compiled

Function = Callable[..., Any]


def speculates(xp: Namespace) -> bool:
    """Return whether the namespace is a reproducible one on a queue, where looks are expensive."""
    return isinstance(xp, ReproducibleNamespace) and xp.queued


def run(
    xp: Namespace,
    function: Function,
    components: tuple[Any, ...],
    *trees: Any,
    numbers: tuple[Any, ...] = (),
) -> Any:
    """Return function(xp, *components, *numbers, *trees) of a pure function; a queue waits once.

    Parameters
    ----------
    xp
        Any namespace: only a reproducible one on a queue speculates.
    function : callable
        Returns an array, or a tuple that begins with one.  It must be defined at the top of a
        module to be compiled where the library compiles exactly.
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
    result, valid = attempt(xp, function, components, *trees, numbers=numbers)
    return result if valid is None or bool(valid) else function(xp, *components, *numbers, *trees)


def run_to_float(
    xp: Namespace,
    function: Function,
    components: tuple[Any, ...],
    *trees: Any,
    numbers: tuple[Any, ...] = (),
) -> tuple[Any, ...]:
    """Return `run` of a function that returns a tuple, with the first item, 0-d, as a float.

    It waits once, for the number and the flag together.
    """
    (first, *rest), valid = attempt(xp, function, components, *trees, numbers=numbers)
    if valid is not None:
        number = float(xp.library.where(valid, first.native, float("nan")))
        if not math.isnan(number):
            return (number, *rest)
        first, *rest = function(xp, *components, *numbers, *trees)
    return (float(first), *rest)


def attempt(
    xp: Namespace,
    function: Function,
    components: tuple[Any, ...],
    *trees: Any,
    numbers: tuple[Any, ...] = (),
) -> tuple[Any, Array | None]:
    """Return the result of `run` and its validity, 0-d: None if nothing was speculative."""
    if not speculates(xp):
        return function(xp, *components, *numbers, *trees), None
    operands = map_wrapped(_with_values, trees)
    exact = None if _has_fixed_point(trees) else _compiled(xp, function, components, trees)
    if exact is not None:
        result, valid = exact(numbers, *native_of(operands))
        return wrapped(xp, result), valid
    speculating = xp.speculating()
    operands = map_wrapped(lambda x: x.in_namespace(speculating), operands)
    result = function(speculating, *components, *numbers, *operands)
    valid = speculating.all_valid(_first(result).native)
    return map_wrapped(lambda x: x.in_namespace(xp), result), valid


def wrapped(xp: ReproducibleNamespace, tree: Any) -> Any:
    """Return nested lists, tuples and dicts with the library's arrays as those of `xp`."""
    if isinstance(tree, dict):
        return {name: wrapped(xp, one) for name, one in tree.items()}
    if isinstance(tree, list | tuple):
        items = [wrapped(xp, one) for one in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)
    return None if tree is None else xp.wrap(tree)


def as_numbers(xp: ReproducibleNamespace, tree: Any) -> Any:
    """Return nested numbers, with tracers in their places as numbers or integers of `xp`."""
    if isinstance(tree, dict):
        return {name: as_numbers(xp, one) for name, one in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(as_numbers(xp, one) for one in tree)
    if tree is None or isinstance(tree, int | float | DeviceScalar | ReproducibleArray):
        return tree
    return xp.wrap(tree) if xp.library.isdtype(tree.dtype, "integral") else xp.device_scalar(tree)


def _compiled(
    xp: ReproducibleNamespace, function: Function, components: tuple[Any, ...], trees: Any
) -> Function | None:
    """Return the speculation as an exactly compiled function of native arrays, or None.

    Functions of user-defined components are not cached; they would be compiled at each call.
    """
    call = partial(_speculation, xp, function, components)
    if not is_builtin_call(call):
        return None
    devices: list[Any] = []
    map_wrapped(lambda x: devices.append(device_of(x.native)), trees)
    owner = xp.library.__name__, str(devices[0])
    return compiled_once(partial(compiled, xp.library), owner, call, exact=True, device=devices[0])


def _speculation(
    base: ReproducibleNamespace,
    function: Function,
    components: tuple[Any, ...],
    numbers: tuple[Any, ...],
    *trees: Any,
) -> tuple[Any, Array]:
    """Return a speculation's results and whether they are valid, of the library's arrays."""
    xp = base.speculating()
    result = function(xp, *components, *as_numbers(xp, numbers), *wrapped(xp, trees))
    return native_of(result), xp.all_valid(_first(result).native)


def _first(result: Any) -> ReproducibleArray:
    return result if isinstance(result, ReproducibleArray) else result[0]


def _has_fixed_point(trees: Any) -> bool:
    """Return whether an array is fixed point, which determines bits and is lost if unwrapped."""
    is_fixed: list[bool] = []
    map_wrapped(lambda x: is_fixed.append(x.fixed_point is not None), trees)
    return any(is_fixed)


def _with_values(x: ReproducibleArray) -> ReproducibleArray:
    """Return the array; refuse one that JAX traces, even where `grad` gives its flags values."""
    if not has_values(x.native if x.fixed_point is None else x.fixed_point.integers):
        raise traced()
    return x
