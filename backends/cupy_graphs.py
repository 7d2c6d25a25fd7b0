"""A training step on CuPy as a CUDA graph: one launch for all its kernels; untried on a GPU.

A graph is captured from the kernels of a fused function (`cupy_fusing.py`), and repeats them with
the same memory and the same values as arguments.  Therefore

- numbers, which differ from call to call, are read from the device, where one launch puts them,
  with the arrays among the arguments;
- rows of an argument, where numbers say which, are taken before;
- results are copied out of the graph's memory, so that they stay as they are;
- products of matrices are those of `cupy_products.py`;
- all memory of a graph is its own as long as it lives.

When one is captured, and tried, is in `graphs.py`.
"""

import operator
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from threading import Lock
from typing import Any

import cupy
import numpy as np

from pluggable_mlp.arrays import Array, DType

from .cupy_kernels import ARGUMENT_BYTES, CONVERT, Argument, Input, Kernel, Line
from .cupy_launches import InOneLaunch
from .cupy_products import products_on
from .cupy_tracing import FusedFunction
from .graphs import MOST_COPIED, Graph, Graphs
from .numpy_tracing import ArrayWriter
from .tape import Function, Operation, Place, Tape, Tree, leaves, map_tree
from .tracing import TraceError

_MOST_MEMORY = 2**28
"""Bytes of a graph: of its arguments and all it computes, as none is given out again meanwhile."""

_capturing = Lock()  # the handle of cuBLAS is for one stream at a time


class CapturedFunction(FusedFunction):
    """A fused function that becomes a CUDA graph when it was called often.

    Graphs are for the default stream, on which each follows all that was launched before it.
    """

    library = f"CuPy {cupy.__version__}"

    def __init__(self, function: Function) -> None:
        super().__init__(function)
        self.graphs = Graphs()

    def __call__(self, *arguments: Tree) -> Tree:
        """Return what the function returns."""
        result = NotImplemented
        if self.programs and cupy.cuda.get_current_stream().ptr == 0:
            result = self.graphs(self, arguments)
        return super().__call__(*arguments) if result is NotImplemented else result

    def capture(self, arguments: tuple[Tree, ...]) -> Graph:
        """See `Capturable.capture`."""
        with _capturing:
            return _Graph(self, arguments)


class _Graph:
    """The kernels of a function for arguments of one kind, in one launch."""

    def __init__(self, function: CapturedFunction, arguments: Tree) -> None:
        on_device = [*map(function.is_array, leaves(arguments))]
        self._plan = plan = _Plan(*function.fused(arguments, held=True), on_device)
        writer = ArrayWriter(plan.tape, [Place(number) for number in plan.inputs])
        self._before = function.guarded(arguments, [*writer.lines()], writer.constants)
        given = self._before(*arguments)
        self._shapes = [*map(_shape_of, given)]
        if sum(x.nbytes for x in given if function.is_array(x)) > MOST_COPIED:
            raise TraceError
        # Nothing that is freed meanwhile is given out again: the graph writes to it.
        self._memory: list[cupy.cuda.MemoryPointer] = []
        self._bytes = 0
        self._pool = cupy.cuda.MemoryPool()
        with cupy.cuda.using_allocator(self._allocate):
            kinds = zip(self._shapes, map(_dtype_of, given), strict=True)
            self._held = [cupy.empty(shape, dtype=dtype) for shape, dtype in kinds]
        self._copy_in = _Copies(given)
        self._copy_in.into(self._held, given)
        self._graph, self._results = self._captured()
        self._copy_out = _Copies(leaves(self._results))

    def inputs(self, arguments: tuple[Tree, ...]) -> Any:
        """Return what `launch` is to be given; NotImplemented for arguments of another kind."""
        given = self._before(*arguments)
        if given is NotImplemented or [*map(_shape_of, given)] != self._shapes:
            return NotImplemented  # there may be fewer rows of an array than it was asked for
        return given

    def launch(self, given: Sequence[Any]) -> Tree:
        """Return what the function returns, in memory of its own."""
        self._copy_in.into(self._held, given)
        self._graph.launch()
        copies = iter(self._copy_out(leaves(self._results)))
        return map_tree(lambda _: next(copies), self._results)

    def _captured(self) -> tuple[cupy.cuda.Graph, Tree]:
        """Return the graph, and what will be its results: they have no values yet."""
        products = products_on(cupy.cuda.Device().id)
        run = partial(self._plan.run, self._held, products.matmul)
        products.use(cupy.cuda.Stream.null)
        run()  # compiles and loads what is not allowed to be meanwhile
        stream = cupy.cuda.Stream(non_blocking=True)
        products.use(stream)
        with stream, cupy.cuda.using_allocator(self._allocate):
            stream.begin_capture()
            try:
                results = run()
            except BaseException:
                with suppress(Exception):
                    stream.end_capture()
                raise
            return stream.end_capture(), results

    def _allocate(self, size: int) -> "cupy.cuda.MemoryPointer":
        self._bytes += size
        if self._bytes > _MOST_MEMORY:
            raise TraceError
        self._memory.append(self._pool.malloc(size))
        return self._memory[-1]


