"""A training step of CuPy as a CUDA graph: one launch for all its kernels; untried on a GPU.

A graph repeats the same kernels on the same memory.  The step is traced (`cupy_tracing.py`), so
that its numbers, and the rows of the data that it takes, are known beforehand: these, the state and
small arrays are copied to memory of the graph, and results out of it.  `graphs.py` decides when a
graph is captured and tried.
"""

import operator
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from threading import Lock

import array_api_compat.cupy
import cupy
import numpy as np
from cupyx.scipy import special

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.compiling import Unsuitable

from .cupy_kernels import elementwise_kernel, erf, have_same_bits, short_sum
from .cupy_products import products_on
from .cupy_tracing import Kernel, StandInTape, kernel_of, kind_of, on_tape, stand_in_of
from .graphs import MOST_COPIED, Graph, Graphs
from .numpy_tracing import UFUNCS
from .tape import Function, Operation, Place, Tree, Writer, compiled_program, leaves, map_tree
from .tracing import guard

_MOST_MEMORY = 2**28
"""Bytes of a graph, of its arguments, results and cuBLAS's workspace: all memory is its own."""
_AT_ONCE = 32
"""Arrays that are copied in one launch, whose arguments are 4 KB at most."""
_NAMES: dict[Function, str] = {
    np.add.reduce: "sum",
    np.maximum.reduce: "max",
    np.minimum.reduce: "min",
}

_capturing = Lock()  # the handle of cuBLAS is for one stream at a time


class CapturedFunction:
    """A function of CuPy arrays that becomes a CUDA graph when it is called often.

    Graphs are for the default stream, on which each follows all that was launched before it.
    """

    def __init__(self, function: Function, on_tape: Function) -> None:
        self.function, self._on_tape = function, on_tape
        self.graphs = Graphs(f"CuPy {cupy.__version__}")

    @classmethod
    def of(cls, function: Function) -> "CapturedFunction | None":
        """Return the function; None if it is not bound to a namespace over CuPy."""
        bound = on_tape(function)
        return None if bound is None else cls(function, bound)

    def __call__(self, *arguments: Tree) -> Tree:
        """Return what the function returns."""
        result = NotImplemented
        if cupy.cuda.get_current_stream().ptr == 0:
            result = self.graphs(self, arguments)
        return self.function(*arguments) if result is NotImplemented else result

    def capture(self, arguments: tuple[Tree, ...]) -> Graph:
        """See `Capturable.capture`."""
        with _capturing:
            return _Graph(self._on_tape, arguments)

    def has_same_bits(self, program: Function, arguments: Tree) -> bool:
        """See `Capturable.has_same_bits`, except for the bits of NaN."""
        # On the host, so that no two results are in the device's memory at once.
        expected = map_tree(cupy.asnumpy, self.function(*arguments))
        results = map_tree(cupy.asnumpy, program(*arguments))
        have_same_form = map_tree(type, results) == map_tree(type, expected)
        return have_same_form and all(map(have_same_bits, leaves(results), leaves(expected)))


class _Graph:
    """The kernels of a function for arguments of one kind, in one launch."""

    def __init__(self, function: Function, arguments: Tree) -> None:
        self._plan = plan = _Plan(function, arguments)
        self._before = plan.before(arguments)
        inputs = _as_arrays(self._before(*arguments))
        self._shapes = [x.shape for x in inputs]
        if sum(x.nbytes for x in inputs) > MOST_COPIED:
            raise Unsuitable
        # Memory freed meanwhile must not be reused: the graph writes to it.
        self._memory: list[cupy.cuda.MemoryPointer] = []
        self._bytes = 0
        with cupy.cuda.using_allocator(self._allocate):
            self._held = [cupy.empty(x.shape, dtype=x.dtype) for x in inputs]
        self._copy_in = _copier(self._held, inputs)
        self._copy_in(self._held, inputs)
        self._graph, self._results = self._captured()
        results = leaves(self._results)
        self._copy_out = _copier(results, results)

    def inputs(self, arguments: tuple[Tree, ...]) -> Tree:
        """Return the arguments for `launch`, or NotImplemented for arguments of another kind."""
        leaves = self._before(*arguments)
        if leaves is NotImplemented:
            return leaves
        inputs = _as_arrays(leaves)
        # There may be fewer rows of an array than it was asked for.
        return inputs if [x.shape for x in inputs] == self._shapes else NotImplemented

    def launch(self, inputs: Sequence[Array]) -> Tree:
        """Return the function's result, in memory of its own."""
        self._copy_in(self._held, inputs)
        self._graph.launch()
        results = leaves(self._results)
        copies = [cupy.empty(x.shape, dtype=x.dtype) for x in results]
        self._copy_out(copies, results)
        left = iter(copies)
        return map_tree(lambda _: next(left), self._results)

    def _captured(self) -> tuple[cupy.cuda.Graph, Tree]:
        """Return the graph and the arrays of its results, which have no values yet."""
        products = products_on(cupy.cuda.Device().id)
        workspace = self._allocate(products.workspace_size)
        run = partial(self._plan.run, self._held, products.matmul)
        products.use(cupy.cuda.Stream.null, workspace)
        run()  # compiles and loads kernels, which is not allowed during a capture
        stream = cupy.cuda.Stream(non_blocking=True)
        products.use(stream, workspace)
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
            raise Unsuitable
        # Given back to the device on its own; CuPy's pool would keep it.
        self._memory.append(cupy.cuda.MemoryPointer(cupy.cuda.Memory(size), 0))
        return self._memory[-1]


