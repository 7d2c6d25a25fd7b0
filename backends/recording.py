"""A namespace whose arrays are recorded: what a function does with them becomes a tape.

Each operation runs once on the library's arrays and is written down by the function that did it,
whatever the library.  Libraries whose operations are repeated faster in another way, or may reuse
memory, override methods of `RecordingNamespace`.
"""

import operator
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FunctionType
from typing import Any, NoReturn, Self

from pluggable_mlp.arrays import Array, Namespace, library_of
from pluggable_mlp.arrays.compiling import Unsuitable
from pluggable_mlp.arrays.shortcuts import recorded_offers

from .tape import INFIX, Function, Layout, Operation, Place, Tape, Tree, leaves, map_tree

_UNARY = operator.neg, operator.pos, operator.abs, operator.invert
_OF_VALUES = (
    "array", "bool", "complex", "contains", "float", "index", "int", "iter", "len", "setitem",
)  # fmt: skip
"""Methods, by their names, whose results values decide."""
_OPEN = ("pluggable_mlp.", "array_api_compat.")
"""Where functions in Python are that consist of operations, which are recorded one by one."""
_OVERWRITING = re.compile(r".*[^_]_|__set(item)?__|__i(?!n(dex|t|vert)__|ter__)\w+__")
"""Functions of PyTorch, by their names, that overwrite their first argument."""
_VALUES_DETERMINE_SHAPES = {
    "argwhere", "bincount", "masked_select", "nonzero", "one_hot", "repeat", "repeat_interleave",
    "unique", "unique_all", "unique_consecutive", "unique_counts", "unique_inverse",
    "unique_values",
}  # fmt: skip
"""Functions, by their names, whose results have shapes that the tape does not know."""
_CONSTANT = -1


class Recorded:
    """An array, a number, a tuple or a function that an operation returned, and its place.

    Attributes
    ----------
    ns : RecordingNamespace
    value
    place : int
        The number of the place on the tape; -1 for a constant, which depends on no argument.
    """

    def __init__(self, ns: "RecordingNamespace", value: Array, place: int) -> None:
        self.ns: RecordingNamespace = ns
        self.value: Array = value
        self.place: int = place

    def __array_namespace__(self, *, api_version: str | None = None) -> Namespace:
        return self.ns

    def __getattr__(self, name: str) -> Any:
        if name[0] == "_" or name[-1] == "_":  # of one library, or it overwrites the array
            raise AttributeError(name)
        described = self.value
        if name in ("dtype", "ndim", "shape") and isinstance(described, int | float):
            described = self.ns.recorded_library.asarray(described)
        value = getattr(described, name)
        if name in ("T", "mT"):
            return self.ns.record(operator.attrgetter(name), self)
        if callable(value):
            return partial(self.ns.record, getattr(type(self.value), name), self)
        return value

    def __getitem__(self, key: Tree) -> "Recorded":
        if any(self.ns.is_boolean(leaf) for leaf in leaves(_value_of(key))):
            raise Unsuitable  # values determine the shape
        return self.ns.record(operator.getitem, self, key)

    def __call__(self, *arguments: Tree) -> Tree:
        """Call it, and record what it returns."""
        return self.ns.record(operator.call, self, *arguments)

    def __array_ufunc__(
        self, function: Function, method: str, *inputs: Tree, **settings: Tree
    ) -> Tree:
        if method != "__call__":
            raise Unsuitable
        return self.ns.record(function, *inputs, **settings)

    @classmethod
    def __torch_function__(
        cls, function: Function, types: object, args: Tree = (), kwargs: Tree = None
    ) -> Tree:
        settings = kwargs or {}
        if _OVERWRITING.fullmatch(function.__name__):
            raise Unsuitable
        ns: RecordingNamespace = _recorded_in((args, settings))[0].ns
        return ns.record(function, *args, **settings)

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise Unsuitable


def _operator(function: Any, *, is_reflected: bool = False) -> Callable[..., Recorded]:
    def apply(self: Recorded, *others: Tree) -> Recorded:
        operands = (*others, self) if is_reflected else (self, *others)
        return self.ns.record(function, *operands)

    return apply


def _in_place(function: Function) -> Callable[[Recorded, Tree], Recorded]:
    """Return an operator whose result takes the place of an array of the function's own."""

    def apply(self: Recorded, other: Tree) -> Recorded:
        tape = self.ns.tape
        if self.place != _CONSTANT and tape.owners[self.place] < tape.argument_count:
            raise Unsuitable  # it overwrites an argument
        return self.ns.record(function, self, other)

    return apply


for _name in _OF_VALUES:
    setattr(Recorded, f"__{_name}__", Recorded._refuse)
for _function in (*INFIX, *_UNARY):
    _name = _function.__name__.rstrip("_")
    setattr(Recorded, f"__{_name}__", _operator(_function))
    if _function in INFIX:
        setattr(Recorded, f"__r{_name}__", _operator(_function, is_reflected=True))
        setattr(Recorded, f"__i{_name}__", _in_place(_function))


