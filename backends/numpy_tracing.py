"""How a function of NumPy arrays is traced: it runs once on tracers in place of its arguments.

A program overwrites an array that nothing needs any more with a result of its shape, dtype and
strides.  Every array belongs to one call: threads share none, and what a call has returned stays as
it is.
"""

import operator
from typing import Any, ClassVar, NoReturn

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.compiling import Unsuitable

from .tape import Function, Operation, Place, Tape, Tree, Writer, leaves, map_tree
from .tracing import TracedFunction

_BINARY = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.divide,
    "floordiv": np.floor_divide, "mod": np.remainder, "matmul": np.matmul,
    "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor,
    "lshift": np.left_shift, "rshift": np.right_shift,
}  # fmt: skip
# Of squares and roots, the operator makes another ufunc.
_POWER = {"pow": None}
_COMPARISONS = {
    "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
    "eq": np.equal, "ne": np.not_equal,
}  # fmt: skip
_UNARY = {"neg": np.negative, "pos": np.positive, "abs": np.absolute, "invert": np.invert}
UFUNCS = {
    getattr(operator, f"__{name}__"): ufunc
    for name, ufunc in (_BINARY | _COMPARISONS | _UNARY).items()
}
"""Of the operators: those are on a tape where operands are numbers or have no axes."""

# Functions whose results have shapes that the shapes of their arguments determine.
_FUNCTIONS = {
    np.all, np.any, np.argmax, np.argmin, np.broadcast_to, np.clip, np.concatenate, np.expand_dims,
    np.full_like, np.matrix_transpose, np.max, np.mean, np.min, np.moveaxis, np.ones_like, np.prod,
    np.reshape, np.round, np.squeeze, np.stack, np.std, np.sum, np.swapaxes, np.take,
    np.take_along_axis, np.transpose,
    np.var, np.where, np.zeros_like,
}  # fmt: skip
# What some come to after checks in Python.
_REDUCTIONS = {np.max: np.maximum.reduce, np.min: np.minimum.reduce, np.sum: np.add.reduce}
_METHODS: dict[Function, Function] = {np.reshape: np.ndarray.reshape, np.take: np.ndarray.take}


class TracedNumpyFunction(TracedFunction):
    """See `TracedFunction`."""

    specialized_on = ("shape", "strides", "dtype")
    calls_before_tracing = 32

    def trace(self, arguments: Tree) -> tuple[list[str], dict[str, Any]]:
        """See `TracedFunction.trace`."""
        tape = NumpyTape()
        writer = _NumpyWriter(tape, tape.run(self.function, arguments))
        return [*writer.lines()], writer.constants

    def is_array(self, leaf: object) -> bool:
        """See `TracedFunction.is_array`."""
        return type(leaf) is np.ndarray

    def to_numpy(self, array: Array) -> Array:
        """See `TracedFunction.to_numpy`."""
        return array


class Tracer:
    """Stands for an array or a number, whose value it has: every operation on it is recorded."""

    __hash__ = object.__hash__
    device = "cpu"

    def __init__(self, tape: "NumpyTape", value: Any, place: int) -> None:
        self.tape, self.value, self.place = tape, value, place

    def __getattr__(self, name: str) -> Any:
        if name in ("shape", "dtype", "ndim", "size", "nbytes", "itemsize"):
            return getattr(np.asarray(self.value), name)  # numbers have them, too
        if name in ("T", "mT"):
            return self.tape.record(operator.attrgetter(name), self)
        raise AttributeError(name)

    def __getitem__(self, key: Any) -> "Tracer":
        if any(np.asarray(tracer.value).dtype == bool for tracer in _tracers(key)):
            raise Unsuitable  # values determine the shape
        return self.tape.record(operator.getitem, self, key)

    def astype(self, dtype: Any, copy: bool = True, device: str | None = None) -> "Tracer":
        """Return the array in a dtype."""
        if not copy and self.value.dtype == dtype:
            return self
        return self.tape.record(operator.methodcaller("astype", dtype), self)

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        return np

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **settings: Any
    ) -> "Tracer":
        if method not in ("__call__", "reduce") or (out and (settings or len(out) > 1)):
            raise Unsuitable
        function = ufunc if method == "__call__" else getattr(ufunc, method)
        if out:
            return self.tape.record_in_place(function, out[0], *inputs)
        return self.tape.record(function, *inputs, **settings)

    def __array_function__(
        self, function: Function, types: Any, args: Any, settings: dict[str, Any]
    ) -> "Tracer":
        if function is np.astype:
            traced: Tracer = args[0]
            return traced.astype(*args[1:], **settings)
        settings = {name: x for name, x in settings.items() if name != "out" or x is not None}
        if function not in _FUNCTIONS or "out" in settings:
            raise Unsuitable
        if function in _REDUCTIONS and len(args) == 1 and settings.keys() <= {"axis", "keepdims"}:
            function, settings = _REDUCTIONS[function], {"axis": None, **settings}
        return self.tape.record(_METHODS.get(function, function), *args, **settings)

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise Unsuitable

    __bool__ = __float__ = __int__ = __index__ = __complex__ = _refuse
    __iter__ = __len__ = __array__ = __setitem__ = __contains__ = __ipow__ = _refuse


