"""Functions of arrays, traced once and repeated without the Python code between operations.

A small operation takes less time than the code that leads to it.  The operations of a function on
arguments of certain shapes are therefore recorded once, on a tape; from then on a program, Python
code written from the tape, runs the same operations on the same operands in the same order, which
gives the same bits.  `numpy_tracing.py` and `torch_tracing.py` record the operations of a library;
in `jax_compile.py`, a compiled function is the only operation.
"""

import weakref
from collections.abc import Callable, Iterator
from hashlib import blake2b
from threading import Lock
from typing import ClassVar, Self

import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.compiling import is_builtin_call

from .tape import Constants, Function, Tree, compiled_program, leaves

_MOST_PROGRAMS = 8
"""Of a function: each is for arguments of certain shapes."""
_CONTAINERS = (dict, list, tuple)


class TracedFunction:
    """A pure function of arrays and numbers, with the same results to the last bit.

    It is traced after some calls with arguments of one kind, and the program is compared with it.
    A function that reads values, or whose results differ for the same arguments, runs as it is.

    Parameters
    ----------
    function : callable
        As for `Abilities.compile`.

    Attributes
    ----------
    specialized_on : tuple of str
        The attributes, and methods with "()", that arrays of one program have in common.
    calls_before_tracing : int
        How many calls in a row with arguments of one kind: a few, since who calls so often mostly
        calls many times more.
    programs : list of callable
        Programs so far, the last one first; they return NotImplemented for other arguments.
    failed : bool
        Whether tracing failed or the program did not work, so that none will be made.
    """

    specialized_on: ClassVar[tuple[str, ...]]
    calls_before_tracing: ClassVar[int] = 4

    def __init__(self, function: Function) -> None:
        self.function = function
        self.programs: list[Function] = []
        self.failed = False
        self._last_kinds: Tree = None
        self._count = 0
        self._lock = Lock()

    @classmethod
    def of(cls, function: Function) -> Self | None:
        """Return the traced function; None for users' code, which may have side effects."""
        return cls(function) if is_builtin_call(function) else None

    def trace(self, arguments: Tree) -> tuple[list[str], Constants]:
        """Return the function's operations as lines of Python, and their constants.

        v0, v1, … are the arrays and numbers among the arguments, in order.
        """
        raise NotImplementedError

    def is_array(self, leaf: object) -> bool:
        """Return whether it is an array of the library itself, not of a subclass."""
        raise NotImplementedError

    def to_numpy(self, array: Array) -> Array:
        """Return an array as a NumPy array."""
        raise NotImplementedError

    def __call__(self, *arguments: Tree) -> Tree:
        """Return what the function returns."""
        result = _first_result(self.programs, arguments)
        # While one thread counts and traces, the others do not wait.
        if result is NotImplemented and not self.failed and self._lock.acquire(blocking=False):
            try:
                new_programs = self._traced(arguments)
            finally:
                self._lock.release()
            result = _first_result(new_programs, arguments)
        return self.function(*arguments) if result is NotImplemented else result

    def call_if_known(self, *arguments: Tree) -> Tree:
        """Return the function's result; NotImplemented if no program is for such arguments."""
        return _first_result(self.programs, arguments)

    def _traced(self, arguments: Tree) -> list[Function]:
        """Return the program made now, in a list, if it is time for one and it works."""
        kinds = [self._kind_of(leaf) for leaf in leaves(arguments)]
        if None in kinds:
            return []
        self._count = self._count + 1 if kinds == self._last_kinds else 0
        self._last_kinds = kinds
        if self._count != self.calls_before_tracing:
            return []
        try:
            with np.errstate(all="ignore"):
                lines, constants = self.trace(arguments)
                guarding = guard(arguments, self.is_array, self.specialized_on, constants)
                program = compiled_program([*guarding, *lines], constants)
                self.failed = not self.has_same_bits(program, arguments)
        except Exception:  # whatever users' code or a library raises
            self.failed = True
        if self.failed:
            return []
        self.programs = [program, *self.programs][:_MOST_PROGRAMS]
        return [program]

    def has_same_bits(self, program: Function, arguments: Tree) -> bool:
        """Return whether a program gives all bits of the function's result."""
        expected = self._digest(self.function(*arguments))  # no two results are in memory at once
        return self._digest(program(*arguments)) == expected

    def _kind_of(self, leaf: Array) -> tuple[object, ...] | None:
        """Return the kind of an array or a number; None for anything else."""
        if self.is_array(leaf):
            return type(leaf), *_attributes(leaf, self.specialized_on)
        return (type(leaf),) if isinstance(leaf, np.generic | int | float) else None

    def _digest(self, result: Tree) -> bytes:
        """Return a hash of all bits of a result."""
        digest = blake2b()
        for leaf in leaves(result):
            digest.update(repr(self._kind_of(leaf)).encode())
            host = self.to_numpy(leaf) if self.is_array(leaf) else leaf
            digest.update(np.ascontiguousarray(host).data)
        return digest.digest()


