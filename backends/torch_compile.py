"""Functions under `torch.compile`, and as CUDA graphs: one launch for all kernels.

Those that cannot be compiled run as they are.  Graphs are untried on a GPU.  A graph repeats the
same kernels on the same memory.  Numbers, small arrays and used-up arguments are first copied to
memory of the graph, and results out of it; large arrays, such as the data, are read in place.
`graphs.py` decides when a graph is captured and tried.
"""

import warnings
import weakref
from collections.abc import Sequence
from contextlib import suppress

import torch
from torch.fx.experimental.proxy_tensor import make_fx

from pluggable_mlp.arrays import Array
from pluggable_mlp.compiling import Fallback, Unsuitable

from .graphs import MOST_COPIED, Graph, Graphs
from .tape import Function, Tree, leaves, map_tree
from .torch_tracing import PythonNumbers, as_tensor

_SMALL = 2**22
"""Bytes of an array that is copied in microseconds, such as the order of 524,288 examples."""
_BYTES = 16  # bytes per number: compiled code copies arrays that do not begin at multiples


class CompiledFunction:
    """A function that is compiled for each kind of arguments, or runs as it is if that fails.

    `torch.compile` of the function itself would read its Python code, and give up at the first
    line of array-api-compat that asks for a common dtype, so the operations are traced first.

    Parameters
    ----------
    function : callable
        As for `Abilities.compile`.
    compiler : str
        The backend of `torch.compile`; "inductor" needs Triton on a GPU, a C++ compiler otherwise.
    """

    def __init__(self, function: Function, compiler: str = "inductor") -> None:
        self._function, self._compiler = function, compiler
        self._compiled: dict[str, Function] = {}  # by the kinds of the arguments
        self._fallback = Fallback(
            f"PyTorch {torch.__version__} cannot compile here and goes on operation by operation"
        )

    def __call__(self, *arguments: Tree) -> Tree:
        """Return what the function returns."""
        result = NotImplemented
        if not self._fallback.failed:
            arrays = self.as_arrays(arguments)
            kinds = repr(map_tree(_kind, arrays))
            if kinds in self._compiled:
                return self.run(self._compiled[kinds], arguments, arrays)
            result = self._fallback.attempt(self._first_call, arguments, arrays, kinds)
        return self._function(*arguments) if result is NotImplemented else result

    def as_arrays(self, arguments: Tree) -> Tree:
        """Return the arguments with numbers as arrays.

        A Python number would be a constant, and each new one would be compiled anew.
        """
        return map_tree(as_tensor, arguments)

    def run(self, compiled: Function, arguments: Tree, arrays: Tree) -> Tree:
        """Return the result of compiled code for arguments that are all arrays."""
        return compiled(*arrays)

    def _first_call(self, arguments: Tree, arrays: Tree, kinds: str) -> Tree:
        def function(*tensors: Tree) -> Tree:
            with PythonNumbers(arguments, tensors):
                return self._function(*tensors)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # advice, such as rounding products to TF32
            traced = make_fx(function)(*arrays)
            compiled: Function = torch.compile(
                traced, backend=self._compiler, fullgraph=True, dynamic=False
            )
            result = compiled(*arrays)
        self._compiled[kinds] = compiled
        return result


def _kind(tensor: Array) -> tuple[object, ...]:
    """Return the properties of a tensor that compiled code is specialized on."""
    return tuple(tensor.shape), tensor.stride(), tensor.dtype, tensor.device