def _operator(
    function: Function, ufunc: np.ufunc | None, swapped: bool = False, in_place: bool = False
) -> Function:
    """Return a method that records an operator; on arrays, it is called as the ufunc."""

    def method(self: Tracer, *operands: Any) -> Tracer:
        operands = (*operands, self) if swapped else (self, *operands)
        are_arrays = [isinstance(_value(operand), np.ndarray) for operand in operands]
        if ufunc is None or not any(are_arrays):
            return self.tape.record(function, *operands)
        if in_place and are_arrays[0]:
            return self.tape.record_in_place(ufunc, self, *operands)
        return self.tape.record(ufunc, *operands)

    return method


for _name, _ufunc in (_BINARY | _POWER | _COMPARISONS | _UNARY).items():
    _function = getattr(operator, f"__{_name}__")
    setattr(Tracer, f"__{_name}__", _operator(_function, _ufunc))
    if _name in _BINARY | _POWER:
        setattr(Tracer, f"__r{_name}__", _operator(_function, _ufunc, swapped=True))
    if _name in _BINARY:
        setattr(Tracer, f"__i{_name}__", _operator(_function, _ufunc, in_place=True))


class NumpyTape(Tape):
    """A tape whose operations run while they are recorded.

    Attributes
    ----------
    layouts : list
        For each place, shape, strides and dtype of an array with memory of its own; None for views,
        arguments and numbers.
    recordable : tuple of type
        What operations on it may return.
    """

    recordable: ClassVar[tuple[type, ...]] = (np.ndarray, np.generic, int, float)

    def __init__(self) -> None:
        super().__init__()
        self.layouts: list[tuple[Any, ...] | None] = []
        self._copies: dict[int, tuple[Array, Array]] = {}  # of constants, by their ids

    def run(self, function: Function, arguments: Tree) -> Tree:
        """Record what a function does; return its result, with places for arrays and numbers."""
        tracers = map_tree(self.argument, arguments)
        with np.errstate(all="call", call=_ignore):  # as no function's own context
            result = function(*tracers)
        if any(isinstance(leaf, np.ndarray) for leaf in leaves(result)):
            raise Unsuitable  # an array of the function's own, which callers would share
        return map_tree(self.operand, result)

    def argument(self, value: Any) -> Tracer:
        """Return a tracer for an argument."""
        self.layouts.append(None)
        return Tracer(self, value, self.add_argument())

    def evaluate(self, function: Function, args: Any, settings: dict[str, Any]) -> Any:
        """Return what a function returns for values."""
        return function(*args, **settings)

    def overwrite(self, ufunc: Function, inputs: Any, target: Array) -> None:
        """Let a ufunc overwrite an array."""
        ufunc(*inputs, out=target)

    def record(self, function: Function, *args: Any, **settings: Any) -> Tracer:
        """Call a function that changes nothing, and return a tracer for its result."""
        _check_errors()
        value = self.evaluate(function, map_tree(_value, args), map_tree(_value, settings))
        if not isinstance(value, self.recordable):
            raise Unsuitable
        owner, layout = None, None
        if isinstance(value, np.ndarray):
            layout = layout_of(value) if value.base is None else None
            for operand in _tracers((args, settings)):
                if value is operand.value:
                    return operand
                if isinstance(operand.value, np.ndarray) and np.may_share_memory(
                    value, operand.value
                ):
                    owner, layout = self.owners[operand.place], None
        self.layouts.append(layout)
        result = Tracer(self, value, self.add_place(owner))
        self._add_call(function, args, settings, result, is_new=True)
        return result

    def record_in_place(self, ufunc: Function, target: Any, *inputs: Any) -> Tracer:
        """Call a ufunc that overwrites an array, and return the array's tracer."""
        if not isinstance(target, Tracer) or self.is_argument(self.owners[target.place]):
            raise Unsuitable  # an argument, or an array that may be on the tape as it was
        _check_errors()
        self.overwrite(ufunc, map_tree(_value, inputs), target.value)
        self._add_call(ufunc, inputs, {"out": target}, target, is_new=False)
        return target

    def _add_call(
        self, function: Function, args: Any, settings: dict[str, Any], result: Tracer, is_new: bool
    ) -> None:
        if isinstance(function, np.ufunc) and settings.keys() <= {"out"}:
            args = _with_arrays(function, args)
        operands = map_tree(self.operand, args), map_tree(self.operand, settings)
        self.add(function, *operands, result.place, is_new)

    def operand(self, leaf: Any) -> Any:
        """Return the place of a tracer; of an array a copy: the function may change its own."""
        if isinstance(leaf, Tracer):
            return Place(leaf.place)
        if not isinstance(leaf, np.ndarray):
            return leaf
        _, copy = self._copies.get(id(leaf), (None, None))
        if copy is None or copy.tobytes() != leaf.tobytes():  # the first, or it was changed since
            copy = leaf.copy(order="K")
            self._copies[id(leaf)] = leaf, copy  # while it lives, its id is its own
        return copy


