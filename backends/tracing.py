"""Functions of arrays, traced once and repeated without the Python code between operations.

A small operation takes less time than the code that leads to it.  The operations of a function on
arguments of certain shapes are therefore recorded once, on a tape; from then on a program, Python
code written from the tape, runs the same operations on the same operands in the same order, which
gives the same bits.  `recording.py` records the operations of any library; in `jax_compile.py`, a
compiled function is the only operation.
"""

import weakref
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from functools import partial
from hashlib import blake2b
from threading import Lock
from types import FunctionType, ModuleType
from typing import Any, ClassVar

import numpy as np
from array_api_compat import is_array_api_obj

from pluggable_mlp.arrays import Array, device_of
from pluggable_mlp.arrays.compiling import Unsuitable, is_builtin_call

from .recording import RecordingNamespace, over
from .tape import Constants, Function, Tree, Writer, compiled_program, leaves

_MOST_PROGRAMS = 8
"""Programs of one function, each for arguments of certain shapes."""
_CONTAINERS = (dict, list, tuple)
_FORMULAS = ("__call__", "forward", "rule")
"""Methods of activations and losses, layers, and optimizers; tests and users may patch them."""


class TracedFunction:
    """A pure function of arrays and numbers, with the same results to the last bit.

    It is traced at the second call in a row with arguments of one kind, since callers that make two
    usually make many more.  The program must give the function's bits.  A function that reads
    values, or whose results differ for the same arguments, runs as it is.

    Parameters
    ----------
    function : callable
        As for `Abilities.compile`.

    Attributes
    ----------
    programs : list of callable
        Programs so far, the last one first; they return NotImplemented for other arguments.
    failed : bool
        Whether tracing failed or the program did not work, so that none will be made.
    """

    recording: ClassVar[type[RecordingNamespace]] = RecordingNamespace
    number: ClassVar[Function | None] = None
    """(number) -> 0-d array, if a library has a quicker way than its backend's `asarray`."""

    def __init__(
        self,
        function: Function,
        number: Function | None = None,
        to_numpy: Callable[[Array], Array] = np.asarray,
    ) -> None:
        self.function: Function = function
        self._number, self._to_numpy = number, to_numpy
        self.programs: list[Function] = []
        self.failed: bool = False
        self._last_kinds: Tree = None
        self._repetitions = 0
        self._lock = Lock()

    def trace(self, arguments: Tree) -> tuple[list[str], Constants]:
        """Return the function's operations as lines of Python, and their constants.

        v0, v1, … are the arrays and numbers among the arguments, in order.
        """
        function = self.function
        assert isinstance(function, partial)
        xp, *components = function.args
        is_library = isinstance(xp, ModuleType) or not hasattr(xp, "library")
        ns = self.recording(xp if is_library else xp.library, self._number)
        with ns.in_use():
            call = partial(function.func, over(xp, ns), *components)
            writer = Writer(ns.tape, ns.run(call, arguments))
        return [*writer.lines()], writer.constants

    def is_array(self, leaf: object) -> bool:
        """Return whether it is an array of the library itself, not of a subclass."""
        return is_array_api_obj(leaf) and not isinstance(leaf, np.generic)

    @staticmethod
    def layout(array: Array, /) -> object:
        """Return the properties that arrays of one program have in common."""
        return array.shape, array.dtype, device_of(array)

    def to_numpy(self, array: Array) -> Array:
        """Return an array or a number as a NumPy array."""
        return self._to_numpy(array) if self.is_array(array) else np.asarray(array)

    def __call__(self, *arguments: Tree) -> Tree:
        """Return what the function returns."""
        result = self.call_if_known(*arguments)
        # While one thread counts and traces, the others do not wait.
        if result is NotImplemented and not self.failed and self._lock.acquire(blocking=False):
            try:
                result = self._traced(arguments)
            finally:
                self._lock.release()
        return self.function(*arguments) if result is NotImplemented else result

    def call_if_known(self, *arguments: Tree) -> Tree:
        """Return the function's result; NotImplemented if no program is for such arguments."""
        for program in self.programs:
            try:
                result = program(*arguments)
            except Exception:  # the function raises it in its own code, with its own traceback
                return NotImplemented
            if result is not NotImplemented:
                return result
        return NotImplemented

    def _traced(self, arguments: Tree) -> Tree:
        """Return the result of a program made now; NotImplemented if there is none."""
        kinds = [self._kind_of(leaf) for leaf in leaves(arguments)]
        if None in kinds:
            return NotImplemented
        self._repetitions = self._repetitions + 1 if kinds == self._last_kinds else 0
        self._last_kinds = kinds
        formulas = self._formulas()
        is_patched = not all(map(_is_of_package, formulas.values()))
        if self._repetitions != 1 or is_patched:
            return NotImplemented
        try:
            with np.errstate(all="ignore"):
                lines, constants = self.trace(arguments)
                guarding = Guard(self, constants).lines(arguments, formulas)
                program = compiled_program([*guarding, *lines], constants)
            result = self.checked_result(program, arguments)
        except Exception:  # whatever users' code or a library raises
            self.failed = True
            return NotImplemented
        self.programs = [program, *self.programs][:_MOST_PROGRAMS]
        return result

    def _formulas(self) -> dict[tuple[type, str], Function]:
        """Return the methods of the function's components that a program repeats."""
        components = self.function.args[1:] if isinstance(self.function, partial) else ()
        return {
            (kind, name): getattr(kind, name)
            for kind in _classes_in(components)
            for name in _FORMULAS
            if any(name in vars(base) for base in kind.__mro__)  # `type` has a __call__, too
        }

    def checked_result(self, program: Function, arguments: Tree) -> Tree:
        """Return a program's result, which must have all bits of the function's."""
        with np.errstate(all="ignore"):
            expected = self._digest(self.function(*arguments))  # not in memory beside the result
        result = program(*arguments)
        if self._digest(result) != expected:
            raise Unsuitable
        return result

    def _kind_of(self, leaf: Array) -> tuple[object, ...] | None:
        """Return the kind of an array or a number; None for anything else."""
        if self.is_array(leaf):
            return type(leaf), self.layout(leaf)
        return (type(leaf),) if isinstance(leaf, np.generic | int | float) else None

    def _digest(self, result: Tree) -> list[object]:
        """Return the kind of each array or number of a result, and a hash of its bits."""
        digest: list[object] = []
        for leaf in leaves(result):
            host = np.ascontiguousarray(self.to_numpy(leaf))
            digest += [self._kind_of(leaf), blake2b(host.data).digest()]
        return digest


