"""What a function of NumPy arrays does, noted while it runs on stand-ins for its arguments.

How the notes are repeated is in `numpy_replay.py`.
"""

import operator
from typing import Any, NamedTuple

import array_api_compat.numpy
import numpy as np

from .recorded import NotRecordedError, leaves, map_tree

__all__ = [
    "Operation",
    "Place",
    "StandIn",
    "Tape",
    "like",
    "noted_errors",
]

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
_METHODS = {np.take: np.ndarray.take}


class Place(NamedTuple):
    """Where an operation finds an operand."""

    number: int


class StandIn:
    """An array or a number, with its value at this time: every operation on it is noted."""

    __hash__ = object.__hash__
    device = "cpu"

    def __init__(self, tape: "Tape", value: Any, index: int) -> None:
        self.tape, self.value, self.index = tape, value, index

    def __getattr__(self, name: str) -> Any:
        if name in ("shape", "dtype", "ndim", "size", "nbytes", "itemsize"):
            return getattr(np.asarray(self.value), name)  # numbers have them, too
        if name in ("T", "mT"):
            return self.tape.note(operator.attrgetter(name), self)
        raise AttributeError(name)

    def __getitem__(self, key: Any) -> Any:
        if any(np.asarray(of.value).dtype == bool for of in _stand_ins(key)):
            raise NotRecordedError  # values determine the shape
        return self.tape.note(operator.getitem, self, key)

    def astype(self, dtype: Any, copy: bool = True) -> Any:
        """Return the array in a dtype."""
        if not copy and self.value.dtype == dtype:
            return self
        return self.tape.note(operator.methodcaller("astype", dtype), self)

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        return array_api_compat.numpy

    def __array_ufunc__(
        self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **settings: Any
    ) -> Any:
        if method not in ("__call__", "reduce") or (out and (settings or len(out) > 1)):
            raise NotRecordedError
        function = ufunc if method == "__call__" else getattr(ufunc, method)
        if out:
            return self.tape.note_in_place(function, out[0], *inputs)
        return self.tape.note(function, *inputs, **settings)

    def __array_function__(self, function: Any, types: Any, args: Any, settings: Any) -> Any:
        del types
        settings = {name: of for name, of in settings.items() if name != "out" or of is not None}
        if function not in _FUNCTIONS or "out" in settings:
            raise NotRecordedError
        if function in _REDUCTIONS and len(args) == 1 and settings.keys() <= {"axis", "keepdims"}:
            function, settings = _REDUCTIONS[function], {"axis": None, **settings}
        return self.tape.note(_METHODS.get(function, function), *args, **settings)

    def _refuse(self, *_: Any) -> Any:
        raise NotRecordedError

    __bool__ = __float__ = __int__ = __index__ = __complex__ = _refuse
    __iter__ = __len__ = __array__ = __setitem__ = __contains__ = __ipow__ = _refuse


def _noting(function: Any, ufunc: Any, swapped: bool = False, in_place: bool = False) -> Any:
    """Return a method that notes an operator; on arrays, it is called as the ufunc."""

    def method(self: StandIn, *others: Any) -> Any:
        operands = (*others, self) if swapped else (self, *others)
        arrays = [isinstance(_value(operand), np.ndarray) for operand in operands]
        if in_place and arrays[0]:
            return self.tape.note_in_place(ufunc, self, *operands)
        return self.tape.note(ufunc if ufunc and any(arrays) else function, *operands)

    return method


for _name, _ufunc in (_BINARY | _POWER | _COMPARISONS | _UNARY).items():
    _function = getattr(operator, f"__{_name}__")
    setattr(StandIn, f"__{_name}__", _noting(_function, _ufunc))
    if _name in _BINARY | _POWER:
        setattr(StandIn, f"__r{_name}__", _noting(_function, _ufunc, swapped=True))
    if _name in _BINARY:
        setattr(StandIn, f"__i{_name}__", _noting(_function, _ufunc, in_place=True))


class Operation(NamedTuple):
    """A noted call: function(*args, **settings), with places for stand-ins.

    Attributes
    ----------
    function : callable
    args, settings
        Nested lists and tuples, and a dict.
    result : int
        The place of what it returns.
    new : bool
        Whether that is new; else, an array that was there before is written over.
    operands : list of int
        The places that it reads, that of an array that it writes over among them.
    """

    function: Any
    args: Any
    settings: Any
    result: int
    new: bool
    operands: list[int]


