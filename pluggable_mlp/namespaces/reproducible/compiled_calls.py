"""Functions of the namespace in one compiled call each, if a library compiles everything.

JAX compiles each operation anew for each shape, and a function of the namespace consists of dozens.
Here it is compiled exactly, as a whole, for each kind of arguments.
"""

from collections.abc import Callable, Hashable, Iterator
from functools import lru_cache
from typing import NamedTuple

from pluggable_mlp.arrays import Array, Device, DType, Namespace, Nested, device_of
from pluggable_mlp.arrays.compiling import Unsuitable, compiled
from pluggable_mlp.arrays.shortcuts import backend_at, own
from pluggable_mlp.namespaces.reproducible import creation, elementwise, linear_algebra, statistical
from pluggable_mlp.namespaces.reproducible.array import Reproducible, ReproducibleArray

Function = Callable[..., Nested]

_MOST_CALLS = 1024
"""Compiled ones that are kept, of all functions."""

# `clip` is two operations of the library, whose bounds may be others at each call.
_COMPILED = {
    creation.astype,
    creation.entered,
    *elementwise.FUNCTIONS.values(),
    *statistical.FUNCTIONS.values(),
    *linear_algebra.FUNCTIONS.values(),
    *linear_algebra.LINALG.values(),
} - {elementwise.clip}
# Those of two operands; one may be a number, which is not compiled into the call.
_OF_PAIRS = {elementwise.FUNCTIONS[name] for name in ("add", "divide", "multiply", "subtract")} | {
    elementwise.FUNCTIONS[name] for name in ("copysign", "logaddexp", "where")
}


class _ArrayKind(NamedTuple):
    """An array of the namespace, or one of the library, among the arguments."""

    is_wrapped: bool
    shape: tuple[int, ...]
    dtype: DType
    device: Device


class _NumberKind(NamedTuple):
    """A number, in the dtype of the arrays."""


class _Constant(NamedTuple):
    """An argument that is compiled into the call; 1 and 1.0 differ."""

    type: type
    value: Hashable


_Kind = _ArrayKind | _NumberKind | _Constant


def in_one_call(ns: Reproducible, function: Function, bound: Function) -> Function:
    """Return `bound`, which is `function(ns, …)`, in one compiled call if that helps."""
    if function not in _COMPILED or not own(ns.library, "compiles_operations"):
        return bound
    return _Calls(ns, function, bound)


class _Calls:
    """A function of a namespace; see `in_one_call`."""

    def __init__(self, ns: Reproducible, function: Function, bound: Function) -> None:
        self._ns, self._function, self._bound = ns, function, bound
        self._make_namespace: Function = type(ns)
        self._is_of_pairs = function in _OF_PAIRS
        self.__doc__ = bound.__doc__

    def __call__(self, *arguments: object, **keywords: object) -> Array:
        operands: list[Array] = []
        try:
            kinds = tuple([self._kind(argument, operands) for argument in arguments])
            named = tuple([(name, self._kind(keywords[name], operands)) for name in keywords])
            call = _compiled(self._make_namespace, self._ns.library, self._function, kinds, named)
            if call is None:
                raise Unsuitable
            result = call(*operands)
        except Exception:  # wrong arguments, too: the function itself has a better message
            return self._bound(*arguments, **keywords)
        return ReproducibleArray(result, self._ns)

    def _kind(self, argument: Array, operands: list[Array]) -> _Kind:
        """Return the part of an argument to compile into the call; add the rest to operands."""
        ns = self._ns
        if type(argument) is ReproducibleArray:
            if argument.namespace is not ns:
                raise Unsuitable
            operands.append(argument.native)
            return _kind_of_array(True, argument.native)
        is_number = isinstance(argument, int | float) and not isinstance(argument, bool)
        if self._is_of_pairs and is_number:
            if self._function is elementwise.divide and (operands or argument == 1.0):
                raise Unsuitable  # it has rules of their own for these
            operands.append(float(argument))
            return _NumberKind()
        if self._function is creation.entered:
            operands.append(argument)
            return _kind_of_array(False, argument)
        if argument is None or isinstance(argument, int | float | str | tuple):
            return _Constant(type(argument), argument)
        ns.kinds[argument]  # raises for all but dtypes
        return _Constant(type(argument), argument)


@lru_cache(maxsize=_MOST_CALLS)
def _compiled(
    make_namespace: Function,
    library: Namespace,
    function: Function,
    kinds: tuple[_Kind, ...],
    named: tuple[tuple[str, _Kind], ...],
) -> Function | None:
    """Return a function of the operands, or None if none is floating or bits would change."""
    arrays = [kind for kind in (*kinds, *dict(named).values()) if isinstance(kind, _ArrayKind)]
    floating = [kind for kind in arrays if library.isdtype(kind.dtype, "real floating")]
    if not floating:
        return None

    def call(*operands: Array) -> Array:
        xp = make_namespace(library, None, is_traced=True)
        dtype = floating[0].dtype

        def number(value: Array) -> ReproducibleArray:
            return xp.wrap(xp.as_numbers(value).rounded(dtype, xp.kinds[dtype]))

        waiting = iter(operands)
        arguments = [_argument(xp, kind, waiting, number) for kind in kinds]
        keywords = {name: _argument(xp, kind, waiting, number) for name, kind in named}
        try:
            return function(xp, *arguments, **keywords).native
        except Exception as error:  # it branches on a value, or its arguments are wrong
            raise Unsuitable from error

    return compiled(backend_at(library, floating[0].device), call, exact=True)


def _kind_of_array(is_wrapped: bool, array: Array) -> _ArrayKind:
    device = device_of(array)
    if device is None:  # traced, which only some namespaces take
        raise Unsuitable
    return _ArrayKind(is_wrapped, array.shape, array.dtype, device)


def _argument(xp: Reproducible, kind: _Kind, operands: Iterator[Array], number: Function) -> Nested:
    """Return the argument of a kind, with the next operand if it is one."""
    if isinstance(kind, _NumberKind):
        return number(next(operands))
    if isinstance(kind, _ArrayKind):
        return xp.wrap(next(operands)) if kind.is_wrapped else next(operands)
    return kind.value
