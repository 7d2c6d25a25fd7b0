"""The array of the reproducible namespace: a library's array, and facts about its values.

No rounding happens here.

The underflow class of an array says of its smallest finite values:

    ANY         they are 0 or normal numbers
    LATTICE     they are multiples of twice the smallest normal number, 2^-125 (float64: 2^-1021)
    PRODUCTS    they are 0, or at least 2^-102 (2^-969), and so on the lattice, too

Sums and differences of numbers on the lattice are on it, hence never denormal.  Nor is the sum of
a normal number x and a product p: below 2^-103, x leaves p more than half of itself; from there
on, both are multiples of 2^-126.
"""

from collections.abc import Callable
from types import EllipsisType
from typing import TYPE_CHECKING, Any, TypeAlias

import array_api_compat

from pluggable_mlp.arrays import Array, Device, DType, device_of, dtype_name, map_nested
from pluggable_mlp.elementary.rounding import one_nan
from pluggable_mlp.namespaces.operators import Operators
from pluggable_mlp.namespaces.reproducible.device_scalar import DeviceScalar
from pluggable_mlp.namespaces.reproducible.operand import FixedPoint
from pluggable_mlp.shortcuts import call_compiled

if TYPE_CHECKING:
    from pluggable_mlp.namespaces.reproducible.namespace import ReproducibleNamespace

ANY, LATTICE, PRODUCTS = 0, 1, 2

Reproducible: TypeAlias = "ReproducibleNamespace"
Scalar: TypeAlias = bool | int | float
ArrayOrScalar: TypeAlias = "ReproducibleArray | DeviceScalar | bool | int | float"
KeyItem: TypeAlias = "int | slice | EllipsisType | ReproducibleArray | None"
Key: TypeAlias = "KeyItem | tuple[KeyItem, ...]"


class ReproducibleArray(Operators):
    """An array of a library, whose operations round the same on every library.

    Made by the functions of a namespace, `xp.asarray` first of all; its members are those of the
    array API standard.  A floating-point array holds no denormal numbers and no negative zeros.
    Values never change: `x += y` is `x = x + y`, and `x[key] = value` replaces the values of `x`.

    Parameters
    ----------
    array : array
        The library's array, any shape.
    namespace : ReproducibleNamespace
        The namespace that it belongs to.
    underflow : {ANY, LATTICE, PRODUCTS}
        The class of the smallest values, see the first lines of this file.
    kind : {"float32", "float64", ""}, optional
        By default, that of the array's dtype.
    """

    __slots__ = ("_kind", "_native", "namespace", "underflow")

    __array_ufunc__ = None  # NumPy's operators then leave mixed operands to ours, which refuse

    scalars = (int, float, DeviceScalar)

    fixed_point: FixedPoint | None = None
    """The values as 8-bit integers times a power of two, see `FixedPointArray`."""

    def __init__(
        self,
        array: Array,
        namespace: Reproducible,
        underflow: int = ANY,
        *,
        kind: str | None = None,
    ) -> None:
        self._native = array
        self._kind = kind
        self.namespace = namespace
        self.underflow = underflow

    @property
    def native(self) -> Array:
        """The library's array of these values, which is not to be written to."""
        return self._native

    def in_namespace(self, namespace: Reproducible) -> "ReproducibleArray":
        """Return the array in another namespace over the same library."""
        return ReproducibleArray(self._native, namespace, self.underflow, kind=self._kind)

    @property
    def has_values(self) -> bool:
        """Whether there are values: not where a library traces a function."""
        return device_of(self._native) is not None

    def __array_namespace__(self, *, api_version: str | None = None) -> Reproducible:
        """Return the namespace; see the array API standard."""
        return self.namespace

    @property
    def dtype(self) -> DType:
        """The library's dtype."""
        return self._native.dtype

    @property
    def kind(self) -> str:
        """ "float32" or "float64"; "" of integers and booleans."""
        if self._kind is None:
            self._kind = self.namespace.kinds[self.dtype]
        return self._kind

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return tuple(self._native.shape)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._native.ndim

    @property
    def size(self) -> int | None:
        """The number of elements."""
        return array_api_compat.size(self.native)

    @property
    def device(self) -> Device:
        """The library's device."""
        return device_of(self.native)

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

    def to_device(self, device: Device, /, *, stream: Any = None) -> "ReproducibleArray":
        """Return the array on another device of the library."""
        moved = array_api_compat.to_device(self.native, device, stream=stream)
        return ReproducibleArray(moved, self.namespace, self.underflow)

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        options = {
            "stream": stream,
            "max_version": max_version,
            "dl_device": dl_device,
            "copy": copy,
        }
        options = {name: value for name, value in options.items() if value is not None}
        return self.native.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.native.__dlpack_device__()

    def _as(self, kind: Callable[[Array], Any]) -> Any:
        """Return the value as a Python number: libraries disagree on which arrays have one."""
        if self.ndim:
            raise TypeError(
                f"x is {self.shape}, expected an array without axes for a Python number"
            )
        return kind(self.native)

    def __bool__(self) -> bool:
        return bool(self._as(bool))

    def __int__(self) -> int:
        return int(self._as(int))

    def __float__(self) -> float:
        return float(self._as(float))

    def __complex__(self) -> complex:
        return complex(self._as(complex))

    def __index__(self) -> int:
        if not self.namespace.library.isdtype(self.dtype, "integral"):
            raise TypeError(f"x is {dtype_name(self.dtype)}, expected an integer for an index")
        return int(self)

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("x has no axis, and so no len()")
        return self.shape[0]

    def __copy__(self) -> "ReproducibleArray":
        return self.in_namespace(self.namespace)

    def __deepcopy__(self, memo: Any) -> "ReproducibleArray":
        return self.namespace.asarray(self, copy=True)

    def __reduce__(self) -> str:
        raise TypeError(
            "arrays of the reproducible namespace are not pickled; pickle to_native(x), and return "
            "to the namespace by xp.asarray"
        )

    def __repr__(self) -> str:
        return f"ReproducibleArray({self.native!r})"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """Return the values as a NumPy array of their own, where the library gives one."""
        if copy is False:
            raise ValueError("copy is False, but a NumPy array of the values is a copy")
        array = to_native(self).__array__()
        return array.astype(array.dtype if dtype is None else dtype)

    def __getitem__(self, key: Key) -> "ReproducibleArray":
        return self.namespace._getitem(self, key)

    def __setitem__(self, key: Key, value: ArrayOrScalar) -> None:
        """Replace the values by ones of which some are changed; other arrays keep theirs."""
        changed = self.namespace._setitem(self, key, value)
        self._native, self.underflow = changed.native, changed.underflow


