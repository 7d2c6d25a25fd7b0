"""The array of the reproducible namespace: a library's array, and what is known of its values.

Operators go to the namespace's functions of the same meaning, so that `a * b` and
`xp.multiply(a, b)` are one thing.  No rounding happens here.

Of an array's smallest finite values one of three things is known, its grain:

    ANY         they are 0 or normal numbers
    LATTICE     they are multiples of twice the smallest normal number, 2^-125 (float64: 2^-1021)
    PRODUCTS    they are 0, or at least 2^-102 (2^-969), and so on the lattice, too

Sums and differences of numbers on the lattice are on it, hence never denormal.  Nor is the sum of
a normal number x and a product p: below 2^-103, x leaves p more than half of itself; from there
on, both are multiples of 2^-126.
"""

from collections.abc import Callable, Iterator
from typing import Any

import array_api_compat

from pluggable_mlp.arrays import Array, DType, device_of
from pluggable_mlp.namespaces.reproducible.factor import FixedPoint
from pluggable_mlp.namespaces.reproducible.number import Number
from pluggable_mlp.namespaces.reproducible.rounding import keep_nan

__all__ = [
    "ANY",
    "LATTICE",
    "PRODUCTS",
    "ReproducibleArray",
    "map_wrapped",
    "native_of",
    "to_native",
    "unwrapped",
]

ANY, LATTICE, PRODUCTS = 0, 1, 2

Operator = Callable[[Any, Any], Any]
_NUMBERS = (int, float, Number)


def _operators(name: str) -> tuple[Operator, Operator]:
    """Return the operator that calls the namespace's function of a name, and the reflected one."""

    def forward(self: "ReproducibleArray", other: Any) -> Any:
        if type(other) is ReproducibleArray or isinstance(other, _NUMBERS):
            return getattr(self.namespace, name)(self, other)
        return NotImplemented

    def reflected(self: "ReproducibleArray", other: Any) -> Any:
        if not isinstance(other, _NUMBERS):
            return NotImplemented
        return getattr(self.namespace, name)(other, self)

    return forward, reflected


