"""Arrays divided along one axis among processes, and the rows that belong to each process."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, pairwise
from operator import attrgetter
from types import EllipsisType
from typing import TypeAlias

from pluggable_mlp.arrays import Array, Namespace, Nested, map_nested
from pluggable_mlp.namespaces.wrapped_array import WrappedArray

ArrayOrScalar: TypeAlias = "ShardedArray | bool | int | float"
KeyItem: TypeAlias = int | slice | EllipsisType | None


class ShardingError(AttributeError, NotImplementedError):
    """Raised if an operation on a cut array has no rule, as it needs other processes' parts."""


@dataclass(frozen=True)
class Layout:
    """Which rows of an axis belong to which process: each unit of examples is divided evenly.

    Parameters
    ----------
    edges : tuple of int
        The examples at which units begin, from 0 on, and the number of examples.
    rank, size : int
        The index of this process, and the number of processes.
    rows : int, default 1
        How many consecutive rows each example has.
    """

    edges: tuple[int, ...]
    rank: int
    size: int
    rows: int = 1

    @property
    def total(self) -> int:
        """The number of rows."""
        return self.edges[-1] * self.rows

    def ranges(self, rank: int) -> Iterator[tuple[int, int]]:
        """Yield the start and the stop of a process's rows in each unit."""
        for start, stop in pairwise(self.edges):
            count = stop - start
            first, last = (start + count * one // self.size for one in (rank, rank + 1))
            yield first * self.rows, last * self.rows

    @cached_property
    def _counts(self) -> tuple[int, ...]:
        """The number of this process's rows before each edge."""
        counts = (stop - start for start, stop in self.ranges(self.rank))
        return tuple(accumulate(counts, initial=0))

    def cut(self, rows: slice) -> tuple[slice, "Layout"]:
        """Return a slice of rows as a slice of this process's, and its layout.

        Raises
        ------
        ShardingError
            If the slice does not consist of whole units.
        """
        start, stop, step = rows.indices(self.total)
        starts = [edge * self.rows for edge in self.edges]
        first, last = (bisect_left(starts, place) for place in (start, stop))
        if step != 1 or starts[first] != start or starts[last] != stop:
            raise ShardingError(
                f"rows {start}:{stop}:{step} are not whole units of those that are divided over "
                "the processes"
            )
        edges = tuple(edge - self.edges[first] for edge in self.edges[first : last + 1])
        return slice(self._counts[first], self._counts[last]), replace(self, edges=edges)


class ShardedArray(WrappedArray):
    """This process's part of an array.

    Parameters
    ----------
    part : array
        An array of the namespace within.
    namespace : ShardedNamespace
    axis : int, optional
        The axis that is cut, negative; by default none is, and the part is the whole.
    layout : Layout, optional
        The layout of the rows of that axis.
    """

    __slots__ = ("axis", "is_pending", "layout")

    namespace: Namespace
    axis: int | None
    layout: Layout | None
    is_pending: bool

    def __init__(
        self,
        part: Array,
        namespace: Namespace,
        axis: int | None = None,
        layout: Layout | None = None,
    ) -> None:
        self._array, self.namespace, self.axis, self.layout = part, namespace, axis, layout
        self.is_pending = False

    @property
    def part(self) -> Array:
        """The process's part; sums over the processes are exchanged when one is used."""
        if self.is_pending:
            self.namespace.settle()
        if self.is_pending:
            raise ShardingError(
                "an exchange failed, so that this sum over the processes is unknown"
            )
        return self._array

    term: property = property(attrgetter("_array"), doc="The part, before the exchange of a sum.")

    def settle(self, total: Array) -> None:
        """Replace this process's term by the sum over all processes."""
        self._array, self.is_pending = total, False

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the whole."""
        lengths = [*self._array.shape]
        if self.axis is not None and self.layout is not None:
            lengths[self.axis] = self.layout.total
        return tuple(lengths)

    @property
    def whole(self) -> Array:
        """The array of the namespace within, if it is not cut.

        Raises
        ------
        ShardingError
            If it is cut.
        """
        if self.axis is not None:
            raise ShardingError(
                f"this would need all {self.shape} of an array that is cut over the processes"
            )
        return self.part

    @property
    def library_array(self) -> Array:
        """The library's array of the whole, if it is not cut."""
        return getattr(self.whole, "library_array", self.whole)

    def _whole(self) -> Array:
        return self.whole

    def __repr__(self) -> str:
        prefix = "a term of " if self.is_pending else ""
        return f"ShardedArray({prefix}{self._array!r}, axis={self.axis}, layout={self.layout})"


ShardedArray.operands = (ShardedArray, *ShardedArray.scalars)


def wholes_of(value: Nested) -> Nested:
    """Return a structure of tuples, lists and dicts with the wholes of sharded arrays.

    Raises
    ------
    ShardingError
        If one of them is cut.
    """
    return map_nested(lambda x: x.whole, value, ShardedArray)


def cut_of(operands: Iterable[object]) -> tuple[int | None, Layout | None]:
    """Return the cut axis and its layout of operands that are cut alike."""
    cuts = {
        (x.axis, x.layout) for x in operands if isinstance(x, ShardedArray) and x.axis is not None
    }
    if len(cuts) > 1:
        raise ShardingError(f"operands are cut differently: {sorted(map(str, cuts))}")
    return cuts.pop() if cuts else (None, None)


def part_of(inner: Namespace, x: Array, axis: int | None, layout: Layout | None) -> Array:
    """Return the part that matches those of other operands: of a whole, this process's rows."""
    if not isinstance(x, ShardedArray):
        return x
    if axis is None or layout is None or x.axis is not None or x.ndim < -axis:
        return x.part
    if x.shape[axis] == 1:
        return x.part
    key: list[object] = [slice(None)] * x.ndim
    runs = []
    for start, stop in layout.ranges(layout.rank):
        key[axis] = slice(start, stop)
        runs.append(x.part[tuple(key)])
    return runs[0] if len(runs) == 1 else inner.concat(runs, axis=axis)