@dataclass(frozen=True)
class _Elementwise:
    """A NumPy function in the form that `in_one_kernel` takes."""

    function: Function

    def __call__(self, xp: Namespace, *operands: Array) -> Array:
        """Return what NumPy's function returns, on a tape."""
        return self.function(*operands)


class _Plan:
    """The operations before a graph is launched, and those in it.

    Parameters
    ----------
    function : callable
    arguments : tree

    Attributes
    ----------
    operations : list of Operation
        Those in the graph, in order.
    inputs : list of int
        The places that these read and that are known beforehand: numbers for kernels, arrays
        among the arguments, and rows of these.
    """

    def __init__(self, function: Function, arguments: Tree) -> None:
        self._tape = tape = StandInTape(keeps_kernels=True)
        with np.errstate(all="ignore"):
            self._result = tape.run(function, map_tree(stand_in_of, arguments))
        self._numbers = {
            number for number, leaf in enumerate(leaves(arguments)) if not _is_array(leaf)
        }
        if self._numbers.intersection(place.number for place in leaves(self._result)):
            raise Unsuitable
        self._known = {*range(tape.argument_count)}  # places whose values come before the graph
        self._overwritten: set[int] = set()  # owners of memory that changes within it
        operations_before: list[Operation] = []
        self.operations: list[Operation] = []
        for recorded in tape.needed(self._result):
            operation, is_before = self._placed(recorded)
            (operations_before if is_before else self.operations).append(operation)
        tape.operations = operations_before
        read = {number for operation in self.operations for number in operation.operands}
        read.update(place.number for place in leaves(self._result))
        self.inputs = sorted(read & self._known)

    def _placed(self, recorded: Operation) -> tuple[Operation, bool]:
        """Return an operation as it will run, and whether before the graph."""
        if self._is_of_numbers(recorded):
            self._numbers.add(recorded.result)
            self._known.add(recorded.result)
            return recorded, True
        varies = not self._numbers.isdisjoint(recorded.operands)
        operation = self._on_cupy(recorded, varies)
        is_varying_part = varies and operation.function is operator.getitem
        if (is_varying_part or operation.function is cupy.take) and self._reads_known(operation):
            self._known.add(operation.result)
            return operation, True
        if is_varying_part:
            raise Unsuitable  # it would be the same in each launch
        if not operation.is_new:
            self._overwritten.add(self._tape.owners[operation.result])
        return operation, False

    def _reads_known(self, operation: Operation) -> bool:
        """Return whether everything that it reads has its value before the graph."""
        owners = (self._tape.owners[number] for number in operation.operands)
        is_known = self._known.issuperset(operation.operands)
        return is_known and self._overwritten.isdisjoint(owners)

    def _is_of_numbers(self, operation: Operation) -> bool:
        """Return whether it is an operation only on numbers, on the host."""
        constants = leaves((operation.args, operation.settings))
        has_tables = any(isinstance(leaf, np.ndarray) and leaf.ndim for leaf in constants)
        return self._numbers.issuperset(operation.operands) and not has_tables

    def _on_cupy(self, operation: Operation, varies: bool) -> Operation:
        """Return CuPy's operation for one of NumPy's; a kernel if its operands are numbers."""
        args, settings = map_tree(_constant, (operation.args, operation.settings))
        function = UFUNCS.get(operation.function, operation.function)
        if isinstance(function, Kernel) or function is operator.getitem:
            pass
        elif varies:
            kinds = tuple(
                self._tape.kinds[leaf.number] if isinstance(leaf, Place) else kind_of(leaf)
                for leaf in args
            )
            kernel = kernel_of(_Elementwise(function), kinds)
            if kernel is None or settings.keys() - {"out"}:
                raise Unsuitable
            function = kernel
        elif not isinstance(function, operator.attrgetter | operator.methodcaller):
            function = _of_library(function)
        return operation._replace(function=function, args=args, settings=settings)

    def before(self, arguments: Tree) -> Function:
        """Return the program that computes the inputs from arguments of this kind."""
        writer = Writer(self._tape, [Place(number) for number in self.inputs])
        lines = [*writer.lines()]
        layout = operator.attrgetter("shape", "dtype", "device")
        guarding = guard(arguments, _is_array, layout, writer.constants)
        # It computes on the current device, which may differ from that of the arrays.
        writer.constants["current"] = cupy.cuda.Device
        device = f"if current().id != {cupy.cuda.Device().id}: return NotImplemented"
        return compiled_program([*guarding, device, *lines], writer.constants)

    def run(self, inputs: list[Array], matmul: Function) -> Tree:
        """Run the operations on arrays in the places of the inputs, and return the result."""
        values: dict[int, Array] = dict(zip(self.inputs, inputs, strict=True))

        def value(leaf: Tree) -> Tree:
            return values[leaf.number] if isinstance(leaf, Place) else leaf

        for function, args, settings, result, _ in self.operations:
            called = matmul if function is cupy.matmul else function
            values[result] = called(*map_tree(value, args), **map_tree(value, settings))
        return map_tree(value, self._result)


