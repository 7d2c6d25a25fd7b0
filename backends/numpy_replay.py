"""How a function of NumPy arrays is recorded.

It is run once on stand-ins that note every operation (`numpy_recording.py`); from then on these run
as they were noted (`recorded.py`).  An array that nothing needs any more is written over by a
result of its shape, dtype and strides.  Every array belongs to one call: threads share none, and
what a call has returned stays as it is.
"""

import operator
from collections.abc import Iterator
from types import EllipsisType
from typing import Any

import numpy as np

from .numpy_recording import Operation, Place, Tape, noted_errors
from .recorded import NotRecordedError, RecordedFunction, leaves, map_tree

__all__ = ["Recorded"]


class Recorded(RecordedFunction):
    """See `RecordedFunction`."""

    kind = ("shape", "strides", "dtype")
    calls_before = 32

    def noted(self, arguments: Any) -> tuple[list[str], dict[str, Any]]:
        """See `RecordedFunction.noted`."""
        tape = Tape()
        given = map_tree(tape.argument, arguments)
        with noted_errors():
            result = self.function(*given)
        if any(isinstance(leaf, np.ndarray) for leaf in leaves(result)):
            raise NotRecordedError  # an array of the function's own, which callers would share
        writer = _Writer(tape, result)
        return [*writer.body(), writer.end(result)], writer.names

    def is_array(self, leaf: Any) -> bool:
        """See `RecordedFunction.is_array`."""
        return type(leaf) is np.ndarray

    def host(self, array: Any) -> Any:
        """See `RecordedFunction.host`."""
        return array


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
            return f"v{value.number}"
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
