"""Functions of arrays, recorded once and repeated without the Python code between operations.

A small operation takes less time than the code that leads to it.  So what a function does with
arguments of certain shapes is noted once, and from then on the same operations run on the same
operands in the same order, which gives the same bits.  How a library's operations are noted is in
`numpy_replay.py` and `torch_replay.py`; in `jax_compile.py`, a compiled function is the only one.
"""

import linecache
import weakref
from collections.abc import Callable, Iterator
from hashlib import blake2b
from itertools import count
from threading import Lock
from typing import Any, ClassVar

import numpy as np

from pluggable_mlp.provenance import is_builtin_call

__all__ = ["NotRecordedError", "RecordedFunction", "leaves", "map_tree", "recorded"]

_MOST_PROGRAMS = 8
"""Of a function: each is for arguments of certain shapes."""
_numbers = count()  # of recordings
_CONTAINERS = (dict, list, tuple)


class NotRecordedError(Exception):
    """A function asks for values, or does what is not noted."""


class RecordedFunction:
    """A pure function of arrays and numbers, with the same results to the last bit.

    What it does with arguments of certain kinds is recorded after some calls with such, and
    compared: a function that is seen to look at values, or that returns something else for the
    same arguments, runs as it is.

    Parameters
    ----------
    function : callable
        As for `Compiler.compile`.

    Attributes
    ----------
    kind : tuple of str
        The attributes, and methods with "()", in which arrays of one recording agree.
    calls_before : int
        With the same kinds in a row: about as many as take the time of a recording.
    """

    kind: ClassVar[tuple[str, ...]]
    calls_before: ClassVar[int]

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self._programs: list[Callable[..., Any]] = []
        self._last: Any = None
        self._count = 0
        self._failed = False
        self._lock = Lock()

    def noted(self, arguments: Any) -> tuple[list[str], dict[str, Any]]:
        """Return what the function does, as lines of Python, and their constants.

        v0, v1, … are the arrays and numbers among the arguments, in order.
        """
        raise NotImplementedError

    def is_array(self, leaf: Any) -> bool:
        """Return whether it is an array of the library itself, not of a subclass."""
        raise NotImplementedError

    def host(self, array: Any) -> Any:
        """Return an array as a NumPy array."""
        raise NotImplementedError

    def __call__(self, *arguments: Any) -> Any:
        """Return what the function returns."""
        result = self.repeated(*arguments)
        # While one thread counts and records, the others do not wait.
        if result is NotImplemented and not self._failed and self._lock.acquire(blocking=False):
            try:
                made = self._recorded(arguments)
            finally:
                self._lock.release()
            result = _repeated(made, arguments)
        return self.function(*arguments) if result is NotImplemented else result

    def repeated(self, *arguments: Any) -> Any:
        """Return what the function returns; NotImplemented if none like these are recorded."""
        return _repeated(self._programs, arguments)

    def _recorded(self, arguments: Any) -> list[Callable[..., Any]]:
        """Return what is recorded now: if the function was called often enough, and it serves."""
        if not all(self.is_array(leaf) or _is_number(leaf) for leaf in leaves(arguments)):
            return []
        kinds = map_tree(self._kind_of, arguments)
        self._count = self._count + 1 if kinds == self._last else 0
        self._last = kinds
        if self._count != self.calls_before:
            return []
        try:
            with np.errstate(all="ignore"):
                program = self._program(arguments)
                self._failed = not self.agrees(program, arguments)
        except Exception:  # whatever code of others makes of a recording
            self._failed = True
        if self._failed:
            return []
        self._programs = [program, *self._programs][:_MOST_PROGRAMS]
        return [program]

    def agrees(self, program: Callable[..., Any], arguments: Any) -> bool:
        """Return whether a recording gives all bits that the function gives."""
        expected = self._digest(self.function(*arguments))  # no two results are in memory at once
        return self._digest(program(*arguments)) == expected

    def _kind_of(self, leaf: Any) -> tuple[Any, ...]:
        """Return the kind of an array or a number."""
        names = self.kind if self.is_array(leaf) else ()
        return type(leaf), *(_attribute(leaf, name) for name in names)

    def _digest(self, result: Any) -> bytes:
        """Return a hash of all bits of a result."""
        found = blake2b()
        for leaf in leaves(result):
            found.update(repr(self._kind_of(leaf)).encode())
            host = self.host(leaf) if self.is_array(leaf) else leaf
            found.update(np.ascontiguousarray(host).data)
        return found.digest()

    def _program(self, arguments: Any) -> Callable[..., Any]:
        """Return what the function does with such arguments; with others it is NotImplemented."""
        body, names = self.noted(arguments)
        return _compiled([*self._guard(arguments, names), *body], names)

    def _guard(self, arguments: Any, names: dict[str, Any]) -> Iterator[str]:
        """Yield the lines that name the arguments, and turn away those of another kind."""

        def named(value: Any) -> str:
            name = f"g{len(names)}"
            names[name] = value
            return name

        conditions: list[str] = []
        assignments: list[str] = []
        for leaf, path in _paths(arguments, "given"):
            if leaf is None:
                conditions.append(f"{path} is not None")
            elif type(leaf) in _CONTAINERS:
                conditions.append(f"type({path}) is not {type(leaf).__name__}")
                conditions.append(f"len({path}) != {len(leaf)}")
            else:
                place = f"v{len(assignments)}"
                assignments.append(f"{place} = {path}")
                other = [f"type({place}) is not {named(type(leaf))}"]
                if self.is_array(leaf):
                    other += [
                        f"{place}.{name} != {named(_attribute(leaf, name))}" for name in self.kind
                    ]
                if self.is_array(leaf) and path.count("[") > 1:
                    # Parameters mostly are those of the recording: this tells it sooner.
                    same = named(weakref.ref(leaf))
                    differs = f"{same}() is not {place} and ({' or '.join(other)})"
                    other = [f"({place} is None or {differs})"]  # as a dead reference gives None
                conditions += other
        yield "try:"
        yield from (f"    {line}" for line in assignments)
        yield f"    if {' or '.join(conditions)}: return NotImplemented"
        yield "except (AttributeError, IndexError, KeyError, TypeError): return NotImplemented"


