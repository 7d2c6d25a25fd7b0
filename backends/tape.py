"""A tape of operations, and the program that is written from it.

A program is Python code that runs the operations of a tape again, and nothing else.
"""

import linecache
import operator
import weakref
from collections.abc import Callable, Hashable, Iterator
from types import EllipsisType
from typing import Any, NamedTuple, TypeAlias

import numpy as np

Function: TypeAlias = Callable[..., Any]
Tree: TypeAlias = Any
"""Nested dicts, lists and tuples of arrays, numbers and None."""
INFIX: dict[Function, str] = {
    operator.add: "+", operator.sub: "-", operator.mul: "*", operator.truediv: "/",
    operator.floordiv: "//", operator.mod: "%", operator.pow: "**", operator.matmul: "@",
    operator.and_: "&", operator.or_: "|", operator.xor: "^",
    operator.lshift: "<<", operator.rshift: ">>",
    operator.lt: "<", operator.le: "<=", operator.gt: ">", operator.ge: ">=",
    operator.eq: "==", operator.ne: "!=",
}  # fmt: skip
"""The operators of two operands, as Python writes them."""
_IN_PLACE: dict[Function, Function] = {
    operator.add: operator.iadd, operator.sub: operator.isub, operator.mul: operator.imul,
    operator.truediv: operator.itruediv,
}  # fmt: skip
Constants: TypeAlias = dict[str, Any]
"""The constants of a program, by their names in its code."""


Layout: TypeAlias = Hashable
"""The properties that an array must share to reuse memory; None if none may."""


class Place(NamedTuple):
    """An argument or a result on a tape: the variable v0, v1, … of the program."""

    number: int


class Operation(NamedTuple):
    """A recorded call: function(*args, **settings), with places for arrays and numbers.

    Attributes
    ----------
    function : callable
    args, settings : tree
    result : int
        The number of the place of what it returns.
    operands : list of int
        The numbers of the places that it reads.
    """

    function: Function
    args: Tree
    settings: dict[str, Tree]
    result: int
    operands: list[int]


class Tape:
    """The operations of one run of a function, in order.

    Attributes
    ----------
    operations : list of Operation
    owners : list of int
        For each place, the number of the place that owns its memory, which differs for a view.
    layouts : list
        For each place, the properties that an array must share to reuse its memory; None if none
        may.
    argument_count : int
        The first places are those of the arguments.
    """

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.owners: list[int] = []
        self.layouts: list[Hashable] = []
        self.argument_count = 0

    def add_place(self, owner: int | None = None, layout: Hashable = None) -> int:
        """Add a place and return its number; without an owner it has memory of its own."""
        number = len(self.owners)
        self.owners.append(number if owner is None else owner)
        self.layouts.append(layout)
        return number

    def owners_of(self, tree: Tree) -> set[int]:
        """Return the owners of the memory of all places in a tree."""
        return {self.owners[place.number] for place in _places(tree)}

    def needed(self, result: Tree) -> list[Operation]:
        """Return the operations on which a result depends."""
        read = {place.number for place in _places(result)}
        needed = []
        for operation in reversed(self.operations):
            if operation.result in read:
                read.update(operation.operands)
                needed.append(operation)
        return needed[::-1]


