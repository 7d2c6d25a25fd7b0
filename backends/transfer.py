"""Transfer between host and device, shared by the built-in backends.

This module decides what counts as host data; nothing else is converted.  It does not depend on
an array library.
"""

from typing import Any, Self, TypeAlias

import array_api_compat
import numpy as np
import numpy.typing as npt

from pluggable_mlp.arrays import Array, Device, Namespace, array_namespace, library_of

from .contract import Abilities

__all__ = ["DTYPES", "ArrayLibrary", "HostArray", "host_array"]

HostArray: TypeAlias = npt.NDArray[Any]

# The dtypes of the array API standard.
DTYPES = (
    "bool",
    *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)),
    *("float32", "float64", "complex64", "complex128"),
)
_HOST = (np.ndarray, np.generic, bool, int, float, complex, list, tuple)


class ArrayLibrary(Abilities):
    """Base class of backends, which checks arguments and leaves the copying to its subclasses.

    A subclass sets `name`, `xp` and `_device` (the attribute `device` of the library's arrays),
    and defines `_upload`, `_download`, `synchronize`, `versions` and `devices`.
    """

    name: str
    xp: Namespace
    _device: Device
    _own_classes: frozenset[type] = frozenset()  # types of this library's arrays

    @classmethod
    def _at(cls, device: Device) -> Self:
        """Return the backend on an array's device, without a search for it."""
        backend = cls.__new__(cls)
        backend._device = device
        return backend

    @property
    def device(self) -> str:
        """See `Backend.device`."""
        return str(self._device)

    def asarray(self, data: Any, dtype: str | None = None) -> Array:
        """See `Backend.asarray`."""
        if isinstance(data, _HOST):
            host = host_array(data, dtype)
            if host.dtype.name in self.missing_dtypes:
                raise ValueError(
                    f"{self.name} on {self.device} has no {host.dtype}: take float32 for data "
                    "and dtype (--dtype float32), or another backend"
                )
            return self._upload(host)
        _check_dtype(dtype)
        self._require_own(data, "data")
        if dtype is None:
            return data
        with self.context():
            return self.xp.astype(data, getattr(self.xp, dtype), copy=False)

    def to_numpy(self, array: Array) -> Array:
        """See `Backend.to_numpy`."""
        self._require_own(array, "array")
        return self._download(array)

    def _upload(self, host: Array) -> Array:
        """Copy a NumPy array of a standard dtype to this device."""
        raise NotImplementedError

    def _download(self, array: Array) -> Array:
        """Copy an array of this backend to a NumPy array."""
        raise NotImplementedError

    def _require_own(self, array: Array, argument: str) -> None:
        """Raise unless the array is of this library and on this device."""
        if type(array) in self._own_classes and array.device == self._device:
            return
        if not array_api_compat.is_array_api_obj(array):
            raise TypeError(
                f"{argument} is a {_class_of(array)}: expected a NumPy array, "
                f"a number, nested lists of numbers, or an array of {self.name} on {self.device}"
            )
        library = library_of(array_namespace(array))
        home = f"this backend is {self.name} on {self.device}"
        if library != library_of(self.xp):
            raise TypeError(
                f"{argument} is an array of {library}, and {home}: bring it to the host first, "
                f"with to_numpy of its own backend"
            )
        place = array_api_compat.device(array)
        if place != self._device:
            raise ValueError(
                f"{argument} is an array of {library} on {place}, and {home}: "
                f"bring it there with array_api_compat.to_device"
            )
        if hasattr(array, "device"):
            self._own_classes |= {type(array)}


def host_array(data: Any, dtype: str | None = None) -> Array:
    """Return host data as a NumPy array in native byte order.

    It raises the errors that `Backend.asarray` must raise, and may be used by plug-in backends.

    Parameters
    ----------
    data : any shape
        A NumPy array, a number, or nested lists of these; not copied if it fits.
    dtype : str, optional
        One of `DTYPES`; by default the one that NumPy gives to `data`.

    Returns
    -------
    numpy.ndarray, the shape of `data`
        With the strides of `data`, and read-only if `data` is.

    Raises
    ------
    ValueError
        If `dtype` is not one of `DTYPES`, nested lists differ in length, or a number does not fit
        the dtype.
    TypeError
        If `data` is or contains something else, or its dtype is not in the standard.
    """
    _check_dtype(dtype)
    if not isinstance(data, _HOST):
        raise TypeError(
            f"data is a {_class_of(data)}: expected a NumPy array, a number, "
            "or nested lists of numbers"
        )
    if isinstance(data, list | tuple):
        _refuse_other_items(data)
    try:
        array = np.asarray(data, dtype=dtype)
    except (ValueError, TypeError, OverflowError) as error:  # lists and numbers; arrays always can
        raise ValueError(
            f"data cannot become an array of {dtype or 'numbers'}: {error}; expected numbers that "
            "the dtype can hold, in nested lists that are all of one length along each axis"
        ) from None
    if array.dtype.name not in DTYPES:
        raise TypeError(
            f"data has dtype {array.dtype}: expected one of {', '.join(DTYPES)}; "
            "if it holds numbers, ask for one with dtype="
        )
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _class_of(thing: object) -> str:
    return f"{type(thing).__module__}.{type(thing).__qualname__}"


def _check_dtype(dtype: str | None) -> None:
    if dtype is not None and dtype not in DTYPES:
        raise ValueError(f"dtype is {dtype!r}: expected one of {', '.join(DTYPES)}")


def _refuse_other_items(items: list[object] | tuple[object, ...]) -> None:
    """Raise if nested lists contain a device array or the like, which NumPy would convert."""
    if {int, float}.issuperset(map(type, items)):  # most lists: nine times as fast
        return
    for item in items:
        if isinstance(item, list | tuple):
            _refuse_other_items(item)
        elif not isinstance(item, _HOST):
            raise TypeError(
                f"data is a list that holds a {_class_of(item)}: "
                "expected numbers or NumPy arrays in it"
            )
