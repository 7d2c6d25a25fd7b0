"""The streams of the simulated CuPy, and graphs, which are captured from them.

All is done at once, in the order of the program, but on a stream that is captured, where nothing
is done (`cuda/stream.pyx`, `cuda/graph.pyx`): arrays have no values then, and who waits for one,
copies from the host, or calls cuBLAS by way of CuPy, gets an error.  A graph does what was
recorded, with the same numbers, to the same memory.  Where that was given back meanwhile, it fails.
"""

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ClassVar, NamedTuple

import numpy as np

from tests.simulated_cupy.counts import counting, launch, wait
from tests.simulated_cupy.memory import CUDARuntimeError, current, using_allocator

__all__ = ["Graph", "Stream", "get_current_stream", "on_stream", "refused_in_captures"]


def on_stream(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function that launches kernels run on the current stream."""

    @wraps(function)
    def run(*args: Any, **settings: Any) -> Any:
        capture = current.capture
        if capture is None or capture.is_recording:
            return function(*args, **settings)
        return capture.record(function, args, settings)

    return run


def refused_in_captures(error: Exception) -> None:
    """Raise an error where the current stream is captured, which spoils the capture."""
    if current.capture is not None:
        current.capture.is_spoiled = True
        raise error


class Stream:
    """A stream; without `non_blocking` the default stream waits for it, and it for that one."""

    null: "Stream"
    by_pointer: ClassVar[weakref.WeakValueDictionary[int, "Stream"]] = weakref.WeakValueDictionary()

    def __init__(self, null: bool = False, non_blocking: bool = False) -> None:
        self.ptr = 0 if null else id(self)
        self.is_blocking = not non_blocking
        self.capture: Capture | None = None
        self.by_pointer[self.ptr] = self

    def __enter__(self) -> "Stream":
        current.streams.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        current.streams.pop()

    def synchronize(self) -> None:
        with self:
            wait("synchronize()")

    def begin_capture(self) -> None:
        if not self.ptr:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        self.capture = Capture()

    def end_capture(self) -> "Graph":
        capture, self.capture = self.capture, None
        if capture is None:
            raise CUDARuntimeError("cudaErrorIllegalState: the stream is not captured")
        if capture.is_spoiled:
            raise CUDARuntimeError("cudaErrorStreamCaptureInvalidated: a call was not permitted")
        return Graph(capture.operations)


Stream.null = Stream(null=True)


def get_current_stream() -> Stream:
    """Return that of the thread."""
    return current.streams[-1] if current.streams else Stream.null


class Operation(NamedTuple):
    """A call, with what refers to memory and does not keep it, and the results by their places."""

    function: Callable[..., Any]
    arguments: Any
    results: dict[int, Any]


class Capture:
    """What a stream is given while it is captured."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.is_recording = self.is_spoiled = False

    def record(self, function: Callable[..., Any], args: Any, settings: Any) -> Any:
        """Return what the function returns, without values, and leave its arguments as they are."""
        given = _arrays((args, settings))
        before = [x.memory.copy() for x in given]
        self.is_recording = True
        try:
            with counting():
                result = function(*args, **settings)
        finally:
            self.is_recording = False
            for x, memory in zip(given, before, strict=True):
                if x.memory.flags.writeable:
                    x.memory[...] = memory
        made = {
            number: x
            for number, x in enumerate(_arrays(result))
            if not any(x is of for of in given)
        }
        if made and all(_is_view(x, given) for x in made.values()):
            return result  # nothing is launched
        for x in made.values():
            x.memory[...] = np.nan if x.dtype.kind == "f" else 1
        self.add(function, args, settings, made)
        return result

    def add(self, function: Callable[..., Any], args: Any, settings: Any, made: Any) -> None:
        """Note a call, with the results by their places."""
        borrowed = {number: _borrowed(x) for number, x in made.items()}
        self.operations.append(Operation(function, _mapped(_borrowed, (args, settings)), borrowed))


class Graph:
    """What was captured (`cuda/graph.pyx`)."""

    def __init__(self, operations: list[Operation]) -> None:
        self._operations = operations

    def launch(self, stream: Stream | None = None) -> None:
        """Do it again."""
        assert stream is None, "add another stream than the current one where it is needed"
        launch("graph")
        with counting(), _without_memory():
            for function, (args, settings), results in self._operations:
                for x in (*_arrays((args, settings)), *results.values()):
                    if x.block() is None:
                        raise CUDARuntimeError("cudaErrorIllegalAddress: memory was given back")
                found = _arrays(function(*args, **settings))
                for number, target in results.items():
                    np.copyto(target.memory, found[number].memory)


@contextmanager
def _without_memory() -> Iterator[None]:
    with using_allocator(lambda size: None):
        yield


def _is_array(x: Any) -> bool:
    return hasattr(x, "memory") and hasattr(x, "block")


def _borrowed(x: Any) -> Any:
    """Return an array in the memory of another, which does not keep it."""
    if not _is_array(x):
        return x
    other = object.__new__(type(x))
    vars(other).update(vars(x) | {"block": x.block if _is_borrowed(x) else weakref.ref(x.block)})
    return other


def _is_borrowed(x: Any) -> bool:
    return isinstance(x.block, weakref.ref)


def _is_view(x: Any, of: list[Any]) -> bool:
    return any(np.may_share_memory(x.memory, other.memory) for other in of)


def _arrays(tree: Any) -> list[Any]:
    found: list[Any] = []
    _mapped(lambda x: found.append(x) if _is_array(x) else None, tree)
    return found


def _mapped(function: Callable[[Any], Any], tree: Any) -> Any:
    if isinstance(tree, list | tuple) and not hasattr(tree, "_fields"):
        return type(tree)(_mapped(function, x) for x in tree)
    if isinstance(tree, dict):
        return {name: _mapped(function, x) for name, x in tree.items()}
    return function(tree)
