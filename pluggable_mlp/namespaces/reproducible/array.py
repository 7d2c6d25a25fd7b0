"""The array of the reproducible namespace: a library's array, and facts about its values.

No rounding happens here.

The underflow class of an array describes its smallest finite values:

    ANY         they are 0 or normal numbers
    LATTICE     they are multiples of twice the smallest normal number, 2^-125 (float64: 2^-1021)
    PRODUCTS    they are 0, or at least 2^-102 (2^-969), and so on the lattice, too

Sums and differences of numbers on the lattice are on it, hence never denormal.  Nor is the sum of
a normal number x and a product p: below 2^-103, x leaves p more than half of itself; from there
on, both are multiples of 2^-126.
"""

from operator import attrgetter
from types import EllipsisType
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias

import array_api_compat

from pluggable_mlp.arrays import (
    Array,
    Device,
    DType,
    Namespace,
    Nested,
    device_of,
    library_of,
    map_nested,
)
from pluggable_mlp.arrays.compiling import call_compiled
from pluggable_mlp.arrays.executor import RunAll, one_by_one
from pluggable_mlp.elementary.common import one_nan
from pluggable_mlp.namespaces.reproducible.device_scalar import DeviceScalar
from pluggable_mlp.namespaces.reproducible.dtypes import Kinds
from pluggable_mlp.namespaces.reproducible.exactness import require_float64
from pluggable_mlp.namespaces.reproducible.operand import FixedPoint
from pluggable_mlp.namespaces.wrapped_array import WrappedArray

ANY, LATTICE, PRODUCTS = 0, 1, 2

Scalar: TypeAlias = bool | int | float
ArrayOrScalar: TypeAlias = "ReproducibleArray | DeviceScalar | bool | int | float"
KeyItem: TypeAlias = "int | slice | EllipsisType | ReproducibleArray | None"
Key: TypeAlias = "KeyItem | tuple[KeyItem, ...]"


class Reproducible:
    """A namespace as its rules see it: a library, and how operations on its arrays are cut.

    Attributes
    ----------
    library : namespace
        The namespace of the arrays within.
    kinds : mapping
        The kind of each dtype: "float32" or "float64", and "" for integers and booleans.
    run_all : callable or None
        Runs the tasks that products of large matrices are cut into; None if nothing is cut.
    queued : bool
        Whether each call is slow, as on a device with a queue; then nothing is cut, and
        computations are compiled.
    is_traced : bool
        Whether it is for a function that a library compiles exactly, whose arrays have no values.
    """

    def __init__(
        self, xp: Namespace, run_all: RunAll | None = one_by_one, *, is_traced: bool = False
    ) -> None:
        require_float64(xp)
        self.library: Namespace = xp
        self.kinds: Kinds = Kinds(xp)
        self.__name__: str = f"reproducible({library_of(xp)})"
        self.run_all: RunAll | None = run_all
        self.queued: bool = run_all is None
        self.is_traced: bool = is_traced

    if TYPE_CHECKING:  # the functions

        def __getattr__(self, name: str) -> Any: ...

    def for_tracing(self) -> Self:
        """Return a new namespace whose arrays may be traced: `wrap` the library's."""
        return type(self)(self.library, None, is_traced=True)

    def wrap(self, arrays: Nested, underflow: int = ANY) -> Nested:
        """Wrap nested library arrays that came from a reproducible namespace, unchanged."""
        return map_nested(lambda array: ReproducibleArray(array, self, underflow), arrays)

    def as_numbers(self, values: Nested) -> Nested:
        """Return nested numbers, with traced ones as integers or floats of the namespace."""
        return map_nested(self._as_number, values)

    def _as_number(self, value: Array) -> Array:
        if isinstance(value, int | float | ReproducibleArray):
            return value
        is_whole = self.library.isdtype(value.dtype, "integral")
        return self.wrap(value) if is_whole else DeviceScalar(self.library, value)


