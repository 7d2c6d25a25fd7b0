"""When a function is captured as a CUDA graph, and whether the graph is used.

`cupy_graphs.py` and `torch_compile.py` define the graphs of CuPy and PyTorch.
"""

from threading import Lock
from typing import Protocol
from weakref import WeakKeyDictionary

from pluggable_mlp.compiling import Fallback, Unsuitable

from .tape import Function, Tree

CALLS_BEFORE_CAPTURE = 32
"""A capture takes about as long as this many calls."""
MOST_COPIED = 2**24
"""Bytes of arguments.  Copying more, in and out, takes longer than the launches that are saved."""
_MOST_UNUSED = 4
"""Consecutive graphs whose arguments never came again, after which a function is not captured."""
_MOST_GRAPHS = 4
"""Graphs kept at a time, since compiled functions outlive their training."""
_latest: "WeakKeyDictionary[Graphs, None]" = WeakKeyDictionary()
"""Those with a graph, in the order of their captures."""
_latest_lock = Lock()


class Graph(Protocol):
    """A function, captured with arguments of one kind."""

    def inputs(self, arguments: tuple[Tree, ...]) -> Tree:
        """Return the arguments for `launch`, or NotImplemented for arguments of another kind."""

    def launch(self, inputs: Tree) -> Tree:
        """Return the function's result, in memory of its own."""


class Capturable(Protocol):
    """A function that may have a graph."""

    def capture(self, arguments: tuple[Tree, ...]) -> Graph:
        """Return a graph; raise Unsuitable if it would be wrong or slower."""

    def has_same_bits(self, program: Function, arguments: tuple[Tree, ...]) -> bool:
        """Return whether a program gives all bits of the function's result."""


class Graphs:
    """The graph of a function, if there is one.

    It is captured when the function has been called often, and must give the same bits at the next
    call, with other numbers, before it is used.  Only the four functions captured last have one;
    any other may be captured again.

    Parameters
    ----------
    library : str
        The library's name and version, for warnings.

    Attributes
    ----------
    is_used : bool
        Whether there is a graph that gave the same bits.
    """

    def __init__(self, library: str) -> None:
        self.is_used = False
        self._graph: Graph | None = None
        self._calls = 0  # since the last one of the graph
        self._unused = 0
        self._fallback = Fallback(f"{library} goes on without a CUDA graph of a step")
        self._busy = Lock()

    def __call__(self, function: Capturable, arguments: tuple[Tree, ...]) -> Tree:
        """Return a function's result; NotImplemented if it has no graph for such arguments.

        A graph has memory for one call at a time; meanwhile, other threads do not use it.
        """
        if self._fallback.failed or not self._busy.acquire(blocking=False):
            return NotImplemented
        try:
            return self._fallback.attempt(self._called, function, arguments)
        except MemoryError:  # there may be more of it the next time
            self._drop()
        finally:
            if self._fallback.failed:
                self._drop()
            self._busy.release()
        return NotImplemented

    def _called(self, function: Capturable, arguments: tuple[Tree, ...]) -> Tree:
        """Use the graph, try it, or capture one if it is time to."""
        graph = self._graph  # another thread may drop it
        inputs = NotImplemented if graph is None else graph.inputs(arguments)
        if graph is None or inputs is NotImplemented:
            del graph  # its memory is free for the next one
            self._capture_when_due(function, arguments)
        elif not self.is_used:
            self._try(function, arguments, graph)
        else:
            self._calls = 0
            return graph.launch(inputs)
        return NotImplemented

    def _capture_when_due(self, function: Capturable, arguments: tuple[Tree, ...]) -> None:
        self._calls += 1
        if self._calls < CALLS_BEFORE_CAPTURE:
            return
        self._unused += 1
        if self._unused > _MOST_UNUSED:
            raise Unsuitable
        self._calls = 0
        self._drop()
        self._keep(function.capture(arguments))

    def _keep(self, graph: Graph) -> None:
        """Keep a graph, and drop those of all functions except the latest."""
        with _latest_lock:
            self._graph = graph
            _latest.pop(self, None)
            _latest[self] = None
            for graphs in [graphs for graphs in _latest if graphs._graph][:-_MOST_GRAPHS]:
                graphs._drop()

    def _drop(self) -> None:
        self.is_used, self._graph = False, None

    def _try(self, function: Capturable, arguments: tuple[Tree, ...], graph: Graph) -> None:
        def launch(*arguments: Tree) -> Tree:
            return graph.launch(graph.inputs(arguments))

        if function.has_same_bits(launch, arguments):
            self.is_used, self._unused = True, 0
        else:
            self._fallback.give_up("its results have other bits")
