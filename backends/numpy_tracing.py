"""Tracing of functions of NumPy arrays, which run once on tracers instead of their arguments.

A program overwrites an array that is no longer needed with a result of its shape, dtype and
strides.  Every array belongs to one call: threads share none, and returned arrays are never
changed.
"""

import operator
from collections.abc import Hashable
from typing import ClassVar, NoReturn

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from pluggable_mlp.arrays import Array, DType, Namespace
from pluggable_mlp.compiling import Unsuitable

from .tape import Constants, Function, Operation, Place, Tape, Tree, Writer, leaves, map_tree
from .tracing import TracedFunction

_OPERATORS: dict[Function, Function] = {
    np.add: operator.add, np.subtract: operator.sub, np.multiply: operator.mul,
    np.divide: operator.truediv, np.floor_divide: operator.floordiv, np.remainder: operator.mod,
    np.matmul: operator.matmul, np.bitwise_and: operator.and_, np.bitwise_or: operator.or_,
    np.bitwise_xor: operator.xor, np.left_shift: operator.lshift, np.right_shift: operator.rshift,
    np.less: operator.lt, np.less_equal: operator.le, np.greater: operator.gt,
    np.greater_equal: operator.ge, np.equal: operator.eq, np.not_equal: operator.ne,
    np.negative: operator.neg, np.positive: operator.pos, np.absolute: operator.abs,
    np.invert: operator.invert,
}  # fmt: skip
"""The operators that a tape has where no operand is an array, so that numbers stay Python's."""
UFUNCS = {function: ufunc for ufunc, function in _OPERATORS.items()}

# Functions whose results have shapes that the shapes of their arguments determine.
_FUNCTIONS = {
    np.all, np.any, np.argmax, np.argmin, np.broadcast_to, np.clip, np.concatenate, np.expand_dims,
    np.full_like, np.matrix_transpose, np.max, np.mean, np.min, np.moveaxis, np.ones_like, np.prod,
    np.reshape, np.round, np.squeeze, np.stack, np.std, np.sum, np.swapaxes, np.take,
    np.take_along_axis, np.transpose,
    np.var, np.where, np.zeros_like,
}  # fmt: skip
# The ufuncs that some of these call after checks in Python.
_REDUCTIONS = {np.max: np.maximum.reduce, np.min: np.minimum.reduce, np.sum: np.add.reduce}
_METHODS: dict[Function, Function] = {np.reshape: np.ndarray.reshape, np.take: np.ndarray.take}

_RECORDABLE = (np.ndarray, np.generic, int, float, tuple)
"""What operations on a tape may return; tuples are the results of a kernel."""


class TracedNumpyFunction(TracedFunction):
    """See `TracedFunction`."""

    layout = operator.attrgetter("shape", "strides", "dtype")

    def trace(self, arguments: Tree) -> tuple[list[str], Constants]:
        """See `TracedFunction.trace`."""
        tape = NumpyTape()
        writer = Writer(tape, tape.run(self.function, arguments))
        return [*writer.lines()], writer.constants

    def is_array(self, leaf: object) -> bool:
        """See `TracedFunction.is_array`."""
        return type(leaf) is np.ndarray


