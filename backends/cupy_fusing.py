"""A tape with its elementwise operations put together, each group of them one operation.

Elementwise results wait until another operation needs them.  What it needs, and what that needs,
is then computed by as few kernels as shapes and order allow: one for the results of a shape that
depend on each other elementwise, and one for several shapes where nothing is broadcast.  So all
that is left at the end, such as the update of every parameter, is one kernel.
"""

import math
import operator
from typing import Any

import array_api_compat.cupy
import cupy
import numpy as np

from pluggable_mlp.arrays import Array

from .cupy_kernels import (
    ARGUMENT_BYTES,
    Argument,
    Input,
    Kernel,
    Line,
    Previous,
    as_line,
    is_supported,
)
from .cupy_launches import launcher
from .cupy_nodes import (
    Kind,
    Node,
    Shape,
    by_products,
    closure,
    differ,
    is_read_elsewhere,
    tables,
)
from .cupy_sums import short_sum
from .numpy_tracing import UFUNCS
from .tape import Function, Operation, Place, Tape, Tree, leaves, map_tree
from .tracing import TraceError

_NAMES: dict[Function, str] = {
    np.add.reduce: "sum",
    np.maximum.reduce: "max",
    np.minimum.reduce: "min",
}


def fused(
    tape: Tape, kinds: list[Kind], on_device: list[bool], result: Tree, *, held: bool = False
) -> tuple[Tape, Tree]:
    """Return a tape of CuPy's operations and of kernels, and the result on it.

    Parameters
    ----------
    tape : Tape
        Of NumPy's operations, on places that stand for arrays of CuPy, or for numbers.
    kinds : list of Kind
        Of each place.
    on_device : list of bool
        Whether each argument is an array of CuPy.
    result : tree
        What is returned, with places.
    held : bool, default False
        Whether kernels are to be given numbers as arrays without axes, of the same dtype, which
        are promoted as the numbers are.
    """
    fuser = _Fuser(tape.owners, kinds, on_device, held)
    for operation in tape.needed(result):
        fuser.add(operation)
    return fuser.tape, fuser.finish(result)