class CapturedFunction(CompiledFunction):
    """A compiled function that becomes a CUDA graph when it is called often.

    Graphs are for the default stream, on which each follows all that was launched before it.

    Parameters
    ----------
    function, used_up
        As for `Abilities.compile`.
    """

    def __init__(self, function: Function, used_up: tuple[int, ...]) -> None:
        super().__init__(function)
        self._used_up = used_up
        self.graphs = Graphs(f"PyTorch {torch.__version__}")

    def as_arrays(self, arguments: Tree) -> Tree:
        """Return the arguments with numbers on the device, float64 or int64, in one copy."""
        numbers = [leaf for leaf in leaves(arguments) if isinstance(leaf, int | float)]
        device = next(leaf.device for leaf in leaves(arguments) if isinstance(leaf, torch.Tensor))
        rows = torch.zeros((len(numbers), _BYTES // 8), dtype=torch.int64)
        for row, number in zip(rows, numbers, strict=True):
            (row.view(torch.float64) if isinstance(number, float) else row)[0] = number
        # PyTorch gives pinned memory out again when the copy is done, for which nothing waits.
        with suppress(RuntimeError):  # none may be left: then CUDA reads the rows at once
            rows = rows.pin_memory()
        waiting = iter(rows.to(device, non_blocking=True))

        def array(leaf: Tree) -> Tree:
            if not isinstance(leaf, int | float):
                return leaf
            row = next(waiting)
            return (row.view(torch.float64) if isinstance(leaf, float) else row)[0]

        return map_tree(array, arguments)

    def run(self, compiled: Function, arguments: Tree, arrays: Tree) -> Tree:
        """Return the result of compiled code, by a graph if there is one."""
        with torch.cuda.device(leaves(arrays)[0].device):
            result = NotImplemented
            if torch.cuda.current_stream() == torch.cuda.default_stream():
                result = self.graphs(self, (compiled, arguments, arrays))
        return compiled(*arrays) if result is NotImplemented else result

    def capture(self, arguments: tuple[Tree, ...]) -> Graph:
        """See `Capturable.capture`."""
        compiled, trees, arrays = arguments
        are_held = [
            position in self._used_up or isinstance(leaf, int | float) or leaf.nbytes <= _SMALL
            for position, tree in enumerate(trees)
            for leaf in leaves(tree)
        ]
        held = zip(leaves(arrays), are_held, strict=True)
        if sum(leaf.nbytes for leaf, is_held in held if is_held) > MOST_COPIED:
            raise Unsuitable
        return _Graph(compiled, arrays, are_held)

    def has_same_bits(self, program: Function, arguments: tuple[Tree, ...]) -> bool:
        """See `Capturable.has_same_bits`."""
        compiled, _, arrays = arguments
        return _bits(program(*arguments)) == _bits(compiled(*arrays))


class _Graph:
    """Compiled code, captured.

    Parameters
    ----------
    compiled : callable
    arrays : tree
        Its arguments.
    are_held : list of bool
        For each of them, whether it is copied to memory of the graph.
    """

    def __init__(self, compiled: Function, arrays: Tree, are_held: list[bool]) -> None:
        self._compiled, self._are_held = compiled, are_held
        held = iter(
            leaf.clone() if is_held else leaf
            for leaf, is_held in zip(leaves(arrays), are_held, strict=True)
        )
        arrays = map_tree(lambda _: next(held), arrays)
        self._held, self._read = self._divided(arrays)
        stream = torch.cuda.Stream()  # libraries prepare for a stream in the first call
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            compiled(*arrays)
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._results = compiled(*arrays)

    def _divided(self, arrays: Tree) -> tuple[list[Array], list[weakref.ref[Array]]]:
        """Return the arrays that are held, and weak references to the others."""
        held: list[Array] = []
        read: list[weakref.ref[Array]] = []
        for leaf, is_held in zip(leaves(arrays), self._are_held, strict=True):
            (held if is_held else read).append(leaf if is_held else weakref.ref(leaf))
        return held, read

    def inputs(self, arguments: tuple[Tree, ...]) -> Tree:
        """See `Graph.inputs`: the data must be the same arrays in the same memory."""
        compiled, _, arrays = arguments
        if compiled is not self._compiled:
            return NotImplemented
        held, read = self._divided(arrays)
        is_same = all(x() is y() for x, y in zip(self._read, read, strict=True))
        return held if is_same else NotImplemented

    def launch(self, inputs: Sequence[Array]) -> Tree:
        """See `Graph.launch`."""
        _copy(self._held, inputs)
        self._graph.replay()
        results = leaves(self._results)
        copies = [*map(torch.empty_like, results)]
        _copy(copies, results)
        left = iter(copies)
        return map_tree(lambda _: next(left), self._results)


def _copy(targets: Sequence[Array], sources: Sequence[Array]) -> None:
    """Copy arrays, those of a dtype in one launch."""
    for dtype in {target.dtype for target in targets}:
        places = [place for place, target in enumerate(targets) if target.dtype is dtype]
        torch._foreach_copy_([targets[n] for n in places], [sources[n] for n in places])


def _bits(result: Tree) -> list[tuple[object, ...]]:
    return [(x.shape, x.dtype, x.cpu().numpy().tobytes()) for x in leaves(result)]
