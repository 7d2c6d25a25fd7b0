"""Whole computations on a device with a queue: one look at a value, at the end.

A look waits for all that was asked for before.  So the computation is done by a namespace that does
not look, and whether that was right is read with its result; where it was not, it is done again by
the namespace that looks.  Both give the same bits: see `flags.py`.  Training has chunks of steps
between two looks, in `training/blind_steps.py`.
"""

import math
from collections.abc import Callable
from typing import Any

from pluggable_mlp.arrays import Array, Namespace, has_values
from pluggable_mlp.namespaces.reproducible.array import ReproducibleArray, map_wrapped
from pluggable_mlp.namespaces.reproducible.factor import traced
from pluggable_mlp.namespaces.reproducible.namespace import ReproducibleNamespace

__all__ = ["computed", "is_queued", "read"]

Function = Callable[..., Any]


def is_queued(xp: Namespace) -> bool:
    """Return whether looks at values are to be avoided: a reproducible namespace, on a queue."""
    return isinstance(xp, ReproducibleNamespace) and xp.queued


def computed(xp: Namespace, function: Function, *trees: Any) -> Any:
    """Return function(xp, *trees), which is pure; on a queue it waits for the device once.

    Parameters
    ----------
    xp
        Any namespace: only a reproducible one on a queue is spared looks.
    function : callable
        Of a namespace and trees.  It returns an array, or a tuple that begins with one.
    *trees
        Tuples, lists and dicts with arrays of `xp`, all that the function takes.

    Raises
    ------
    ArithmeticUnavailable
        If JAX traces the arrays, so that they have no values.
    """
    if not is_queued(xp):
        return function(xp, *trees)
    found, wrong = _attempt(xp, function, trees)
    return function(xp, *trees) if bool(wrong) else found


def read(xp: Namespace, function: Function, *trees: Any) -> tuple[Any, ...]:
    """Return function(xp, *trees), a tuple, with the 0-d array that it begins with as a float.

    The other arguments are those of `computed`; the number and whether all is right are one wait.
    """
    if is_queued(xp):
        (first, *rest), wrong = _attempt(xp, function, trees)
        number = float(xp.library.where(wrong, float("nan"), first.native))
        if not math.isnan(number):
            return (number, *rest)
    first, *rest = function(xp, *trees)
    return (float(first), *rest)


def _attempt(xp: ReproducibleNamespace, function: Function, trees: Any) -> tuple[Any, Array]:
    """Return the results, computed without looking, and whether they are wrong, 0-d."""
    blind = xp.without_looking()
    given = map_wrapped(lambda x: _with_values(x).in_namespace(blind), trees)
    found = map_wrapped(lambda x: x.in_namespace(xp), function(blind, *given))
    first = found if isinstance(found, ReproducibleArray) else found[0]
    return found, blind.must_look(first.native)


def _with_values(x: ReproducibleArray) -> ReproducibleArray:
    """Return the array; refuse one that JAX traces: of its gradients, flags may have values."""
    if not has_values(x.native if x.fixed_point is None else x.fixed_point.integers):
        raise traced()
    return x
