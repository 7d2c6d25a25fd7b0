"""The results of operations on a tape of CuPy, as a graph: what reads what, and what is computed.

`cupy_fusing.py` puts the elementwise ones among them together.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from pluggable_mlp.arrays import DType

from .tape import Function, Tree, leaves

Shape = tuple[int, ...]


class Kind:
    """What a tape knows of a place.

    Parameters
    ----------
    value : array or number
        One of that shape and dtype.
    """

    def __init__(self, value: Any) -> None:
        like = np.asarray(value)
        self.shape: Shape = like.shape
        self.dtype: DType = like.dtype
        self.is_number = not isinstance(value, np.ndarray | np.generic)


class Node:
    """The result of an operation.

    Attributes
    ----------
    line : (callable, tuple) or None
        Of an elementwise operation on the device: its function and operands.
    operands : list of Node
        The results that it reads.
    consumers : list of Node
        The operations that read it.
    is_result : bool
        Whether the function returns it.
    place : int or None
        Where the new tape has it, if it does already.
    is_held : bool
        Whether it is a number of the host that kernels read from the device.
    """

    def __init__(self, kind: Kind, on_device: bool, held: bool, place: int | None = None) -> None:
        self.kind, self.on_device, self.place = kind, on_device, place
        self.is_held = held and not on_device
        self.function: Function | None = None
        self.args: Tree = ()
        self.settings: dict[str, Tree] = {}
        self.line: tuple[Function, tuple[Any, ...]] | None = None
        self.operands: list[Node] = []
        self.consumers: list[Node] = []
        self.is_result = False

    def set_operands(self) -> None:
        """Note what its line reads or, if it has none, its call."""
        of = (self.args, self.settings) if self.line is None else self.line[1]
        self.operands = [leaf for leaf in leaves(of) if isinstance(leaf, Node)]
        for operand in self.operands:
            operand.consumers.append(self)

    @property
    def is_for_a_call(self) -> bool:
        """Whether it is elementwise and another operation that is not reads it."""
        return self.line is not None and any(of.line is None for of in self.consumers)

    @property
    def waits(self) -> bool:
        """Whether it is elementwise and not computed yet."""
        return self.line is not None and self.place is None


def closure(roots: Iterable[Node]) -> set[Node]:
    """Return the elementwise results that are not computed yet and that the roots need."""
    needed: set[Node] = set()
    waiting = [node for node in roots if node.waits]
    while waiting:
        node = waiting.pop()
        if node not in needed:
            needed.add(node)
            waiting += [operand for operand in node.operands if operand.waits]
    return needed


def differ(one: Node, other: Node) -> bool:
    """Return whether their shapes differ."""
    return one.kind.shape != other.kind.shape


def tables(nodes: Iterable[Node]) -> set[Node]:
    """Return the elementwise results, not computed yet, of which nodes take entries."""
    taking = [node.line[1][0] for node in nodes if node.line and node.line[0] is np.ndarray.take]
    return {table for table in taking if isinstance(table, Node) and table.waits}


def by_products(node: Node, needed: set[Node]) -> set[Node]:
    """Return what had best be computed with others, as it reads one of them anyway, or nothing.

    It is a node that a call needs later, and what leads to it.
    """
    if not node.waits or node in needed:
        return set()
    more: set[Node] = set()
    waiting = [node]
    while waiting:
        of = waiting.pop()
        if of in more or of in needed:  # what the latter needs is needed, too
            continue
        more.add(of)
        for operand in of.operands:
            if operand.waits:
                waiting.append(operand)
            elif operand.place is None:  # not elementwise, and not computed yet
                return set()
    read = (operand for of in more for operand in of.operands)
    reads_one = any(operand in needed and not differ(operand, node) for operand in read)
    return more if reads_one else set()


def is_read_elsewhere(node: Node, members: set[Node]) -> bool:
    """Return whether others than members of its kernel need it, who cannot compute it themselves.

    Elementwise results of a larger shape can.
    """
    return node.is_result or any(
        consumer.line is None or not differ(consumer, node)
        for consumer in node.consumers
        if consumer not in members
    )