class ReproducibleArray(WrappedArray):
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
        The class of the smallest values, see the top of this file.

    Attributes
    ----------
    kind : {"float32", "float64", ""}
        The kind of the dtype; "" for integers and booleans.
    """

    __slots__ = ("kind", "underflow")

    kind: str
    underflow: int
    scalars: ClassVar[tuple[type, ...]] = (int, float, DeviceScalar)

    fixed_point: FixedPoint | None = None
    """The values as 8-bit integers times a power of two, see `FixedPointArray`."""

    def __init__(self, array: Array, namespace: Reproducible, underflow: int = ANY) -> None:
        self._array = array
        self.namespace = namespace
        self.underflow = underflow
        self.kind = namespace.kinds[array.dtype]

    native: property = property(
        attrgetter("_array"), doc="The library's array of these values, which is not written to."
    )

    factor: property = property(
        attrgetter("_array"), doc="What products take: fixed point as such."
    )

    @property
    def library_array(self) -> Array:
        """The library's array of these values, with one NaN."""
        xp, x = self.namespace.library, self.native
        return call_compiled(xp, one_nan, x) if self.kind else x

    def in_namespace(self, namespace: Reproducible) -> "ReproducibleArray":
        """Return the array in another namespace over the same library."""
        return ReproducibleArray(self._array, namespace, self.underflow)

    def to_device(self, device: Device, /, *, stream: object = None) -> "ReproducibleArray":
        """Return the array on another device of the library."""
        moved = array_api_compat.to_device(self.native, device, stream=stream)
        return ReproducibleArray(moved, self.namespace, self.underflow)

    def __dlpack__(
        self,
        *,
        stream: object = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> object:
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

    def __copy__(self) -> "ReproducibleArray":
        return self.in_namespace(self.namespace)

    def __deepcopy__(self, memo: object) -> "ReproducibleArray":
        return self.namespace.asarray(self, copy=True)

    def __reduce__(self) -> str:
        raise TypeError(
            "arrays of the reproducible namespace are not pickled; pickle to_native(x), and return "
            "to the namespace by xp.asarray"
        )

    def __repr__(self) -> str:
        return f"ReproducibleArray({self.native!r})"

    def __array__(self, dtype: DType = None, copy: bool | None = None) -> Array:
        """Return the values as a new NumPy array, if the library provides one."""
        if copy is False:
            raise ValueError("copy is False, but a NumPy array of the values is a copy")
        array = to_native(self).__array__()
        return array.astype(array.dtype if dtype is None else dtype)

    def __setitem__(self, key: Key, value: ArrayOrScalar) -> None:
        """Replace the values by partly changed ones; other arrays keep theirs."""
        changed = self.namespace._setitem(self, key, value)
        self._array, self.underflow = changed.native, changed.underflow


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
        super().__init__(fixed_point, namespace, PRODUCTS)
        self.fixed_point = fixed_point

    @property
    def native(self) -> Array:
        """The library's array of these values, which is not written to."""
        return self._array if self.fixed_point is None else self.fixed_point.values

    def in_namespace(self, namespace: Reproducible) -> ReproducibleArray:
        """Return the array in another namespace over the same library."""
        if self.fixed_point is None:
            return super().in_namespace(namespace)
        return FixedPointArray(self.fixed_point, namespace)

    @property
    def device(self) -> Device:
        """The library's device; None if a library traces a function."""
        return device_of(self._array if self.fixed_point is None else self.fixed_point.integers)

    def __setitem__(self, key: Key, value: ArrayOrScalar) -> None:
        super().__setitem__(key, value)
        self.fixed_point = None


def native_of(value: Nested) -> Nested:
    """Return a structure of tuples, lists and dicts with wrapped arrays unwrapped."""
    return map_nested(lambda x: x.native, value, ReproducibleArray)


def to_native(x: ReproducibleArray) -> Array:
    """Return the library's array inside a reproducible one.

    All its NaNs have the same bits, because libraries and processors disagree on the sign and
    payload of a NaN that they compute.

    Parameters
    ----------
    x : ReproducibleArray
        Any shape and dtype.

    Returns
    -------
    array
        An array of the library, with the same shape and dtype; it may share memory with `x`.

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
    return x.library_array