class ArrayWriter(Writer):
    """Writes indexing as such."""

    def call(self, operation: Operation, reusable: list[int]) -> str:
        """See `Writer.call`."""
        function, args = operation.function, operation.args
        if isinstance(function, operator.attrgetter):
            return f"{self.text(args[0])}.{function.__reduce__()[1][0]}"
        if function is operator.getitem:
            return f"{self.text(args[0])}[{self._key(args[1])}]"
        return super().call(operation, reusable)

    def _key(self, key: Any) -> str:
        """Return the expression of an index."""
        if type(key) is tuple and len(key) > 1:
            return ", ".join(map(self._key, key))
        if isinstance(key, slice):
            ends = key.start, key.stop, key.step
            return ":".join("" if end is None else self.text(end) for end in ends)
        return self.text(key)


class _NumpyWriter(ArrayWriter):
    """Writes results over arrays that are no longer needed."""

    _tape: NumpyTape

    def call(self, operation: Operation, reusable: list[int]) -> str:
        """See `Writer.call`."""
        function = operation.function
        is_elementwise = isinstance(function, np.ufunc) and function.signature is None
        if is_elementwise and operation.is_new and not operation.settings:
            overwritten = self._overwritten(operation, reusable)
            settings = {"out": Place(overwritten[0])} if overwritten else {}
            return self.call_text(function, operation.args, settings)
        return super().call(operation, reusable)

    def _overwritten(self, operation: Operation, reusable: list[int]) -> list[int]:
        """Return the operands whose memory an elementwise result can take.

        Other operands may be views of it: NumPy copies those before it writes.
        """
        layouts = self._tape.layouts
        return [
            place
            for place in reusable
            if layouts[place] is not None and layouts[place] == layouts[operation.result]
        ]


def layout_of(array: Array) -> tuple[Any, ...]:
    """Return what an array must have in common with one that takes its place."""
    return array.shape, array.strides, array.dtype


def _ignore(*_: Any) -> None:
    pass


def _check_errors() -> None:
    """Refuse an operation within `np.errstate`, which would not be recorded with it."""
    if set(np.geterr().values()) != {"call"}:
        raise Unsuitable


def _value(leaf: Any) -> Any:
    return leaf.value if isinstance(leaf, Tracer) else leaf


def _tracers(tree: Tree) -> list[Tracer]:
    return [leaf for leaf in leaves(tree) if isinstance(leaf, Tracer)]


def _with_arrays(ufunc: np.ufunc, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return operands with 0-d arrays for numbers, which NumPy makes of them at each call.

    Where all others are arrays of one floating dtype, of which numbers take the dtype.
    """
    values = [_value(operand) for operand in args if type(operand) not in (float, int)]
    dtypes = {value.dtype if isinstance(value, np.ndarray) else None for value in values}
    dtype = dtypes.pop() if len(dtypes) == 1 else None
    if dtype is None or dtype.kind != "f" or not _has_loop(ufunc, dtype):
        return args
    return tuple(
        np.asarray(operand, dtype) if type(operand) in (float, int) else operand for operand in args
    )


def _has_loop(ufunc: np.ufunc, dtype: Any) -> bool:
    """Return whether a ufunc computes with operands that are all of this dtype."""
    return any(types.startswith(f"{dtype.char * ufunc.nin}->") for types in ufunc.types)