def recorded(
    kind: type[RecordedFunction],
    function: Callable[..., Any],
    *,
    exact: bool = False,
    device: Any = None,
) -> RecordedFunction | None:
    """Return the recorded function; None for code of users, which may have side effects.

    Whether `exact` or not, and on each device, the bits are those of the operations.
    """
    del exact, device
    return kind(function) if is_builtin_call(function) else None


def _repeated(programs: list[Callable[..., Any]], arguments: Any) -> Any:
    """Return what the first program for such arguments returns; NotImplemented if there is none."""
    for program in programs:
        try:
            result = program(*arguments)
        except Exception:  # the function raises it where it is, with what led to it
            return NotImplemented
        if result is not NotImplemented:
            return result
    return NotImplemented


def _is_number(leaf: Any) -> bool:
    return isinstance(leaf, np.generic | int | float)


def _attribute(array: Any, name: str) -> Any:
    found = getattr(array, name.removesuffix("()"))
    return found() if name.endswith("()") else found


def _compiled(lines: list[str], names: dict[str, Any]) -> Callable[..., Any]:
    """Return the function of *given that consists of these lines.

    A loop over the operations would take as long for each as Python does now for the code between
    them: only code without one is faster, and so it has to be written and executed.
    """
    source = ["def program(*given):\n", *(f"    {line}\n" for line in lines)]
    text, name = "".join(source), f"<recorded {next(_numbers)}>"
    names["__name__"] = __name__
    exec(compile(text, name, "exec"), names)
    program: Callable[..., Any] = names["program"]
    # What warnings show.
    linecache.cache[name] = len(text), None, source, name
    weakref.finalize(program, linecache.cache.pop, name, None)
    return program


def _paths(tree: Any, path: str) -> Iterator[tuple[Any, str]]:
    """Yield what is in nested dicts, lists and tuples, these among it, and where it is."""
    yield tree, path
    if type(tree) in _CONTAINERS:
        for key, of in tree.items() if type(tree) is dict else enumerate(tree):
            yield from _paths(of, f"{path}[{key!r}]")


def map_tree(function: Callable[[Any], Any], tree: Any) -> Any:
    """Return nested dicts, lists, tuples and slices with function(leaf) for each leaf but None."""
    kind = type(tree)
    if kind is dict:
        return {name: map_tree(function, of) for name, of in tree.items()}
    if kind is list:
        return [map_tree(function, of) for of in tree]
    if kind is tuple:
        return tuple([map_tree(function, of) for of in tree])
    if kind is slice:
        return slice(*[map_tree(function, of) for of in (tree.start, tree.stop, tree.step)])
    return None if tree is None else function(tree)


def leaves(tree: Any) -> list[Any]:
    """Return the leaves of a tree but None, in order."""
    found: list[Any] = []
    map_tree(found.append, tree)
    return found