class _Plan:
    """What happens before a graph is launched, and what in it.

    Parameters
    ----------
    tape, result
        Of operations and kernels, which are given numbers as arrays.
    on_device : list of bool
        Whether each argument is an array.

    Attributes
    ----------
    tape, result
        As given.
    operations : list of Operation
        Those in the graph, in order.
    inputs : list of int
        The places that these read and that are known before: the numbers that kernels are given,
        arrays among the arguments, and rows of these.
    """

    def __init__(self, tape: Tape, result: Tree, on_device: list[bool]) -> None:
        self.tape, self.result = tape, result
        self.operations: list[Operation] = []
        numbers = {number for number, is_array in enumerate(on_device) if not is_array}
        before = {*range(len(on_device))}
        for operation in tape.needed(result):
            if _is_of(numbers, operation):
                numbers.add(operation.result)
                before.add(operation.result)
            elif before.issuperset(operation.operands) and _takes_rows(operation, numbers):
                before.add(operation.result)
            elif numbers.isdisjoint(operation.operands) or _is_kernel(operation.function):
                self.operations.append(operation)
            else:
                raise TraceError  # it would have the same number in each launch
        read = {number for operation in self.operations for number in operation.operands}
        read.update(place.number for place in leaves(result))
        self.inputs = sorted(read & before)

    def run(self, inputs: list[Array], matmul: Function) -> Tree:
        """Run the operations on arrays in the places of the inputs, and return the result."""
        values: dict[int, Any] = dict(zip(self.inputs, inputs, strict=True))

        def value(leaf: Any) -> Any:
            return values[leaf.number] if isinstance(leaf, Place) else leaf

        for function, args, settings, result, _, _ in self.operations:
            called = matmul if function is cupy.matmul else function
            values[result] = called(*map_tree(value, args), **map_tree(value, settings))
        return map_tree(value, self.result)


def _is_of(numbers: set[int], operation: Operation) -> bool:
    """Return whether it is an operation of numbers alone, on the host."""
    constants = leaves((operation.args, operation.settings))
    has_array = any(isinstance(leaf, cupy.ndarray) for leaf in constants)
    return numbers.issuperset(operation.operands) and not has_array


def _takes_rows(operation: Operation, numbers: set[int]) -> bool:
    """Return whether it takes a part of an array that numbers, or indices, choose."""
    is_slice = operation.function is operator.getitem and not numbers.isdisjoint(operation.operands)
    return is_slice or operation.function is cupy.take


def _is_kernel(function: Callable[..., Any]) -> bool:
    return isinstance(function, InOneLaunch | cupy.ElementwiseKernel)


# Copies


class _Copies:
    """Copies of arrays, and of numbers to arrays without axes, in few launches.

    Parameters
    ----------
    like : sequence
        Arrays of the shapes and dtypes, and numbers of the kinds, of what is to be copied.
    """

    def __init__(self, like: Sequence[Any]) -> None:
        self._parts: list[tuple[int, int, InOneLaunch]] = []
        begin, size = 0, 0
        for end, value in enumerate([*like, None]):
            needed = 0 if value is None else _argument_bytes(value)
            if value is None or size + needed > ARGUMENT_BYTES:
                self._parts.append((begin, end, _copying(like[begin:end])))
                begin, size = end, 0
            size += needed

    def __call__(self, values: Sequence[Any]) -> list[Array]:
        """Return copies."""
        return [copy for begin, end, launch in self._parts for copy in launch(*values[begin:end])]

    def into(self, targets: Sequence[Array], values: Sequence[Any]) -> None:
        """Copy into arrays."""
        for begin, end, launch in self._parts:
            launch.into(targets[begin:end], values[begin:end])


def _copying(like: Sequence[Any]) -> InOneLaunch:
    kernels = []
    for value in like:
        dtype = _dtype_of(value).name
        argument = Argument(dtype, "array" if isinstance(value, cupy.ndarray) else "number")
        kernels.append(Kernel((argument,), (Line(CONVERT, (Input(0),), dtype),), (0,)))
    return InOneLaunch(tuple(kernels), tuple(map(_shape_of, like)))


def _argument_bytes(value: Any) -> int:
    """Return the bytes of a launch's arguments for a copy of a value, at most."""
    array = 16 + 16 * max(len(_shape_of(value)), 1)
    return 16 + array + (array if isinstance(value, cupy.ndarray) else 8)


def _dtype_of(value: Any) -> DType:
    return value.dtype if isinstance(value, cupy.ndarray) else np.asarray(value).dtype


def _shape_of(value: Any) -> tuple[int, ...]:
    return value.shape if isinstance(value, cupy.ndarray) else ()