class ReproducibleArray:
    """An array of a library, whose operations round the same on every library.

    Made by the functions of a namespace, `xp.asarray` first of all; its members are those of the
    array API standard.  A floating-point array holds no denormal numbers and no negative zeros.
    Values never change: `x += y` is `x = x + y`, and `x[key] = value` replaces the values of `x`.

    Parameters
    ----------
    array : array
        The library's array, any shape; None where `fixed_point` is given.
    namespace : ReproducibleNamespace
        The namespace that it belongs to.
    grain : {ANY, LATTICE, PRODUCTS}
        What is known of the smallest values, as the first lines of this file say.
    fixed_point : FixedPoint, optional
        The values as 8-bit integers times a power of two: products with them need one slice.
    kind : {"float32", "float64", ""}, optional
        Where it is known.
    """

    __slots__ = ("_array", "_kind", "fixed_point", "grain", "namespace")

    __array_ufunc__ = None  # NumPy's operators then leave mixed operands to ours, which refuse

    def __init__(
        self,
        array: Array,
        namespace: Any,
        grain: int = ANY,
        fixed_point: FixedPoint | None = None,
        kind: str | None = None,
    ) -> None:
        self._array = array
        self._kind = kind
        self.namespace = namespace
        self.grain = grain
        self.fixed_point = fixed_point

    @property
    def native(self) -> Array:
        """The library's array of these values, which is not to be written to."""
        if self._array is None and self.fixed_point is not None:
            self._array = self.fixed_point.values
        return self._array

    def in_namespace(self, namespace: Any) -> "ReproducibleArray":
        """Return the array in another namespace over the same library."""
        return ReproducibleArray(self._array, namespace, self.grain, self.fixed_point, self._kind)

    def _known(self) -> Any:
        """Return what has a shape and a dtype without computing any value."""
        return self.fixed_point if self._array is None else self._array

    @property
    def has_values(self) -> bool:
        """Whether there are values: not where a library traces a function."""
        known = self._known()
        return device_of(getattr(known, "integers", known)) is not None

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        """Return the namespace; see the array API standard."""
        return self.namespace

    @property
    def dtype(self) -> DType:
        """The library's dtype."""
        return self._known().dtype

    @property
    def kind(self) -> str:
        """ "float32" or "float64"; "" of integers and booleans."""
        if self._kind is None:
            self._kind = self.namespace.kinds[self._known().dtype]
        return self._kind

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return tuple(self._known().shape)

    @property
    def ndim(self) -> int:
        """How many axes there are."""
        return self._known().ndim

    @property
    def size(self) -> int | None:
        """How many elements there are."""
        return array_api_compat.size(self.native)

    @property
    def device(self) -> Any:
        """The library's device."""
        return array_api_compat.device(self.native)

    @property
    def T(self) -> "ReproducibleArray":
        """The matrix (n, m) of a matrix (m, n)."""
        if self.ndim != 2:
            raise ValueError(f"x has {self.ndim} axes, expected 2 for x.T; use x.mT for stacks")
        return self.mT

    @property
    def mT(self) -> "ReproducibleArray":
        """The array (…, n, m) of an array (…, m, n)."""
        return self.namespace.matrix_transpose(self)

    def to_device(self, device: Any, /, *, stream: Any = None) -> "ReproducibleArray":
        """Return the array on another device of the library."""
        moved = array_api_compat.to_device(self.native, device, stream=stream)
        return ReproducibleArray(moved, self.namespace, self.grain)

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: Any = None,
        copy: bool | None = None,
    ) -> Any:
        given = {"stream": stream, "max_version": max_version, "dl_device": dl_device, "copy": copy}
        more = {name: value for name, value in given.items() if value is not None}
        return self.native.__dlpack__(**more)

    def __dlpack_device__(self) -> Any:
        return self.native.__dlpack_device__()

    def __bool__(self) -> bool:
        return bool(self.native)

    def __int__(self) -> int:
        return int(self.native)

    def __float__(self) -> float:
        return float(self.native)

    def __complex__(self) -> complex:
        return complex(self.native)

    def __index__(self) -> int:
        return int(self.native.__index__())

    def __len__(self) -> int:
        return len(self.native)

    def __repr__(self) -> str:
        return f"ReproducibleArray({self.native!r})"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """Return the values as a NumPy array of their own, where the library gives one."""
        if copy is False:
            raise ValueError("copy is False, but a NumPy array of the values is a copy")
        array = to_native(self).__array__()
        return array.astype(array.dtype if dtype is None else dtype)

    def __iter__(self) -> Iterator["ReproducibleArray"]:
        if not self.ndim:
            raise TypeError("x has no axis to iterate over")
        return (self[index, ...] for index in range(self.shape[0]))

    def __getitem__(self, key: Any) -> "ReproducibleArray":
        return self.namespace._getitem(self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        """Take the values with some of them changed; other arrays keep theirs."""
        changed = self.namespace._setitem(self, key, value)
        self._array, self.grain, self.fixed_point = changed.native, changed.grain, None

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

    def __neg__(self) -> "ReproducibleArray":
        return self.namespace.negative(self)

    def __pos__(self) -> "ReproducibleArray":
        return self.namespace.positive(self)

    def __abs__(self) -> "ReproducibleArray":
        return self.namespace.abs(self)

    def __invert__(self) -> "ReproducibleArray":
        return self.namespace.bitwise_invert(self)


def native_of(value: Any) -> Any:
    """Return a structure of tuples, lists and dicts with the library's arrays for the wrapped."""
    return map_wrapped(lambda x: x.native, value)


def unwrapped(value: Any) -> Any:
    """Return `native_of` with one NaN: what leaves the namespace, see `to_native`."""
    return map_wrapped(to_native, value)


def map_wrapped(function: Callable[["ReproducibleArray"], Any], value: Any) -> Any:
    """Return a structure with function(x) for each array x of a reproducible namespace."""
    if isinstance(value, ReproducibleArray):
        return function(value)
    if isinstance(value, tuple | list):
        items = [map_wrapped(function, item) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if isinstance(value, dict):
        return {name: map_wrapped(function, item) for name, item in value.items()}
    return value


def to_native(x: Any) -> Array:
    """Return the library's own array of a reproducible one.

    Every NaN of it has the same bits: libraries and processors disagree on the sign and payload
    of a NaN that they compute.

    Parameters
    ----------
    x : ReproducibleArray
        Any shape and dtype.

    Returns
    -------
    array
        Of the library, the same shape and dtype; it may share memory with `x`.

    Raises
    ------
    TypeError
        If `x` is not an array of a reproducible namespace.
    """
    if not isinstance(x, ReproducibleArray):
        raise TypeError(
            f"x is a {type(x).__module__}.{type(x).__qualname__}, expected an array of "
            "pluggable_mlp.reproducible(xp)"
        )
    return keep_nan(x.namespace.library, x.native, x.native) if x.kind else x.native