def _classes_in(component: object) -> set[type]:
    """Return the classes of a component and of those in it."""
    if isinstance(component, list | tuple):
        return set().union(*map(_classes_in, component))
    if not is_dataclass(component):
        return set()
    return {type(component)}.union(*map(_classes_in, vars(component).values()))


def _is_of_package(method: Function) -> bool:
    return isinstance(method, FunctionType) and method.__module__.startswith("pluggable_mlp.")


def traced(backend: Any, function: Function, exact: bool) -> TracedFunction | None:
    """Return a function traced on a backend's arrays: see `Abilities.compile`.

    It is None for users' code, which may have side effects.  A backend may have a class of traced
    functions of its own, `_traced_function`.
    """
    if not is_builtin_call(function):
        return None

    def as_array(number: float) -> Array:
        return backend.asarray(number, "float64" if isinstance(number, float) else "int64")

    kind = getattr(backend, "_traced_function", TracedFunction)
    number = (kind.number or as_array) if exact else None
    return kind(function, number, backend.to_numpy)


class Guard:
    """Writes the lines of a program that name its arguments and reject those of another kind.

    Parameters
    ----------
    function : TracedFunction
    constants : dict
        Those of the program, to which the guard adds its own.
    """

    def __init__(self, function: TracedFunction, constants: Constants) -> None:
        self._function, self._constants = function, constants
        self._leaf_count = 0
        self._unpacked: list[str] = []  # what names the items of each container, outer ones last
        self._kinds: dict[str, object] = {}  # types, lengths, dtypes and shapes, by expressions
        self._differences: list[str] = []  # expressions that are true for other arrays
        constants["layout"] = function.layout

    def lines(self, arguments: Tree, formulas: dict[tuple[type, str], Function]) -> Iterator[str]:
        """Yield the lines for arguments like these; in them, `arguments` are those of a later call.

        Calls are rejected, too, while a class has another method than those of `formulas`.
        """
        name = self._name(arguments)
        for (kind, method), function in formulas.items():
            self._kinds[f"{self._constant(kind)}.{method}"] = function
        expected = self._constant((*self._kinds.values(),))
        conditions = [f"({', '.join(self._kinds)},) != {expected}", *self._differences]
        yield "try:"
        yield f"    {name} = arguments"
        yield from (f"    {line}" for line in reversed(self._unpacked))
        yield f"    if {' or '.join(conditions)}: return NotImplemented"
        yield "except Exception: return NotImplemented"

    def _constant(self, value: object) -> str:
        name = f"g{len(self._constants)}"
        self._constants[name] = value
        return name

    def _name(self, tree: Tree, in_dict: bool = False) -> str:
        """Return a name for a tree, and note what tells other trees from it."""
        kind, name = type(tree), f"t{len(self._kinds)}"
        if tree is not None and kind not in _CONTAINERS:
            name = f"v{self._leaf_count}"
            self._leaf_count += 1
        self._kinds[f"type({name})"] = kind
        if kind in _CONTAINERS:
            self._unpack(name, tree)
        elif self._function.is_array(tree):
            self._check_array(name, tree, in_dict)
        return name

    def _unpack(self, name: str, container: Tree) -> None:
        items = name
        if is_dict := isinstance(container, dict):
            self._kinds[f"len({name})"] = len(container)
            items = "(" + "".join(f"{name}[{key!r}], " for key in container) + ")"
            container = container.values()
        names = ", ".join([self._name(item, is_dict) for item in container])
        self._unpacked.append(f"[{names}] = {items}")

    def _check_array(self, name: str, array: Array, in_dict: bool) -> None:
        difference = f"layout({name}) != {self._constant(self._function.layout(array))}"
        if in_dict:  # a parameter: mostly the one that was traced, which is quicker to check
            self._kinds |= {f"{name}.dtype": array.dtype, f"{name}.shape": array.shape}
            traced = self._constant(weakref.ref(array))
            difference = f"{traced}() is not {name} and {difference}"
        self._differences.append(difference)
