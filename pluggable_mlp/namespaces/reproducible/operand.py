"""The operands of products and sums: the facts about an array that its splitting needs.

Those of a `FixedPoint` follow from the data set, those of an `Operand` from its array.  All values
take the same path: rows of float64 are scaled by exact powers of two; a row with NaN or an infinity
has NaN as its grid or in its slices, and becomes NaN.
"""

import math
from collections.abc import Callable, Sequence
from functools import cached_property

from pluggable_mlp.arrays import Array, DType, Namespace
from pluggable_mlp.elementary.common import SMALLEST_NORMAL
from pluggable_mlp.namespaces.reproducible.splitting import grids_of, split

FIXED_POINT_BITS = 8

_LOWEST, _HIGHEST = 2.0**-430, 2.0**430
"""Rows of float64 whose largest magnitude is between these are not scaled: no grid (2^-72 of the
largest) and no product of grids leaves the normal numbers.  Those of float32 never do."""


class FixedPoint:
    """8-bit integers times a power of two: a single slice that serves both orientations.

    It is usable in products in place of an array.

    Parameters
    ----------
    xp
        The namespace of the integers.
    integers : (…, m, n)
        uint8 or int8.
    scale : float
        A power of two between 2^-60 and 2^40.
    dtype
        float32 or float64: the type of the products with it.
    floats : (…, m, n), optional
        The numbers in float64, if they were computed before.
    """

    def __init__(
        self,
        xp: Namespace,
        integers: Array,
        scale: float,
        dtype: DType,
        floats: Array | None = None,
    ) -> None:
        self.xp = xp
        self.integers = integers
        self.scale = scale
        self.dtype = dtype
        self.shape: tuple[int, ...] = tuple(integers.shape)
        self.ndim: int = integers.ndim
        self._floats = floats

    @property
    def floats(self) -> Array:
        """The numbers (…, m, n) in float64: the only slice."""
        if self._floats is None:
            self._floats = self.xp.astype(self.integers, self.xp.float64)
            self._floats *= self.scale
        return self._floats

    @property
    def mT(self) -> "FixedPoint":
        """The operand (…, n, m) with its last two axes exchanged; the slice is shared."""
        exchanged = self.xp.matrix_transpose
        floats = None if self._floats is None else exchanged(self._floats)
        return FixedPoint(self.xp, exchanged(self.integers), self.scale, self.dtype, floats)

    def part(self, choose: Callable[[Array], Array]) -> "FixedPoint":
        """Return the operand for a part of the numbers, which keeps all axes."""
        floats = None if self._floats is None else choose(self._floats)
        return FixedPoint(self.xp, choose(self.integers), self.scale, self.dtype, floats)

    def scaled(self, factor: float) -> "FixedPoint | None":
        """Return the operand times a power of two; None if the result is not fixed point."""
        scale = self.scale * factor
        is_scale = math.frexp(scale)[0] == 0.5 and 2.0**-60 <= scale <= 2.0**40
        return FixedPoint(self.xp, self.integers, scale, self.dtype) if is_scale else None

    @cached_property
    def values(self) -> Array:
        """The array (…, m, n) itself, of `dtype`."""
        return self.xp.astype(self.floats, self.dtype, copy=False)


def cut(
    x: Array | FixedPoint | None, axis: int, start: int, stop: int
) -> Array | FixedPoint | None:
    """Return the part [start, stop) of x (…, m, n) on axis -1 or -2: array, `FixedPoint`, None."""
    if x is None or (start == 0 and stop == x.shape[axis]):
        return x
    if isinstance(x, FixedPoint):
        part = cut(x.floats, axis, start, stop)
        return FixedPoint(x.xp, part, x.scale, x.dtype, part)
    return x[..., start:stop] if axis == -1 else x[..., start:stop, :]


class Operand:
    """One operand in its place: left of a product (axis -1), right of it (axis -2), or of a sum.

    Parameters
    ----------
    xp : namespace
        That of the array.
    x : (…, m, n)
        A library's array of float32 or float64, not empty, or a `FixedPoint`.
    axis
        The axis along which terms are added: each row (-1) or column (-2) has a grid of its own.
    widths : tuple of int, default ()
        The widths of the slices; a `FixedPoint` has its own single one.
    largest_of_all : (…, m, 1) or (…, 1, n), optional
        `largest` of the whole, if the array is a part whose terms are divided among processes.

    Attributes
    ----------
    largest : (…, m, 1) or (…, 1, n)
        The largest magnitude of each scaled row (column), float64; perhaps any if one is NaN.
    slices : tuple of (…, m, n)
        Slices of these widths; none for an empty array.
    root : (…, m, 1) or (…, 1, n), or 1.0
        The square root of the factor that undoes the scaling of each row (column); `scale_back`
        applies it twice, so that nothing is denormal on the way.
    stacked : (…, slices n, k) or None
        The slices of a right operand, transposed, as one matrix, if requested.
    """

    def __init__(
        self,
        xp: Namespace,
        x: Array | FixedPoint,
        axis: int,
        widths: tuple[int, ...] = (),
        largest_of_all: Array | None = None,
    ) -> None:
        self.xp: Namespace = xp
        self.x: Array | FixedPoint = x
        self.axis: int = axis
        self.widths: tuple[int, ...] = widths
        self.slices: tuple[Array, ...] = ()
        self.stacked: Array | None = None
        self.fixed: bool = isinstance(x, FixedPoint)
        self._scale: Array | float = 1.0
        self.root: Array | float = 1.0
        if isinstance(x, FixedPoint):
            self.slices = (x.floats,)
            return
        if largest_of_all is None and 0 in x.shape:
            return
        if largest_of_all is None:
            # A library may lose NaN here, but the slices have it.
            largest_of_all = xp.astype(xp.max(xp.abs(x), axis=axis, keepdims=True), xp.float64)
        self.largest: Array = largest_of_all
        if x.dtype == xp.float64:
            large, small = self.largest > _HIGHEST, self.largest < _LOWEST
            one = xp.ones_like(self.largest)
            self._scale = xp.where(large, 2.0**-600, xp.where(small, 2.0**600, one))
            self.root = xp.where(large, 2.0**300, xp.where(small, 2.0**-300, one))
            self.largest = self.largest * self._scale
        if widths:
            self.slices = split(xp, x, self.largest, widths, self._scale)

    def floats(self) -> Array:
        """Return the scaled values (…, m, n) in float64, in a new array unless a `FixedPoint`."""
        xp, x = self.xp, self.x
        if isinstance(x, FixedPoint):
            return x.floats
        return x * self._scale if x.dtype == xp.float64 else xp.astype(x, xp.float64)

    def grids(self) -> Sequence[Array | float]:
        """Return what each slice is an integer multiple of: (…, m, 1), (…, 1, n) or float."""
        x = self.x
        if isinstance(x, FixedPoint):
            return (x.scale,)
        return grids_of(self.xp, self.largest, self.widths)


def scale_back(xp: Namespace, r: Array, root: Array | float) -> Array:
    """Return r root^2 for float64 r (…, m, n), 0 if that is below the smallest normal number.

    One root is applied, then the comparison while nothing is denormal, then the other root.
    """
    r = r * root
    r = xp.where(xp.abs(r) < SMALLEST_NORMAL["float64"] * (1.0 / root), 0.0, r)
    return r * root