class _Fuser:
    """Builds the new tape."""

    def __init__(
        self, owners: list[int], kinds: list[Kind], on_device: list[bool], held: bool
    ) -> None:
        self.tape = Tape()
        self._owners, self._kinds, self._held = owners, kinds, held
        self._nodes: list[Node] = []
        self._for_calls: list[Node] = []  # the elementwise ones among them that calls need
        self._current: dict[int, Node] = {}  # by the place on the old tape
        self._stale: set[int] = set()  # places there of memory that was overwritten by another
        self._constants: dict[int, tuple[Array, Array]] = {}  # on the device, by ids on the host
        for number, is_array in enumerate(on_device):
            place = self.tape.add_argument()
            self._current[number] = Node(kinds[number], is_array, held, place)

    # The graph

    def add(self, operation: Operation) -> None:
        """Add an operation; an array that it overwrites is a new result."""
        operands = map_tree(self._node_at, (operation.args, operation.settings))
        flat = leaves(operands)
        on_device = any(
            leaf.on_device if isinstance(leaf, Node) else _is_constant(leaf) for leaf in flat
        )
        node = Node(self._kinds[operation.result], on_device, self._held)
        node.function, (node.args, node.settings) = operation.function, operands
        if on_device:
            line = as_line(operation.function, *operands)
            node.line = line if line and _has_expression(line, node.kind) else None
        elif node.kind.shape:
            raise TraceError  # it would be copied to the device at every call
        if node.line is None and not operation.is_new:
            raise TraceError
        node.set_operands()
        if not operation.is_new:
            owner = self._owners[operation.result]
            self._stale.update(place for place in self._current if self._owners[place] == owner)
            self._stale.discard(operation.result)
        self._current[operation.result] = node
        self._nodes.append(node)

    def _node_at(self, leaf: Any) -> Any:
        if not isinstance(leaf, Place):
            return leaf
        if leaf.number in self._stale:
            raise TraceError  # the new result is not in its memory
        return self._current[leaf.number]

    # The order

    def finish(self, result: Tree) -> Tree:
        """Put everything on the new tape, and return the result there."""
        results = map_tree(self._node_at, result)
        for node in leaves(results):
            if not isinstance(node, Node) or not node.on_device:
                raise TraceError
            node.is_result = True
        self._for_calls = [node for node in self._nodes if node.is_for_a_call]
        for node in self._nodes:
            if node.line is None:
                self._compute(node.operands)
                self._call(node)
        self._compute(leaves(results))
        return map_tree(self._placed, results)

    def _call(self, node: Node) -> None:
        """Put an operation on the tape that is not elementwise, or one of numbers."""
        assert node.function is not None
        function = node.function
        if node.on_device and not _is_view(function):
            if not all(operand.on_device for operand in node.operands):
                raise TraceError
            function = _of_library(UFUNCS.get(function, function))
        args, settings = map_tree(self._placed, (node.args, node.settings))
        node.place = self._add(function, args, settings)

    def _add(self, function: Function, args: Tree, settings: dict[str, Tree] | None = None) -> int:
        place = self.tape.add_place()
        self.tape.add(function, args, settings or {}, place, True)
        return place

    def _placed(self, leaf: Any) -> Any:
        """Return what stands for an operand on the new tape."""
        if isinstance(leaf, Node):
            assert leaf.place is not None
            return Place(leaf.place)
        return self._constant(leaf) if _is_constant(leaf) else leaf

    def _constant(self, host: Array) -> Array:
        if id(host) not in self._constants:
            self._constants[id(host)] = host, cupy.asarray(host)
        return self._constants[id(host)][1]

    def _compute(self, roots: list[Node]) -> None:
        """Put kernels on the tape for elementwise results and all that they need."""
        needed = closure(roots)
        kept = {root for root in roots if root.waits} | tables(needed)
        for node in self._for_calls:
            more = by_products(node, needed)
            if more:
                needed |= more
                kept.add(node)
        nodes = [node for node in self._nodes if node in needed]  # in order
        levels: dict[Node, int] = {}
        for node in nodes:
            levels[node] = max(
                (
                    levels[operand] + (operand in kept and differ(operand, node))
                    for operand in node.operands
                    if operand in needed
                ),
                default=0,
            )
        groups: dict[tuple[int, Shape], list[Node]] = {}
        members = kept.copy()
        for node in reversed(nodes):  # what others of another shape read is part of their kernels
            if node in members:
                members.update(of for of in node.operands if of.waits and not differ(of, node))
        for node in nodes:
            if node in members:
                groups.setdefault((levels[node], node.kind.shape), []).append(node)
        for level in sorted({of for of, _ in groups}):
            self._launch([group for (of, _), group in groups.items() if of == level])

    def _launch(self, groups: list[list[Node]]) -> None:
        """Put the kernels of groups on the tape that do not depend on each other."""
        together: list[_Group] = []
        for group in (part for nodes in groups for part in _parts(nodes)):
            size = sum(of.argument_bytes for of in (*together, group))
            if group.depends_on(together) or (group.is_plain and size > ARGUMENT_BYTES):
                self._launch_together(together)
                together = []
            if group.is_plain:
                together.append(group)
            else:
                self._launch_together([group])
        if together:
            self._launch_together(together)

    def _launch_together(self, groups: "list[_Group]") -> None:
        kernels = tuple(group.kernel for group in groups)
        function = launcher(kernels, tuple(group.shape for group in groups))
        args = tuple(self._argument(operand) for group in groups for operand in group.arguments)
        results = Place(self._add(function, args))
        for index, node in enumerate(node for group in groups for node in group.results):
            node.place = self._add(operator.getitem, (results, index))

    def _argument(self, operand: Any) -> Any:
        placed = self._placed(operand)
        if isinstance(operand, Node) and not operand.on_device and not operand.kind.is_number:
            return Place(self._add(operator.getitem, (placed, ())))  # a scalar, not a 0-d array
        return placed


