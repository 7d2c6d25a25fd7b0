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


def _operators(name: str) -> tuple[Operator, Operator]:
    """Return the operator that calls the namespace's function of a name, and its reflection."""

    def forward(self: "WrappedArray", other: object) -> Array:
        if isinstance(other, self.operands):
            return getattr(self.namespace, name)(self, other)
        return NotImplemented

    def reflected(self: "WrappedArray", other: object) -> Array:
        if not isinstance(other, self.scalars):
            return NotImplemented
        return getattr(self.namespace, name)(other, self)

    return forward, reflected


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

    dtype = property(attrgetter("_array.dtype"), doc="The dtype of the elements.")
    ndim = property(attrgetter("_array.ndim"), doc="The number of axes.")

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

    __add__, __radd__ = _operators("add")
    __sub__, __rsub__ = _operators("subtract")
    __mul__, __rmul__ = _operators("multiply")
    __truediv__, __rtruediv__ = _operators("divide")
    __floordiv__, __rfloordiv__ = _operators("floor_divide")
    __mod__, __rmod__ = _operators("remainder")
    __pow__, __rpow__ = _operators("pow")
    __matmul__, __rmatmul__ = _operators("matmul")
    __and__, __rand__ = _operators("bitwise_and")
    __or__, __ror__ = _operators("bitwise_or")
    __xor__, __rxor__ = _operators("bitwise_xor")
    __lshift__, __rlshift__ = _operators("bitwise_left_shift")
    __rshift__, __rrshift__ = _operators("bitwise_right_shift")

    __hash__ = None  # type: ignore[assignment]  # `==` is elementwise
    __eq__ = _operators("equal")[0]
    __ne__ = _operators("not_equal")[0]
    __lt__ = _operators("less")[0]
    __le__ = _operators("less_equal")[0]
    __gt__ = _operators("greater")[0]
    __ge__ = _operators("greater_equal")[0]

    def __neg__(self) -> Array:
        return self.namespace.negative(self)

    def __pos__(self) -> Array:
        return self.namespace.positive(self)

    def __abs__(self) -> Array:
        return self.namespace.abs(self)

    def __invert__(self) -> Array:
        return self.namespace.bitwise_invert(self)