def guard(
    arguments: Tree,
    is_array: Callable[[object], bool],
    attributes: tuple[str, ...],
    constants: Constants,
) -> Iterator[str]:
    """Yield the lines of a program that name its arguments and reject those of another kind.

    In these lines, `arguments` are those of a later call.
    """
    conditions: list[str] = []
    containers: list[str] = []
    variables: list[str] = []

    def visit(tree: Tree, path: str, is_nested: bool) -> None:
        """Add what names the items of a tree and tells trees of another kind from it."""
        if tree is None:
            conditions.append(f"{path} is not None")
        elif type(tree) in _CONTAINERS:
            name = f"t{len(containers)}"
            containers.append(f"{name} = {path}")
            kind = type(tree).__name__
            conditions.extend((f"type({name}) is not {kind}", f"len({name}) != {len(tree)}"))
            for key, item in tree.items() if type(tree) is dict else enumerate(tree):
                visit(item, f"{name}[{key!r}]", path != "arguments")
        else:
            variable = f"v{len(variables)}"
            variables.append(f"{variable} = {path}")
            names, is_nested = (attributes, is_nested) if is_array(tree) else ((), False)
            conditions.append(_differs(tree, variable, names, is_nested, constants))

    visit(arguments, "arguments", False)
    yield "try:"
    yield from (f"    {line}" for line in containers + variables)
    yield f"    if {' or '.join(conditions)}: return NotImplemented"
    yield "except (AttributeError, IndexError, KeyError, TypeError): return NotImplemented"


def _differs(
    leaf: Array, variable: str, names: tuple[str, ...], is_nested: bool, constants: Constants
) -> str:
    """Return the expression for whether a variable differs from a leaf in type or attributes."""

    def constant(value: object) -> str:
        name = f"g{len(constants)}"
        constants[name] = value
        return name

    differences = [f"type({variable}) is not {constant(type(leaf))}"]
    for name, value in zip(names, _attributes(leaf, names), strict=True):
        differences.append(f"{variable}.{name} != {constant(value)}")
    expression = " or ".join(differences)
    if not is_nested:
        return expression
    # Parameters mostly are those that were traced, which is quicker to check; a dead reference
    # gives None.
    traced = constant(weakref.ref(leaf))
    return f"({variable} is None or {traced}() is not {variable} and ({expression}))"


def _first_result(programs: list[Function], arguments: Tree) -> Tree:
    """Return the result of the first program for such arguments; NotImplemented without one."""
    for program in programs:
        try:
            result = program(*arguments)
        except Exception:  # the function raises it in its own code, with its own traceback
            return NotImplemented
        if result is not NotImplemented:
            return result
    return NotImplemented


def _attributes(array: Array, names: tuple[str, ...]) -> list[object]:
    """Return attributes of an array, and results of methods, whose names end in "()"."""
    return [
        getattr(array, name[:-2])() if name.endswith("()") else getattr(array, name)
        for name in names
    ]