class RecordingNamespace:
    """The functions of a library, which record what they do with recorded arrays.

    Parameters
    ----------
    library : namespace
    number : callable, optional
        (number) -> 0-d array, for arguments of functions that take arrays instead of numbers.

    Attributes
    ----------
    tape : Tape
    """

    def __init__(self, library: Namespace, number: Function | None = None) -> None:
        self.recorded_library: Namespace = library
        self.tape: Tape = Tape()
        self._number = number
        self.__name__: str = library_of(library)

    @contextmanager
    def in_use(self) -> Iterator[Self]:
        """Offer what the library's backend offers, recorded."""
        with recorded_offers(self, self.recorded_library, self.recorded):
            yield self

    def __getattr__(self, name: str) -> Any:
        member = getattr(self.recorded_library, name)
        is_function = callable(member) and not isinstance(member, type)
        if is_function:
            member = self.recorded(member)
        setattr(self, name, member)
        return member

    def recorded(self, function: Function) -> Function:
        """Return the function, recorded if an argument is."""
        return partial(self._call, function)

    def _call(self, function: Function, /, *args: Tree, **settings: Tree) -> Tree:
        if not _recorded_in((args, settings)):
            return self._constant(function(*args, **settings))
        if isinstance(function, FunctionType) and function.__module__.startswith(_OPEN):
            try:
                return function(*args, **settings)
            except Exception:  # whatever the library raises for such arguments
                pass  # one operation
        return self.record(function, *args, **settings)

    def run(self, function: Function, arguments: Tree) -> Tree:
        """Return the result of a function of this namespace, with places, and record it."""
        self.tape.argument_count = len(leaves(arguments))
        recorded = map_tree(self.placed, arguments)
        if self._number is not None:
            recorded = map_tree(partial(self._as_array, self._number), recorded)
        result = map_tree(_place_of, function(*recorded))
        if any(map(self.is_array, leaves(result))):
            raise Unsuitable  # one of the function's own, which callers would share
        return result

    def placed(self, value: Array, owner: int | None = None, layout: Layout = None) -> Recorded:
        """Return a value, recorded in a new place: see `Tape.add_place`."""
        return Recorded(self, value, self.tape.add_place(owner, layout))

    def _as_array(self, number: Function, leaf: Recorded) -> Recorded:
        return self.record(number, leaf) if isinstance(leaf.value, int | float) else leaf

    def record(self, function: Function, *args: Tree, **settings: Tree) -> Tree:
        """Call a function without side effects, and return its result, recorded."""
        if settings.get("out") is not None:
            raise Unsuitable  # it overwrites an array
        inputs = leaves((args, settings))
        operands = [each for each in _recorded_in(inputs) if each.place != _CONSTANT]
        value = function(*_value_of(args), **_value_of(settings))
        if not operands:
            return self._constant(value)
        if getattr(function, "__name__", "") in _VALUES_DETERMINE_SHAPES:
            raise Unsuitable
        is_compound = isinstance(value, tuple | list) or callable(value)
        if not (is_compound or isinstance(value, int | float) or self.is_array(value)):
            return value  # a dtype or the like
        for operand in operands:
            if value is operand.value and self.is_array(value):
                return operand
        result, tape = self.placed(value, *self._memory(value, inputs)), self.tape
        numbers = [operand.place for operand in operands]
        if is_compound:  # it may read them later
            for number in numbers:
                tape.layouts[tape.owners[number]] = None
        places, named = map_tree(_place_of, (args, settings))
        tape.operations.append(Operation(function, places, named, result.place, numbers))
        if isinstance(value, tuple | list):
            return tuple(self.record(operator.getitem, result, at) for at in range(len(value)))
        return result

    def _constant(self, value: Tree) -> Tree:
        if isinstance(value, tuple | list):
            return tuple(map(self._constant, value))
        return Recorded(self, value, _CONSTANT) if self.is_array(value) else value

    def is_array(self, value: Any) -> bool:
        """Return whether it is an array, not a dtype."""
        return hasattr(value, "dtype") and hasattr(value, "shape")

    def is_boolean(self, value: Any) -> bool:
        """Return whether it is an array of booleans."""
        return self.is_array(value) and value.dtype == self.recorded_library.bool

    def _memory(self, value: Array, inputs: list[Tree]) -> tuple[int | None, Layout]:
        """Return the owner of a result's memory, if not its own, and its layout: see `Tape`."""
        if not self.is_array(value):
            return None, None
        values = _value_of(inputs)
        for leaf, known in zip(inputs, values, strict=True):
            if self.is_array(known) and self.share_memory(value, known):
                is_variable = isinstance(leaf, Recorded) and leaf.place != _CONSTANT
                return self.tape.owners[leaf.place] if is_variable else None, None
        if any(isinstance(known, tuple | list) or callable(known) for known in values):
            return None, None  # it may hold the result
        return None, self.layout(value)

    def share_memory(self, x: Array, y: Array) -> bool:
        """Return whether two arrays may share memory; unknown if no layout is reused."""
        return False

    def layout(self, array: Array) -> Layout:
        """Return the properties of results that may overwrite each other; None if none may."""
        return None


def _recorded_in(tree: Tree) -> list[Recorded]:
    return [leaf for leaf in leaves(tree) if isinstance(leaf, Recorded)]


def _value_of(tree: Tree) -> Tree:
    return map_tree(lambda leaf: leaf.value if isinstance(leaf, Recorded) else leaf, tree)


def _place_of(leaf: Tree) -> Tree:
    if not isinstance(leaf, Recorded):
        return leaf
    return leaf.value if leaf.place == _CONSTANT else Place(leaf.place)


def over(xp: Namespace, ns: RecordingNamespace) -> Namespace:
    """Return a namespace over a library as the same over its recording one."""
    return ns if ns.recorded_library is xp else type(xp)(ns, xp.run_all)
