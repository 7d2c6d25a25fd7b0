"""The base of our namespaces' arrays, with the operators of the array API standard.

Each wraps an array, and its operators call the corresponding functions: `a * b` is
`a.namespace.multiply(a, b)`.
"""

import math
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import ClassVar, Self

from pluggable_mlp.arrays import Array, Device, Namespace, device_of, dtype_name

Operator = Callable[[Array, Array], Array]


def _forward(name: str) -> Operator:
    """Return the operator that calls the namespace's function of a name."""

    def forward(self: "WrappedArray", other: object) -> Array:
        if isinstance(other, self.operands):
            return getattr(self.namespace, name)(self, other)
        return NotImplemented

    return forward


def _reflected(name: str) -> Operator:
    """Return its reflection."""

    def reflected(self: "WrappedArray", other: object) -> Array:
        if not isinstance(other, self.scalars):
            return NotImplemented
        return getattr(self.namespace, name)(other, self)

    return reflected


class WrappedArray:
    """An array of one of our namespaces: an array of another namespace, and facts about it.

    Attributes
    ----------
    namespace
        The namespace whose functions its operators call.
    scalars : tuple of types
        The types of operands that are not arrays.
    operands : tuple of types
        The types of all operands; others are left to their own operators.
    """

    __slots__ = ("_array", "namespace")

    __array_ufunc__ = None  # so that NumPy's operators leave mixed operands to ours

    _array: Array
    namespace: Namespace
    scalars: ClassVar[tuple[type, ...]] = (int, float)
    operands: ClassVar[tuple[type, ...]]

    def __array_namespace__(self, *, api_version: str | None = None) -> Namespace:
        """Return the namespace; see the array API standard."""
        return self.namespace

    dtype: property = property(attrgetter("_array.dtype"), doc="The dtype of the elements.")
    ndim: property = property(attrgetter("_array.ndim"), doc="The number of axes.")

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return tuple(self._array.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def device(self) -> Device:
        """The library's device; None if a library traces a function."""
        return device_of(self._array)

    @property
    def T(self) -> Array:
        """The matrix (n, m) of a matrix (m, n)."""
        if self.ndim != 2:
            raise ValueError(f"x has {self.ndim} axes, expected 2 for x.T; use x.mT for stacks")
        return self.mT

    @property
    def mT(self) -> Array:
        """The array (…, n, m) of an array (…, m, n)."""
        return self.namespace.matrix_transpose(self)

    def __getitem__(self, key: object) -> Self:
        return self.namespace._getitem(self, key)

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("x has no axis, and so no len()")
        return self.shape[0]

    def __iter__(self) -> Iterator[Array]:
        if not self.ndim:
            raise TypeError("x has no axis to iterate over")
        return (self[index, ...] for index in range(self.shape[0]))

    def _whole(self) -> Array:
        """Return the array within, to read its value."""
        return self._array

    def _as(self, number: Callable[[Array], Array]) -> Array:
        """Return the value as a Python number: libraries disagree on which arrays have one."""
        whole = self._whole()
        if self.ndim:
            raise TypeError(
                f"x is {self.shape}, expected an array without axes for a Python number"
            )
        return number(whole)

    def __bool__(self) -> bool:
        return bool(self._as(bool))

    def __int__(self) -> int:
        return int(self._as(int))

    def __float__(self) -> float:
        return float(self._as(float))

    def __complex__(self) -> complex:
        return complex(self._as(complex))

    def __index__(self) -> int:
        if not self.namespace.isdtype(self.dtype, "integral"):
            raise TypeError(f"x is {dtype_name(self.dtype)}, expected an integer for an index")
        return int(self)

    __add__: ClassVar[Operator] = _forward("add")
    __radd__: ClassVar[Operator] = _reflected("add")
    __sub__: ClassVar[Operator] = _forward("subtract")
    __rsub__: ClassVar[Operator] = _reflected("subtract")
    __mul__: ClassVar[Operator] = _forward("multiply")
    __rmul__: ClassVar[Operator] = _reflected("multiply")
    __truediv__: ClassVar[Operator] = _forward("divide")
    __rtruediv__: ClassVar[Operator] = _reflected("divide")
    __floordiv__: ClassVar[Operator] = _forward("floor_divide")
    __rfloordiv__: ClassVar[Operator] = _reflected("floor_divide")
    __mod__: ClassVar[Operator] = _forward("remainder")
    __rmod__: ClassVar[Operator] = _reflected("remainder")
    __pow__: ClassVar[Operator] = _forward("pow")
    __rpow__: ClassVar[Operator] = _reflected("pow")
    __matmul__: ClassVar[Operator] = _forward("matmul")
    __rmatmul__: ClassVar[Operator] = _reflected("matmul")
    __and__: ClassVar[Operator] = _forward("bitwise_and")
    __rand__: ClassVar[Operator] = _reflected("bitwise_and")
    __or__: ClassVar[Operator] = _forward("bitwise_or")
    __ror__: ClassVar[Operator] = _reflected("bitwise_or")
    __xor__: ClassVar[Operator] = _forward("bitwise_xor")
    __rxor__: ClassVar[Operator] = _reflected("bitwise_xor")
    __lshift__: ClassVar[Operator] = _forward("bitwise_left_shift")
    __rlshift__: ClassVar[Operator] = _reflected("bitwise_left_shift")
    __rshift__: ClassVar[Operator] = _forward("bitwise_right_shift")
    __rrshift__: ClassVar[Operator] = _reflected("bitwise_right_shift")

    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # `==` is elementwise
    __eq__: ClassVar[Operator] = _forward("equal")
    __ne__: ClassVar[Operator] = _forward("not_equal")
    __lt__: ClassVar[Operator] = _forward("less")
    __le__: ClassVar[Operator] = _forward("less_equal")
    __gt__: ClassVar[Operator] = _forward("greater")
    __ge__: ClassVar[Operator] = _forward("greater_equal")

    def __neg__(self) -> Array:
        return self.namespace.negative(self)

    def __pos__(self) -> Array:
        return self.namespace.positive(self)

    def __abs__(self) -> Array:
        return self.namespace.abs(self)

    def __invert__(self) -> Array:
        return self.namespace.bitwise_invert(self)