class Tracer(NDArrayOperatorsMixin):
    """Stands for an array or a number and has its value; every operation on it is recorded."""

    __hash__ = object.__hash__
    device = "cpu"

    def __init__(self, tape: "NumpyTape", value: Array, place: int) -> None:
        self.tape, self.value, self.place = tape, value, place

    def __getattr__(self, name: str) -> Array:
        if name in ("shape", "dtype", "ndim", "size", "nbytes", "itemsize"):
            return getattr(np.asarray(self.value), name)  # numbers have them, too
        if name in ("T", "mT"):
            return self.tape.record(operator.attrgetter(name), self)
        raise AttributeError(name)

    def __getitem__(self, key: Tree) -> "Tracer":
        if any(np.asarray(tracer.value).dtype == bool for tracer in _tracers(key)):
            raise Unsuitable  # values determine the shape
        return self.tape.record(operator.getitem, self, key)

    def astype(self, dtype: DType, copy: bool = True, device: str | None = None) -> "Tracer":
        """Return the array in a dtype."""
        if not copy and self.value.dtype == dtype:
            return self
        return self.tape.record(operator.methodcaller("astype", dtype), self)

    def __array_namespace__(self, *, api_version: str | None = None) -> Namespace:
        return np

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Tree, out: Tree = None, **settings: Tree
    ) -> "Tracer":
        if method not in ("__call__", "reduce") or (out and (settings or len(out) > 1)):
            raise Unsuitable
        function = ufunc if method == "__call__" else getattr(ufunc, method)
        if out and isinstance(_value(out[0]), np.ndarray):
            return self.tape.record_in_place(function, out[0], *inputs)
        if not any(isinstance(_value(operand), np.ndarray) for operand in inputs):
            function = _OPERATORS.get(function, function)
        return self.tape.record(function, *inputs, **settings)

    def __pow__(self, power: object) -> "Tracer":
        return self.tape.record(operator.pow, self, power)  # which makes squares and roots

    def __rpow__(self, base: object) -> "Tracer":
        return self.tape.record(operator.pow, base, self)

    def __array_function__(
        self, function: Function, types: object, args: Tree, settings: dict[str, Tree]
    ) -> "Tracer":
        if function is np.astype:
            return args[0].astype(*args[1:], **settings)
        settings = {name: x for name, x in settings.items() if name != "out" or x is not None}
        if function not in _FUNCTIONS or "out" in settings:
            raise Unsuitable
        if function in _REDUCTIONS and len(args) == 1 and settings.keys() <= {"axis", "keepdims"}:
            function, settings = _REDUCTIONS[function], {"axis": None, **settings}
        return self.tape.record(_METHODS.get(function, function), *args, **settings)

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise Unsuitable

    __bool__ = __float__ = __int__ = __index__ = __complex__ = _refuse
    __iter__ = __len__ = __array__ = __setitem__ = __contains__ = __ipow__ = _refuse


