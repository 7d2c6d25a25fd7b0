"""What NumPy repeats in another way than it was recorded: the same bits in less time.

A program overwrites an array that is no longer needed with a result of its shape, dtype and
strides.  Every array belongs to one call: threads share none, and returned arrays are never
changed.
"""

import operator
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from pluggable_mlp.arrays import Array, DType

from .recording import Recorded, RecordingNamespace
from .tape import Function, Layout, Tree
from .tracing import TracedFunction

UFUNCS: dict[Function, np.ufunc] = {
    operator.add: np.add, operator.sub: np.subtract, operator.mul: np.multiply,
    operator.truediv: np.divide, operator.floordiv: np.floor_divide, operator.mod: np.remainder,
    operator.matmul: np.matmul, operator.and_: np.bitwise_and, operator.or_: np.bitwise_or,
    operator.xor: np.bitwise_xor, operator.lshift: np.left_shift, operator.rshift: np.right_shift,
    operator.lt: np.less, operator.le: np.less_equal, operator.gt: np.greater,
    operator.ge: np.greater_equal, operator.eq: np.equal, operator.ne: np.not_equal,
    operator.neg: np.negative, operator.pos: np.positive, operator.abs: np.absolute,
    operator.invert: np.invert,
}  # fmt: skip
"""The functions of operators on arrays; those on numbers stay Python's."""
# What these call after checks in Python.
_REDUCTIONS = {np.max: np.maximum.reduce, np.min: np.minimum.reduce, np.sum: np.add.reduce}
_METHODS: dict[Function, Function] = {
    np.astype: np.ndarray.astype, np.clip: np.ndarray.clip, np.permute_dims: np.ndarray.transpose,
    np.reshape: np.ndarray.reshape, np.take: np.ndarray.take,
}  # fmt: skip


class NumpyRecording(RecordingNamespace):
    """The functions of NumPy."""

    def record(self, function: Function, *args: Tree, **settings: Tree) -> Tree:
        """See `RecordingNamespace.record`."""
        first = _value(args[0])
        if isinstance(first, np.ndarray):
            is_plain = len(args) == 1 and settings.keys() <= {"axis", "keepdims"}
            if function in _REDUCTIONS and is_plain:
                function, settings = _REDUCTIONS[function], {"axis": None, **settings}
            if function is np.astype:
                if first.dtype == args[1] and not settings.get("copy", True):
                    return args[0]
                args, settings = (args[0], np.dtype(args[1])), {}  # which are read faster
            function = _METHODS.get(function, function)
        if function in UFUNCS and any(isinstance(_value(x), np.ndarray) for x in args):
            function = UFUNCS[function]
        if isinstance(function, np.ufunc) and not settings:
            args = _with_arrays(args, function)
        if function is np.where:
            args = args[0], *_with_arrays(args[1:])
        bounds = _bounds(function, args) if isinstance(first, np.ndarray) else None
        if bounds is None:
            return super().record(function, *args, **settings)
        result = super().record(np.ndarray.clip, args[0], *bounds)
        zero = np.zeros_like(bounds[0])
        return super().record(np.add, result, zero) if 0.0 in bounds else result

    def share_memory(self, x: Array, y: Array) -> bool:
        """See `RecordingNamespace.share_memory`."""
        return np.may_share_memory(x, y)

    def layout(self, array: Array) -> Layout:
        """See `RecordingNamespace.layout`."""
        owns = isinstance(array, np.ndarray) and array.base is None
        return (array.shape, array.strides, array.dtype) if owns else None


class TracedNumpyFunction(TracedFunction):
    """See `TracedFunction`."""

    layout: Callable[[Array], object] = operator.attrgetter("shape", "strides", "dtype")
    recording: ClassVar[type[RecordingNamespace]] = NumpyRecording
    number: ClassVar[Function | None] = staticmethod(np.asarray)

    def is_array(self, leaf: object) -> bool:
        """See `TracedFunction.is_array`."""
        return type(leaf) is np.ndarray


def _value(leaf: Tree) -> Array:
    return leaf.value if isinstance(leaf, Recorded) else leaf


def _with_arrays(args: tuple[Tree, ...], ufunc: np.ufunc | None = None) -> tuple[Tree, ...]:
    """Return operands with numbers as 0-d arrays, which NumPy would make at each call.

    Only if all others are arrays of one floating dtype, which the numbers then take, and which a
    ufunc has.
    """
    values = [_value(operand) for operand in args if type(operand) not in (float, int)]
    dtypes = {value.dtype if isinstance(value, np.ndarray) else None for value in values}
    dtype = dtypes.pop() if len(dtypes) == 1 and len(values) < len(args) else None
    if dtype is None or dtype.kind != "f" or not (ufunc is None or _has_loop(ufunc, dtype)):
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