class Writer:
    """Writes the operations that a result needs as Python code.

    NumPy's elementwise operations overwrite an array that is no longer needed if it has their
    layout.

    Parameters
    ----------
    tape : Tape
    result : tree
        What the function returned, with places for arrays and numbers.

    Attributes
    ----------
    constants : dict
        The constants of the code, by their names in it.
    """

    def __init__(self, tape: Tape, result: Tree) -> None:
        self._tape, self._result, self._operations = tape, result, tape.needed(result)
        self._names: dict[int, str] = {}  # of constants, by their ids
        self._variables: dict[int, str] = {}  # of results, by the numbers of their places
        self.constants: Constants = {}

    def lines(self) -> Iterator[str]:
        """Yield a line for each operation, deletions of what is no longer needed, and the return.

        Nothing keeps an array alive that no later operation reads: its variable is deleted or
        takes the next result.
        """
        owners, operations = self._tape.owners, self._operations
        returned = self._tape.owners_of(self._result)
        last_use = {
            owners[number]: position
            for position, operation in enumerate(operations)
            for number in operation.operands
        }
        variables: dict[int, list[str]] = {}  # of each owner's memory
        for position, operation in enumerate(operations):
            read = dict.fromkeys(owners[number] for number in operation.operands)
            finished = [
                owner for owner in read if last_use[owner] == position and owner not in returned
            ]
            line = self._call(operation, finished)
            unused = [name for owner in finished for name in variables.pop(owner, ())]
            name = unused.pop() if unused else f"v{operation.result}"
            self._variables[operation.result] = name
            variables.setdefault(owners[operation.result], []).append(name)
            yield f"{name} = {line}"
            if unused:
                yield "del " + ", ".join(unused)
        yield f"return {self.text(self._result)}"

    def _call(self, operation: Operation, finished: list[int]) -> str:
        """Return the expression for an operation, given the owners that later ones do not need."""
        function, args, settings, result, _ = operation
        if isinstance(function, operator.attrgetter):
            return f"{self.text(args[0])}.{function.__reduce__()[1][0]}"
        if function is operator.getitem:
            return f"{self.text(args[0])}[{self._key(args[1])}]"
        if function is operator.call:
            return f"{self.text(args[0])}({', '.join(map(self.text, args[1:]))})"
        if function in INFIX:
            if function in _IN_PLACE and self._is_overwritten(operation, finished):
                return f"{self.text(_IN_PLACE[function])}({', '.join(map(self.text, args))})"
            return f"{self.text(args[0])} {INFIX[function]} {self.text(args[1])}"
        is_elementwise = function is np.ndarray.clip or (
            isinstance(function, np.ufunc) and function.signature is None
        )
        layouts = self._tape.layouts
        if is_elementwise and not settings and layouts[result] is not None:
            # Other operands may be views of it: NumPy copies those before it writes.
            alike = [owner for owner in finished if layouts[owner] == layouts[result]]
            settings = {"out": Place(alike[0])} if alike else {}
        parts = [*map(self.text, args)]
        parts += [f"{name}={self.text(value)}" for name, value in settings.items()]
        return f"{self.text(function)}({', '.join(parts)})"

    def _is_overwritten(self, operation: Operation, finished: list[int]) -> bool:
        """Return whether an operator may write its result over its first operand."""
        owners, layouts = self._tape.owners, self._tape.layouts
        layout, (first, *_) = layouts[operation.result], operation.args
        if layout is None or type(first) is not Place or first.number not in finished:
            return False
        of_memory = {number for number in operation.operands if owners[number] == first.number}
        return layouts[first.number] == layout and of_memory == {first.number}

    def _key(self, key: Tree) -> str:
        """Return the expression of an index."""
        if type(key) is tuple and len(key) > 1:
            return ", ".join(map(self._key, key))
        if isinstance(key, slice):
            ends = key.start, key.stop, key.step
            return ":".join("" if end is None else self.text(end) for end in ends)
        return self.text(key)

    def text(self, value: Tree) -> str:
        """Return the expression for a tree of places and constants."""
        if type(value) is Place:
            return self._variables.get(value.number) or f"v{value.number}"
        if isinstance(value, dict):
            items = (f"{name!r}: {self.text(item)}" for name, item in value.items())
            return "{" + ", ".join(items) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(map(self.text, value)) + "]"
        if type(value) is tuple:
            return "(" + "".join(f"{self.text(item)}, " for item in value) + ")"
        if type(value) in (int, bool, type(None), EllipsisType):
            return repr(value)
        name = self._names.setdefault(id(value), f"c{len(self._names)}")
        self.constants[name] = value  # kept alive, its id stays its own
        return name


def compiled_program(lines: list[str], constants: Constants) -> Function:
    """Return the function of *arguments that these lines define.

    A loop over the operations would take as long as the Python code that tracing saves.
    """
    source = ["def program(*arguments):\n", *(f"    {line}\n" for line in lines)]
    text, name = "".join(source), f"<traced {id(constants)}>"  # which live as long
    constants["__name__"] = __name__
    exec(compile(text, name, "exec"), constants)
    program: Function = constants["program"]
    linecache.cache[name] = len(text), None, source, name  # the lines that warnings show
    weakref.finalize(program, linecache.cache.pop, name, None)
    return program


def _places(tree: Tree) -> Iterator[Place]:
    return (leaf for leaf in leaves(tree) if isinstance(leaf, Place))


def map_tree(function: Function, tree: Tree) -> Tree:
    """Return nested dicts, lists, tuples and slices with function(leaf) for leaves except None."""
    container = type(tree)
    if container is dict:
        return {name: map_tree(function, item) for name, item in tree.items()}
    if container is list:
        return [map_tree(function, item) for item in tree]
    if container is tuple:
        return tuple([map_tree(function, item) for item in tree])
    if container is slice:
        return slice(*[map_tree(function, end) for end in (tree.start, tree.stop, tree.step)])
    return None if tree is None else function(tree)


def leaves(tree: Tree) -> list[Tree]:
    """Return the leaves of a tree except None, in order."""
    flat: list[Tree] = []
    map_tree(flat.append, tree)
    return flat
