"""The namespace as an object: functions with a rule for arrays that are cut, and the exchanges.

Each process does elementwise operations on its part; a sum or a matrix product over the cut axis is
computed from the parts and added up by an exchange; arrays without a cut axis are the same on all
processes, and each computes them.  Any other operation on a cut array raises `ShardingError`.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial, wraps
from operator import attrgetter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

from pluggable_mlp.arrays import Array, Namespace, Nested, device_of, map_nested
from pluggable_mlp.arrays.shortcuts import own
from pluggable_mlp.backends import Backend
from pluggable_mlp.elementary.error_function import fast_erf
from pluggable_mlp.namespaces import kinds
from pluggable_mlp.namespaces.reproducible.array import PRODUCTS, FixedPointArray, native_of
from pluggable_mlp.namespaces.reproducible.indexing import expanded
from pluggable_mlp.namespaces.reproducible.namespace import ReproducibleNamespace
from pluggable_mlp.namespaces.reproducible.operand import FixedPoint
from pluggable_mlp.namespaces.reproducible.shared_products import shared_matmul
from pluggable_mlp.namespaces.reproducible.statistical import axes_of
from pluggable_mlp.namespaces.sharded.array import (
    KeyItem,
    Layout,
    ShardedArray,
    ShardingError,
    cut_of,
    part_of,
    wholes_of,
)
from pluggable_mlp.namespaces.sharded.manipulation import FUNCTIONS

if TYPE_CHECKING:
    from pluggable_mlp.distributed.communicators import Communicator


class ShardedNamespace:
    """The functions of a namespace, on arrays that may be cut over processes.

    Parameters
    ----------
    inner : namespace
        The namespace that computes the parts: a library's, or a reproducible one.
    communicator : Communicator
    backend : Backend
        The backend of the library's arrays.
    """

    def __init__(self, inner: Namespace, communicator: "Communicator", backend: Backend) -> None:
        self.inner: Namespace = inner
        self.communicator: Communicator = communicator
        self.backend: Backend = backend
        self.__name__: str = f"sharded({inner.__name__})"
        names = (*kinds.ELEMENTWISE_BEYOND_STANDARD, "affine")
        own_names = (name for name in names if own(inner, name) is not None)
        self.beyond_standard: tuple[str, ...] = ("by_rows", "mean", *{"erf", *own_names})
        self._is_reproducible = isinstance(inner, ReproducibleNamespace)
        self._pending: list[ShardedArray] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            return getattr(self.inner, name)
        make = getattr(self, _MAKERS.get(name, "_of_inner"))
        value = FUNCTIONS[name] if name in FUNCTIONS else make(name)
        setattr(self, name, value)
        return value

    # Cutting and joining

    def cut(self, part: Array, axis: int, layout: Layout) -> ShardedArray:
        """Return an array from the process's part.

        A single example is made the same on all processes, as formulas treat a single row
        specially.
        """
        x = ShardedArray(part, self, axis, layout)
        return self.gathered(x) if layout.edges[-1] == 1 else x

    def gathered(self, x: ShardedArray) -> ShardedArray:
        """Return an array that is not cut; every process receives all parts."""
        if x.axis is None or x.layout is None:
            return x
        fixed = x.part.fixed_point if self._is_reproducible else None
        if fixed is not None:
            integers = self._gathered(fixed.integers, x.axis, x.layout)
            of_whole = FixedPoint(fixed.xp, integers, fixed.scale, fixed.dtype)
            return ShardedArray(FixedPointArray(of_whole, self.inner), self)
        whole = self._gathered(native_of(x.part), x.axis, x.layout)
        return ShardedArray(self.inner.wrap(whole) if self._is_reproducible else whole, self)

    def _gathered(self, part: Array, axis: int, layout: Layout) -> Array:
        """Return the whole of a library's array, whose part this is, by a sum with zeros."""
        xp = self.backend.xp
        is_boolean = xp.isdtype(part.dtype, "bool")
        part = xp.astype(part, xp.uint8) if is_boolean else part
        counts = [
            sum(stop - start for start, stop in layout.ranges(rank)) for rank in range(layout.size)
        ]

        def zeros(rows: int) -> Array:
            shape = [*part.shape]
            shape[axis] = rows
            return xp.zeros(tuple(shape), dtype=part.dtype, device=device_of(part))

        before, after = sum(counts[: layout.rank]), sum(counts[layout.rank + 1 :])
        by_rank = xp.concat([zeros(before), part, zeros(after)], axis=axis)
        [whole] = self._exchange([by_rank], "sum")
        if len(layout.edges) > 2:
            rows = [
                row
                for rank in range(layout.size)
                for start, stop in layout.ranges(rank)
                for row in range(start, stop)
            ]
            places = sorted(range(layout.total), key=rows.__getitem__)
            whole = xp.take(whole, self.backend.asarray(places, dtype="int64"), axis=axis)
        return xp.astype(whole, xp.bool) if is_boolean else whole

    def _exchange(self, arrays: Sequence[Array], operation: Literal["sum", "max"]) -> list[Array]:
        """Return the sum or maximum of the library's arrays over all processes, in one exchange."""
        if not arrays:
            return []
        xp = self.backend.xp
        flat = [xp.reshape(x, (-1,)) for x in arrays]
        joined = flat[0] if len(flat) == 1 else xp.concat(flat)
        reduced = self.communicator.all_reduce(joined, operation, backend=self.backend)
        results, start = [], 0
        for x in arrays:
            stop = start + math.prod(x.shape)
            results.append(xp.reshape(reduced[start:stop], tuple(x.shape)))
            start = stop
        return results

    def _summed(self, term: Array) -> ShardedArray:
        """Return the sum of the library's arrays of all processes: see `settle`."""
        x = ShardedArray(term, self)
        x.is_pending = True
        self._pending.append(x)
        return x

    def settle(self) -> None:
        """Exchange all pending sums at once, when the first of them is used.

        The gradients of all layers thus take one exchange.  Processes run the same operations, and
        reach this at the same one.
        """
        pending, self._pending = self._pending, []
        for dtype in {str(x.dtype): None for x in pending}:
            alike = [x for x in pending if str(x.dtype) == dtype]
            totals = self._exchange([x.term for x in alike], "sum")
            for x, total in zip(alike, totals, strict=True):
                x.settle(total)

    # Kinds of functions

    def _of_inner(self, name: str) -> Any:
        """Return a function without a rule for arrays that are cut, or another member."""
        value = getattr(self.inner, name)
        if name[0] == "_":
            raise AttributeError(f"{self.__name__} has no {name}")
        is_function = callable(value) and not isinstance(value, type)
        return self._of_wholes(name) if is_function else value

    def _extension(self, name: str) -> SimpleNamespace:
        functions = [name for name in kinds.LINALG if hasattr(self.inner.linalg, name)]
        return SimpleNamespace(**{name: self._of_wholes(f"linalg.{name}") for name in functions})

    def _elementwise(self, name: str) -> Callable[..., ShardedArray]:
        function = own(self.inner, name)
        if function is None:
            portable = name == "erf"  # it gathers from tables, which is impossible for a cut array
            function = partial(fast_erf, self.inner) if portable else getattr(self.inner, name)

        def apply(*operands: Nested, **settings: Nested) -> ShardedArray:
            cut = cut_of([*operands, *settings.values()])
            parts = [part_of(self.inner, x, *cut) for x in operands]
            named = {key: part_of(self.inner, x, *cut) for key, x in settings.items()}
            return ShardedArray(function(*parts, **named), self, *cut)

        return apply

    def _like(self, name: str) -> Callable[..., ShardedArray]:
        function = getattr(self.inner, name)

        @wraps(function)
        def apply(x: ShardedArray, *arguments: object, **settings: object) -> ShardedArray:
            # A term has the shape and the dtype of the sum, which need not be exchanged for them.
            return ShardedArray(function(x.term, *arguments, **settings), self, x.axis, x.layout)

        return apply

    def _of_wholes(self, name: str) -> Callable[..., Nested]:
        """Return a function that has no rule for arrays that are cut."""
        function = attrgetter(name)(self.inner)

        @wraps(function)
        def apply(*arguments: Nested, **settings: Nested) -> Nested:
            try:
                wholes, named = wholes_of((arguments, settings))
            except ShardingError:
                raise ShardingError(
                    f"xp.{name} has no rule for arrays that are cut over processes"
                ) from None
            result = function(*wholes, **named)
            return map_nested(lambda array: ShardedArray(array, self), result)

        return apply

    def _of_dtypes(self, name: str) -> Callable[..., Nested]:
        """Return a function of dtypes, which may be given as arrays, whether cut or not."""
        function = getattr(self.inner, name)

        @wraps(function)
        def apply(*arguments: Nested, **settings: Nested) -> Nested:
            parts = (x.term if isinstance(x, ShardedArray) else x for x in arguments)
            return function(*parts, **settings)

        return apply

    def _reducing(self, name: str) -> Callable[..., ShardedArray]:
        function = getattr(self.inner, name)

        @wraps(function)
        def apply(
            x: ShardedArray,
            *,
            axis: int | tuple[int, ...] | None = None,
            keepdims: bool = False,
            **settings: object,
        ) -> ShardedArray:
            settings = {"axis": axis, "keepdims": keepdims, **settings}
            axes = {one - x.ndim for one in axes_of(x, axis)}
            if x.axis is None:
                return ShardedArray(function(x.part, **settings), self)
            if x.axis not in axes:
                removed = 0 if keepdims else sum(one > x.axis for one in axes)
                return ShardedArray(function(x.part, **settings), self, x.axis + removed, x.layout)
            if self._is_reproducible or name not in ("sum", "mean"):
                return ShardedArray(function(self.gathered(x).part, **settings), self)
            term = self.inner.sum(x.part, **settings)
            if name == "mean":  # a sum of terms: exchanged with others
                term = term / float(math.prod(x.shape[one] for one in axes))
            return self._summed(term)

        return apply

    # Single functions

    def asarray(self, x: object, /, **settings: object) -> ShardedArray:
        """Return data that are the same on all processes as an array; cut ones stay cut."""
        if isinstance(x, ShardedArray):
            return ShardedArray(self.inner.asarray(x.part, **settings), self, x.axis, x.layout)
        return ShardedArray(self.inner.asarray(x, **settings), self)

    def matmul(self, a: ShardedArray, b: ShardedArray, /) -> ShardedArray:
        """Return the product of a (…, m, k) and b (…, k, n).

        Raises
        ------
        ShardingError
            If more than the inner dimension, or one of the outer ones, is cut.
        """
        cut = a.axis, b.axis
        if cut in ((-1, -2), (-1, None), (None, -2)) and 1 not in (a.ndim, b.ndim):
            _, layout = cut_of([a, b.mT])
            assert layout is not None
            return self._contracted(a, b, layout)
        if cut in ((-2, None), (None, -1), (None, None)):
            product = own(self.inner, "matmul")(a.part, b.part)
            axis = b.axis if a.axis is None else a.axis + (b.ndim == 1)
            return ShardedArray(product, self, axis, a.layout or b.layout)
        raise ShardingError(f"a product of matrices that are cut along axes {cut} has no rule")

    def affine(self, x: ShardedArray, W: ShardedArray, b: ShardedArray, /) -> ShardedArray:
        """Return x W + b for x (…, batch, in), W (…, in, out), b (…, out)."""
        if x.axis not in (None, -2):
            raise ShardingError(f"affine of inputs that are cut along axis {x.axis} has no rule")
        part = own(self.inner, "affine")(x.part, W.whole, b.whole)
        return ShardedArray(part, self, x.axis, x.layout)

    def by_rows(
        self, x: ShardedArray, function: Callable[[Namespace, int, int], Array]
    ) -> ShardedArray:
        """Return function(namespace within, first row, rows) (rows, m) for the rows of x."""
        if x.axis != -2 or x.layout is None:
            return ShardedArray(function(self.inner, 0, x.shape[-2]), self)
        ranges = x.layout.ranges(x.layout.rank)
        runs = [function(self.inner, start, stop - start) for start, stop in ranges]
        part = runs[0] if len(runs) == 1 else self.inner.concat(runs)
        return ShardedArray(part, self, -2, x.layout)

    def _contracted(self, a: ShardedArray, b: ShardedArray, layout: Layout) -> ShardedArray:
        """Return the product over an inner dimension that is cut."""
        left, right = part_of(self.inner, a, -1, layout), part_of(self.inner, b, -2, layout)
        if not self._is_reproducible:
            return self._summed(own(self.inner, "matmul")(left, right))
        if left.dtype == right.dtype and 0 not in (a.shape[-2], b.shape[-1]):
            product = shared_matmul(
                self.backend.xp, left.factor, right.factor, layout.total, self._exchange
            )
            return ShardedArray(self.inner.wrap(product, PRODUCTS), self)
        return ShardedArray(self.inner.matmul(self.gathered(a).part, self.gathered(b).part), self)

    def _getitem(self, x: ShardedArray, key: KeyItem | tuple[KeyItem, ...]) -> ShardedArray:
        """Return x[key]; from a cut axis, all rows or a slice of whole units."""
        key = key if isinstance(key, tuple) else (key,)
        if x.axis is None:
            return ShardedArray(x.part[wholes_of(key)], self)
        items = expanded(key, x.shape)
        place, cut, layout = 0, None, x.layout
        new: list[slice | None] = []
        assert layout is not None
        for index, item in enumerate(items):
            if item is not None:
                if place == x.axis + x.ndim:
                    if not isinstance(item, slice):
                        raise ShardingError("a single row of an array that is cut has no rule")
                    items[index], layout = layout.cut(item)
                    cut = len(new)
                place += 1
            if item is None or isinstance(item, slice):
                new.append(item)
        assert cut is not None
        return self.cut(x.part[tuple(items)], cut - len(new), layout)

    def __repr__(self) -> str:
        return f"<namespace {self.__name__}>"


_MAKERS = {
    **dict.fromkeys((*kinds.ELEMENTWISE, "astype"), "_elementwise"),
    **dict.fromkeys(kinds.ELEMENTWISE_BEYOND_STANDARD, "_elementwise"),
    **dict.fromkeys(kinds.REDUCING, "_reducing"),
    **dict.fromkeys(kinds.LIKE, "_like"),
    **dict.fromkeys(kinds.OF_DTYPES, "_of_dtypes"),
    "linalg": "_extension",
}