class _Group:
    """Elementwise operations of one shape as a kernel.

    Attributes
    ----------
    kernel : Kernel
    arguments : list
        Nodes, and constants of the host.
    results : list of Node
        Which others need.
    """

    def __init__(self, nodes: list[Node]) -> None:
        self.shape = nodes[0].kind.shape
        self.arguments: list[Any] = []
        self._inputs: list[Argument] = []
        self._numbers: dict[int, Input | Previous] = {}  # of what is known, by its id
        self._lines: list[Line] = []
        members = set(nodes)
        self.results = [node for node in nodes if is_read_elsewhere(node, members)]
        for node in nodes:
            self._add(node)
        outputs = tuple(self._numbers[id(node)].number for node in self.results)
        self.kernel = Kernel(tuple(self._inputs), tuple(self._lines), outputs)

    def _add(self, node: Node) -> None:
        """Add the line of a node, and of what it reads and nothing has computed."""
        assert node.line is not None
        function, operands = node.line
        for operand in node.operands:
            is_known = not operand.waits or id(operand) in self._numbers
            if not is_known and operand.kind.shape != self.shape:
                self._add(operand)
        read = tuple(
            self._operand(operand, is_table=function is np.ndarray.take and place == 0)
            for place, operand in enumerate(operands)
        )
        self._numbers[id(node)] = Previous(len(self._lines))
        self._lines.append(Line(function, read, node.kind.dtype.name))

    def _operand(self, operand: Any, is_table: bool) -> Any:
        """Return what stands for an operand in a line."""
        if not isinstance(operand, Node) and not _is_constant(operand):
            return operand
        if id(operand) not in self._numbers:
            self._numbers[id(operand)] = Input(len(self.arguments))
            self.arguments.append(operand)
            self._inputs.append(_argument(operand, self.shape, is_table))
        return self._numbers[id(operand)]

    @property
    def is_plain(self) -> bool:
        """Whether every argument has the shape of the results, or is one element or number."""
        return all(
            argument.kind != "table" and (argument.kind != "array" or _shape(operand) == self.shape)
            for argument, operand in zip(self._inputs, self.arguments, strict=True)
        )

    @property
    def argument_bytes(self) -> int:
        """The bytes of a launch's arguments that are this kernel's, at most."""
        count = len(self.results) + sum(not of.is_value for of in self._inputs)
        values = 2 + len(self.arguments) + len(self.results) - count  # and a range of the index
        return 8 * values + (16 + 16 * max(len(self.shape), 1)) * count

    def depends_on(self, others: "list[_Group]") -> bool:
        """Return whether it reads results of others."""
        made = {id(node) for other in others for node in other.results}
        return any(id(operand) in made for operand in self.arguments)


def _parts(nodes: list[Node]) -> list[_Group]:
    """Return kernels of operations of one shape, in order, of as many arguments as CUDA takes."""
    group = _Group(nodes)
    if group.argument_bytes <= ARGUMENT_BYTES or len(nodes) == 1:
        return [group]
    half = len(nodes) // 2
    return [*_parts(nodes[:half]), *_parts(nodes[half:])]


def _is_view(function: Function) -> bool:
    """Return whether it is indexing, by numbers of the host maybe, or an attribute."""
    return function is operator.getitem or isinstance(function, operator.attrgetter)


def _is_constant(leaf: Any) -> bool:
    """Return whether it is an array of the function's own, which is copied to the device once."""
    return isinstance(leaf, np.ndarray) and leaf.ndim > 0


def _shape(operand: Any) -> Shape:
    shape: Shape = operand.kind.shape if isinstance(operand, Node) else operand.shape
    return shape


def _argument(operand: Any, shape: Shape, is_table: bool) -> Argument:
    """Return the argument of a kernel, with results of a shape, for an operand."""
    if is_table:
        return Argument(operand.dtype.name, "table", operand.size)
    if isinstance(operand, Node) and not operand.on_device:
        kind = "number" if operand.kind.is_number else "scalar"
        return Argument(operand.kind.dtype.name, kind, held=operand.is_held)
    own = _shape(operand)
    dtype = operand.kind.dtype if isinstance(operand, Node) else operand.dtype
    is_single = math.prod(own) == 1 and math.prod(shape) > 1
    return Argument(dtype.name, "single" if is_single else "array")


def _has_expression(line: tuple[Function, tuple[Any, ...]], kind: Kind) -> bool:
    """Return whether a kernel can have the line."""
    function, operands = line
    inputs: list[Argument] = []
    read: list[Any] = []
    for place, operand in enumerate(operands):
        if isinstance(operand, Node) or _is_constant(operand):
            is_table = function is np.ndarray.take and place == 0
            read.append(Input(len(inputs)))
            inputs.append(_argument(operand, kind.shape, is_table))
        else:
            read.append(operand)
    return is_supported(Kernel(tuple(inputs), (), ()), Line(function, tuple(read), kind.dtype.name))


def _of_library(function: Function) -> Function:
    """Return CuPy's function for one of NumPy."""
    if function in (short_sum, operator.pow):  # CuPy's operator makes squares and roots of powers
        return function
    name = _NAMES.get(function, getattr(function, "__name__", ""))
    for library in (cupy, array_api_compat.cupy):  # the names and settings of NumPy are CuPy's
        if hasattr(library, name):
            found: Function = getattr(library, name)
            return found
    raise TraceError