def _is_array(leaf: object) -> bool:
    return type(leaf) is cupy.ndarray


def _constant(leaf: Tree) -> Tree:
    """Return one of the function's own arrays on the device."""
    if not isinstance(leaf, np.ndarray):
        return leaf
    return cupy.asarray(leaf) if leaf.ndim else leaf[()]


def _of_library(function: Function) -> Function:
    """Return CuPy's function for one of NumPy's."""
    if function in (short_sum, operator.pow):  # CuPy's operator turns powers into squares and roots
        return function
    if function is erf:
        return special.erf
    name = _NAMES.get(function, getattr(function, "__name__", ""))
    for library in (cupy, array_api_compat.cupy):  # CuPy has NumPy's names and settings
        if hasattr(library, name):
            return getattr(library, name)
    raise Unsuitable


# Copies


def _as_arrays(leaves: Sequence[Array]) -> list[Array]:
    """Return arrays as they are, and numbers as arrays of NumPy without axes."""
    return [leaf if _is_array(leaf) else np.asarray(leaf) for leaf in leaves]


def _copier(targets: Sequence[Array], sources: Sequence[Array]) -> Callable[..., None]:
    """Return a function that copies such arrays, of CuPy or without axes, in few launches."""
    launches = []
    for begin in range(0, len(targets), _AT_ONCE):
        part = slice(begin, begin + _AT_ONCE)
        dtypes = [x.dtype.name for x in targets[part]]
        ends = np.cumsum([x.size for x in targets[part]]).tolist()
        launches.append((part, _copying(dtypes, map(_is_array, sources[part])), ends))

    def copy(targets: Sequence[Array], sources: Sequence[Array]) -> None:
        for part, kernel, ends in launches:
            flat = [x.ravel() if _is_array(x) else x[()] for x in sources[part]]
            kernel(*flat, *ends, *(x.ravel() for x in targets[part]), size=ends[-1])

    return copy


def _copying(dtypes: Iterable[str], are_arrays: Iterable[bool]) -> Function:
    """Return the kernel in which each copy has a range of the index, up to its end."""
    inputs, ends, outputs, branches = [], [], [], []
    begin = "0"
    for at, (dtype, is_array) in enumerate(zip(dtypes, are_arrays, strict=True)):
        inputs.append(f"{'raw ' if is_array else ''}{dtype} x{at}")
        ends.append(f"int64 end{at}")
        outputs.append(f"raw {dtype} y{at}")
        value = f"x{at}[i - {begin}]" if is_array else f"x{at}"
        branches.append(f"if (i < end{at}) {{ y{at}[i - {begin}] = {value}; }}")
        begin = f"end{at}"
    texts = ", ".join([*inputs, *ends]), ", ".join(outputs), "\nelse ".join(branches)
    return elementwise_kernel(*texts, "copies")
