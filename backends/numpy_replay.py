"""Functions of NumPy arrays, recorded once and repeated without the Python code between operations.

A small operation takes less time than the code that leads to it.  So a function is run once on
stand-ins that note every operation (`numpy_recording.py`), and from then on these run as they were
noted: the same ones on the same operands in the same order, which gives the same bits.  An array
that nothing needs any more is written over by a result of its shape, dtype and strides.  Every
array belongs to one call: threads share none, and what a call has returned stays as it is.
"""

import linecache
import operator
import weakref
from collections.abc import Callable, Iterator
from hashlib import blake2b
from itertools import count
from threading import Lock
from types import EllipsisType
from typing import Any

import numpy as np

from .numpy_recording import (
    NotRecordedError,
    Operation,
    Place,
    StandIn,
    Tape,
    leaves,
    like,
    map_tree,
    noted_errors,
)

__all__ = ["Recorded"]

_CALLS_BEFORE = 32
"""With the same shapes in a row: a recording takes as long as some thirty calls."""
_MOST_PROGRAMS = 8
"""Of a function: each is for arguments of certain shapes."""
_numbers = count()  # of recordings


class Recorded:
    """A pure function of arrays and numbers, with the same results to the last bit.

    What it does with arguments of certain shapes, dtypes and strides is recorded after some calls
    with such, and compared: a function that looks at values, or returns something else for the same
    arguments, runs as it is.

    Parameters
    ----------
    function : callable
        As `Recorder.record` wants it.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._programs: list[Callable[..., Any]] = []
        self._last: Any = None
        self._count = 0
        self._failed = False
        self._lock = Lock()

    def __call__(self, *arguments: Any) -> Any:
        """Return what the function returns."""
        result = _repeated(self._programs, arguments)
        # While one thread counts and records, the others do not wait.
        if result is NotImplemented and not self._failed and self._lock.acquire(blocking=False):
            try:
                made = self._recorded(arguments)
            finally:
                self._lock.release()
            result = _repeated(made, arguments)
        return self._function(*arguments) if result is NotImplemented else result

    def _recorded(self, arguments: Any) -> list[Callable[..., Any]]:
        """Return what is recorded now: if the function was called often enough, and it serves."""
        if not all(type(leaf) is np.ndarray or _is_number(leaf) for leaf in leaves(arguments)):
            return []
        likes = map_tree(like, arguments)
        self._count = self._count + 1 if likes == self._last else 0
        self._last = likes
        if self._count != _CALLS_BEFORE:
            return []
        try:
            with np.errstate(all="ignore"):
                program = _program(self._function, arguments)
                # No two results are in memory at once.
                expected = _digest(self._function(*arguments))
                self._failed = _digest(program(*arguments)) != expected
        except Exception:  # whatever code of others makes of stand-ins
            self._failed = True
        if self._failed:
            return []
        self._programs = [program, *self._programs][:_MOST_PROGRAMS]
        return [program]


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


def _digest(result: Any) -> bytes:
    """Return a hash of all bits of a result."""
    found = blake2b()
    for leaf in leaves(result):
        found.update(repr((type(leaf), like(leaf))).encode())
        found.update(np.ascontiguousarray(leaf))
    return found.digest()


def _program(function: Callable[..., Any], arguments: Any) -> Callable[..., Any]:
    """Return what the function does with such arguments; with others it is NotImplemented."""
    tape = Tape()
    given = map_tree(tape.argument, arguments)
    with noted_errors():
        result = function(*given)
    if any(isinstance(leaf, np.ndarray) for leaf in leaves(result)):
        raise NotRecordedError  # an array of the function's own, which callers would share
    writer = _Writer(tape, result)
    lines = [*writer.guard(given), *writer.body(), writer.end(result)]
    return _compiled(lines, writer.names)


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


def _needed(tape: Tape, result: Any) -> list[Operation]:
    """Return the operations on which a result depends."""
    memory = tape.owners_of(result)
    needed = []
    for operation in reversed(tape.operations):
        if tape.owners[operation.result] in memory:
            memory.update(tape.owners[index] for index in operation.operands)
            needed.append(operation)
    return needed[::-1]


class _Writer:
    """Writes the operations that a result needs as Python code: v0, v1, … are the places.

    Attributes
    ----------
    names : dict
        The constants of the code.
    """

    def __init__(self, tape: Tape, result: Any) -> None:
        self._tape, self._operations = tape, _needed(tape, result)
        self._kept = tape.owners_of(result)
        self._constants: dict[int, str] = {}
        self.names: dict[str, Any] = {}

    def guard(self, given: Any) -> Iterator[str]:
        """Yield the lines that name the arguments, and turn away those of another kind."""
        conditions, names = [], []
        for leaf, path in _paths(given, "given"):
            if leaf is None:
                conditions.append(f"{path} is not None")
            elif isinstance(leaf, tuple):
                kind, length = leaf
                conditions.append(f"type({path}) is not {self._text(kind)}")
                conditions.append(f"len({path}) != {length}")
            else:
                names.append(f"v{leaf.index} = {path}")
                conditions.append(f"type(v{leaf.index}) is not {self._text(type(leaf.value))}")
                if isinstance(leaf.value, np.ndarray):
                    for name in ("shape", "strides", "dtype"):
                        expected = self._text(getattr(leaf.value, name))
                        conditions.append(f"v{leaf.index}.{name} != {expected}")
        yield "try:"
        yield from (f"    {line}" for line in names)
        yield f"    if {' or '.join(conditions)}: return NotImplemented"
        yield "except (AttributeError, IndexError, KeyError, TypeError): return NotImplemented"

    def body(self) -> Iterator[str]:
        """Yield a line for each operation, and one that forgets what no later one needs."""
        owners = self._tape.owners
        last = {
            owners[index]: place
            for place, operation in enumerate(self._operations)
            for index in operation.operands
        }
        made: dict[int, list[int]] = {}
        for place, operation in enumerate(self._operations):
            if operation.new:
                made.setdefault(owners[operation.result], []).append(operation.result)
            read = dict.fromkeys(owners[index] for index in operation.operands)
            done = [of for of in read if last[of] == place and of not in self._kept]
            call = self._call(operation, [of for of in done if of >= self._tape.given])
            yield f"v{operation.result} = {call}" if operation.new else call
            gone = [f"v{index}" for of in done for index in made.pop(of, ())]
            if gone:
                yield "del " + ", ".join(gone)

    def end(self, result: Any) -> str:
        """Return the last line."""
        return f"return {self._text(map_tree(self._tape.place, result))}"

    def _call(self, operation: Operation, done: list[int]) -> str:
        """Return the operation; what is done with afterwards may be written over."""
        function, args = operation.function, operation.args
        if isinstance(function, operator.attrgetter):
            return f"{self._text(args[0])}.{function.__reduce__()[1][0]}"
        if function is operator.getitem:
            return f"{self._text(args[0])}[{self._key(args[1])}]"
        parts = [*map(self._text, args)]
        parts += [f"{name}={self._text(of)}" for name, of in operation.settings.items()]
        elementwise = isinstance(function, np.ufunc) and function.signature is None
        if elementwise and operation.new and not operation.settings:
            parts += [f"out=v{index}" for index in self._written_over(operation, done)[:1]]
        return f"{self._text(function)}({', '.join(parts)})"

    def _written_over(self, operation: Operation, done: list[int]) -> list[int]:
        """Return the operands whose memory an elementwise result can take."""
        owners, likes = self._tape.owners, self._tape.likes
        return [
            index
            for index in done
            if likes[index] is not None
            and likes[index] == likes[operation.result]
            and all(other == index for other in operation.operands if owners[other] == index)
        ]

    def _text(self, value: Any) -> str:
        """Return the expression for a tree of places and constants."""
        if isinstance(value, dict):
            return "{" + ", ".join(f"{key!r}: {self._text(of)}" for key, of in value.items()) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(map(self._text, value)) + "]"
        if type(value) is tuple:
            return "(" + "".join(f"{self._text(of)}, " for of in value) + ")"
        if isinstance(value, Place):
            return f"v{value.index}"
        if type(value) in (int, bool, type(None), EllipsisType):
            return repr(value)
        return self._constant(value)

    def _key(self, key: Any) -> str:
        """Return the expression of an index."""
        if type(key) is tuple and len(key) > 1:
            return ", ".join(map(self._key, key))
        if isinstance(key, slice):
            ends = key.start, key.stop, key.step
            return ":".join("" if end is None else self._text(end) for end in ends)
        return self._text(key)

    def _constant(self, value: Any) -> str:
        name = self._constants.setdefault(id(value), f"c{len(self._constants)}")
        self.names[name] = value  # which is kept, and so is its id
        return name


def _paths(tree: Any, path: str) -> Iterator[tuple[Any, str]]:
    """Yield the leaves of nested dicts, lists and tuples, the types and lengths of these: where."""
    if isinstance(tree, dict | list | tuple):
        yield (type(tree), len(tree)), path
        for key, of in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from _paths(of, f"{path}[{key!r}]")
    elif tree is None or isinstance(tree, StandIn):
        yield tree, path