class Tape:
    """The operations of one run, in their order.

    Attributes
    ----------
    owners : list of int
        For each place, the place that owns the memory: another one for a view.
    likes : list
        For each place, what a new array there is like; None for all else.
    given : int
        How many places the arguments have, the first ones.
    """

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.owners: list[int] = []
        self.likes: list[Any] = []
        self.given = 0
        self._copies: dict[int, tuple[Any, Any]] = {}

    def argument(self, value: Any) -> StandIn:
        """Return a stand-in for an argument."""
        if isinstance(value, np.ndarray) and type(value) is not np.ndarray:
            raise NotRecordedError  # its operators may be others
        self.given += 1
        return self._stand_in(value, len(self.owners), None)

    def _stand_in(self, value: Any, owner: int, new_like: Any) -> StandIn:
        index = len(self.owners)
        self.owners.append(owner)
        self.likes.append(new_like)
        return StandIn(self, value, index)

    def note(self, function: Any, *args: Any, **settings: Any) -> StandIn:
        """Call a function that changes nothing, and return a stand-in for its result."""
        _check_errors()
        value = function(*map_tree(_value, args), **map_tree(_value, settings))
        if not isinstance(value, np.ndarray | np.generic | int | float):
            raise NotRecordedError
        owner, is_array = len(self.owners), isinstance(value, np.ndarray)
        new_like = None
        if isinstance(value, np.ndarray) and value.base is None:
            new_like = like(value)
        operands = _stand_ins((args, settings))
        for operand in operands:
            # Numbers may be identical by chance, as small integers are.
            if is_array and value is operand.value:
                return operand
            if is_array and _share(value, operand.value):
                owner, new_like = self.owners[operand.index], None
        result = self._stand_in(value, owner, new_like)
        self._add(function, args, settings, result, operands, new=True)
        return result

    def note_in_place(self, ufunc: Any, target: Any, *inputs: Any) -> StandIn:
        """Call a ufunc that writes over an array, and return the array's stand-in."""
        if not isinstance(target, StandIn) or self.owners[target.index] < self.given:
            raise NotRecordedError  # an argument, or an array that may be noted as it was
        _check_errors()
        ufunc(*map_tree(_value, inputs), out=target.value)
        operands = [*_stand_ins(inputs), target]
        self._add(ufunc, inputs, {"out": target}, target, operands, new=False)
        return target

    def _add(
        self,
        function: Any,
        args: Any,
        settings: Any,
        result: StandIn,
        operands: list[StandIn],
        new: bool,
    ) -> None:
        if isinstance(function, np.ufunc) and settings.keys() <= {"out"}:
            args = _with_arrays(function, args)
        places = map_tree(self.place, args), map_tree(self.place, settings)
        indices = [operand.index for operand in operands]
        self.operations.append(Operation(function, *places, result.index, new, indices))

    def place(self, leaf: Any) -> Any:
        """Return the place of a stand-in; of an array a copy: the function may change its own."""
        if isinstance(leaf, StandIn):
            return Place(leaf.index)
        if not isinstance(leaf, np.ndarray):
            return leaf
        _, copy = self._copies.get(id(leaf), (None, None))
        if copy is None or copy.tobytes() != leaf.tobytes():  # the first, or it was changed since
            copy = leaf.copy(order="K")
            self._copies[id(leaf)] = leaf, copy  # while it lives, its id is its own
        return copy

    def owners_of(self, tree: Any) -> set[int]:
        """Return the owners of the stand-ins' memory."""
        return {self.owners[of.index] for of in _stand_ins(tree)}


def like(array: Any) -> Any:
    """Return what an array must have in common with one that takes its place."""
    return array.shape, array.strides, array.dtype


def noted_errors() -> np.errstate:
    """Return a context that ignores errors of floating point, as no function's own context does."""
    return np.errstate(all="call", call=_ignore)


def _ignore(*_: Any) -> None:
    pass


def _check_errors() -> None:
    """Refuse an operation within `np.errstate`, which would not be noted with it."""
    if set(np.geterr().values()) != {"call"}:
        raise NotRecordedError


def _value(leaf: Any) -> Any:
    return leaf.value if isinstance(leaf, StandIn) else leaf


def _stand_ins(tree: Any) -> list[StandIn]:
    return [leaf for leaf in leaves(tree) if isinstance(leaf, StandIn)]


def _with_arrays(ufunc: np.ufunc, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return operands with 0-d arrays for numbers, which NumPy makes of them at each call.

    Where all others are arrays of one floating dtype, of which numbers take the dtype.
    """
    others = [_value(of) for of in args if type(of) not in (float, int)]
    dtypes = {of.dtype if isinstance(of, np.ndarray) else None for of in others}
    dtype = dtypes.pop() if len(dtypes) == 1 else None
    if dtype is None or dtype.kind != "f" or not _has_loop(ufunc, dtype):
        return args
    return tuple(np.asarray(of, dtype) if type(of) in (float, int) else of for of in args)


def _has_loop(ufunc: np.ufunc, dtype: Any) -> bool:
    """Return whether a ufunc computes with operands that are all of this dtype."""
    return any(types.startswith(f"{dtype.char * ufunc.nin}->") for types in ufunc.types)


def _share(one: Any, other: Any) -> bool:
    return isinstance(other, np.ndarray) and np.may_share_memory(one, other)