ReproducibleArray.operands = (ReproducibleArray, *ReproducibleArray.scalars)


class FixedPointArray(ReproducibleArray):
    """8-bit integers times a power of two: products with them need one slice.

    Parameters
    ----------
    fixed_point : FixedPoint
        The values, from which the library's array is computed on demand.
    namespace : ReproducibleNamespace
        The namespace that it belongs to.
    """

    __slots__ = ("fixed_point",)

    fixed_point: FixedPoint | None  # None after values were replaced

    def __init__(self, fixed_point: FixedPoint, namespace: Reproducible) -> None:
        super().__init__(None, namespace, PRODUCTS)
        self.fixed_point = fixed_point

    @property
    def native(self) -> Array:
        """The library's array of these values, which is not to be written to."""
        if self._native is None and self.fixed_point is not None:
            self._native = self.fixed_point.values
        return self._native

    def _facts(self) -> Any:
        """Return the object with the shape and the dtype, without computing any value."""
        return self._native if self.fixed_point is None else self.fixed_point

    def in_namespace(self, namespace: Reproducible) -> ReproducibleArray:
        """Return the array in another namespace over the same library."""
        if self.fixed_point is None:
            return super().in_namespace(namespace)
        return FixedPointArray(self.fixed_point, namespace)

    @property
    def has_values(self) -> bool:
        """Whether there are values: not where a library traces a function."""
        return device_of(getattr(self._facts(), "integers", self._native)) is not None

    @property
    def dtype(self) -> DType:
        """The library's dtype."""
        return self._facts().dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return tuple(self._facts().shape)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._facts().ndim

    def __setitem__(self, key: Key, value: ArrayOrScalar) -> None:
        super().__setitem__(key, value)
        self.fixed_point = None


def native_of(value: Any) -> Any:
    """Return a structure of tuples, lists and dicts with the library's arrays for the wrapped."""
    return map_nested(lambda x: x.native, value, ReproducibleArray)


def map_wrapped(function: Callable[["ReproducibleArray"], Any], value: Any) -> Any:
    """Return a structure with function(x) for each array x of a reproducible namespace."""
    return map_nested(function, value, ReproducibleArray)


def to_native(x: ReproducibleArray) -> Array:
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

    See Also
    --------
    reproducible

    Examples
    --------
    >>> import numpy as np
    >>> from pluggable_mlp import reproducible, to_native
    >>> xp = reproducible(np)
    >>> to_native(xp.exp(xp.asarray([0.0])))
    array([1.])
    """
    if not isinstance(x, ReproducibleArray):
        raise TypeError(
            f"x is a {type(x).__module__}.{type(x).__qualname__}, expected an array of "
            "pluggable_mlp.reproducible(xp)"
        )
    return call_compiled(x.namespace.library, one_nan, x.native) if x.kind else x.native