class NumpyTape(Tape):
    """A tape whose operations run while they are recorded.

    Attributes
    ----------
    clips : bool
        Whether maximum and minimum with a number are repeated as `clip`.
    """

    clips: ClassVar[bool] = True

    def run(self, function: Function, arguments: Tree) -> Tree:
        """Record what a function does; return its result, with places for arrays and numbers."""
        tracers = map_tree(self.argument, arguments)
        result = function(*tracers)
        if any(isinstance(leaf, np.ndarray) for leaf in leaves(result)):
            raise Unsuitable  # one of the function's own arrays, which callers would share
        return map_tree(self.operand, result)

    def argument(self, value: Array) -> Tracer:
        """Return a tracer for an argument."""
        self.argument_count += 1
        return self.tracer(value)

    def tracer(self, value: Array, owner: int | None = None, layout: Hashable = None) -> Tracer:
        """Return a tracer for a value in a new place."""
        return Tracer(self, value, self.add_place(owner, layout))

    def evaluate(self, function: Function, args: Tree, settings: dict[str, Tree]) -> Array:
        """Return the result of a function of values."""
        return function(*args, **settings)

    def overwrite(self, ufunc: Function, inputs: Tree, target: Array) -> None:
        """Let a ufunc overwrite an array."""
        ufunc(*inputs, out=target)

    def record(self, function: Function, *args: Tree, **settings: Tree) -> Tracer:
        """Call a function without side effects, and return a tracer for its result."""
        operands = _tracers((args, settings))
        value = self.evaluate(function, *map_tree(_value, (args, settings)))
        if not isinstance(value, _RECORDABLE):
            raise Unsuitable
        owner, layout = None, None
        if isinstance(value, np.ndarray):
            if value.base is None:
                layout = value.shape, value.strides, value.dtype
            for operand in operands:
                if value is operand.value:
                    return operand
                if isinstance(operand.value, tuple) or (
                    isinstance(operand.value, np.ndarray)
                    and np.may_share_memory(value, operand.value)
                ):
                    owner, layout = self.owners[operand.place], None
        result = self.tracer(value, owner, layout)
        self._add_call(function, args, settings, result, operands)
        return result

    def record_in_place(self, ufunc: Function, target: object, *inputs: Tree) -> Tracer:
        """Call a ufunc that overwrites an array, and return the array's tracer."""
        if not isinstance(target, Tracer) or self.owners[target.place] < self.argument_count:
            raise Unsuitable  # an argument, or an array that the tape may need unchanged
        self.overwrite(ufunc, map_tree(_value, inputs), target.value)
        self._add_call(ufunc, inputs, {"out": target}, target, _tracers((inputs, target)))
        return target

    def _add_call(
        self, function: Function, args: Tree, settings: Tree, result: Tracer, read: list[Tracer]
    ) -> None:
        if isinstance(function, np.ufunc) and settings.keys() <= {"out"}:
            args = _with_arrays(function, args)
        clips = self.clips and isinstance(result.value, np.ndarray)
        bounds = _bounds(function, args) if clips else None
        if bounds is not None:
            function, args = np.ndarray.clip, (args[0], *bounds)
        args, settings = map_tree(self.operand, (args, settings))
        numbers = [operand.place for operand in read]
        self.operations.append(Operation(function, args, settings, result.place, numbers))
        if bounds is not None and 0.0 in bounds:
            self.record_in_place(np.add, result, result, np.zeros_like(bounds[0]))

    def operand(self, leaf: object) -> object:
        """Return the place of a tracer; copy an array, since the function may change its own."""
        if isinstance(leaf, Tracer):
            return Place(leaf.place)
        return leaf.copy(order="K") if isinstance(leaf, np.ndarray) else leaf


def _value(leaf: Tree) -> Array:
    return leaf.value if isinstance(leaf, Tracer) else leaf


def _tracers(tree: Tree) -> list[Tracer]:
    return [leaf for leaf in leaves(tree) if isinstance(leaf, Tracer)]


def _with_arrays(ufunc: np.ufunc, args: tuple[Tree, ...]) -> tuple[Tree, ...]:
    """Return operands with numbers as 0-d arrays, which NumPy would make at each call.

    Only if all others are arrays of one floating dtype, which the numbers then take.
    """
    values = [_value(operand) for operand in args if type(operand) not in (float, int)]
    dtypes = {value.dtype if isinstance(value, np.ndarray) else None for value in values}
    dtype = dtypes.pop() if len(dtypes) == 1 and len(values) < len(args) else None
    if dtype is None or dtype.kind != "f" or not _has_loop(ufunc, dtype):
        return args
    return tuple(
        np.asarray(operand, dtype) if type(operand) in (float, int) else operand for operand in args
    )


def _bounds(function: Function, args: tuple[Tree, ...]) -> tuple[Array, Array] | None:
    """Return the bounds of `clip` if the function is a maximum or minimum with a number.

    NumPy's own take four times as long.  If the bound is 0, they mostly return 0 for -0, as `clip`
    does once 0 is added.
    """
    bound = args[-1]
    is_number = type(bound) is np.ndarray and not bound.ndim and bound.dtype.kind == "f"
    if function not in (np.maximum, np.minimum) or not is_number:
        return None
    zeros = np.resize(np.asarray([0.0, -0.0], bound.dtype), 99)
    if bound == 0.0 and np.any(np.signbit(function(zeros, bound))):
        return None
    infinity = np.full_like(bound, np.inf)
    return (bound, infinity) if function is np.maximum else (-infinity, bound)


def _has_loop(ufunc: np.ufunc, dtype: DType) -> bool:
    """Return whether a ufunc accepts operands that are all of this dtype."""
    return any(types.startswith(f"{dtype.char * ufunc.nin}->") for types in ufunc.types)
