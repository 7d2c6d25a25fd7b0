"""Checks that the arrays of a call share a library and a device, and helpers for any array.

This is the lowest layer of the project: it depends on the array API standard, not on an array
library.  Mathematics does not belong here.
"""
# mypy: disable-error-code="empty-body"
# The methods of `LibraryArray` are read by type checkers alone.

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

import array_api_compat

if TYPE_CHECKING:
    from numpy.lib.mixins import NDArrayOperatorsMixin as _Operators
else:
    _Operators = object

# Arrays of every library pass through the same lines: no static type describes them all.
Array: TypeAlias = Any
Namespace: TypeAlias = Any
DType: TypeAlias = Any
Device: TypeAlias = Any
Nested: TypeAlias = Any
"""Arrays and other values in nested lists, tuples and dicts."""


class LibraryArray(_Operators):
    """The type of results, for type checkers: an array of the inputs' library.

    It has the attributes and operators of arrays in the array API standard.  A checker does not
    know the library's own; `numpy.asarray(…)` or `cast(torch.Tensor, …)` tells it more.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of elements along each axis."""

    @property
    def ndim(self) -> int:
        """The number of axes."""

    def __getattr__(self, name: str, /) -> Any: ...
    def __array__(self) -> Any: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> "Iterator[LibraryArray]": ...
    def __getitem__(self, key: Any, /) -> "LibraryArray": ...
    def __setitem__(self, key: Any, value: Any, /) -> None: ...
    def __bool__(self) -> bool: ...
    def __int__(self) -> int: ...
    def __float__(self) -> float: ...
    def __index__(self) -> int: ...


LibraryArrays: TypeAlias = list[dict[str, LibraryArray]]
"""Arrays by layer and name, such as the parameters of a network."""

__all__ = ["Array", "DType", "Device", "LibraryArray", "LibraryArrays", "Namespace"]

_FEW_COLUMNS, _MANY_ROWS = 32, 64

_HOST = 1  # kDLCPU, in DLPack's numbers of devices


def map_nested(
    function: Callable[[Array], Array], value: Nested, kind: type | tuple[type, ...] | None = None
) -> Nested:
    """Return nested lists, tuples and dicts with each array replaced by function(array).

    Arrays are the values of a kind; by default those that have a dtype.
    """
    return _mapped(function, [value], kind)[0]


def _mapped(
    function: Callable[[Array], Array],
    values: Iterable[Nested],
    kind: type | tuple[type, ...] | None,
) -> list[Nested]:
    """Return `map_nested` of each value, in a loop: every step passes here, with all its arrays."""
    mapped: list[Nested] = []
    for value in values:
        if isinstance(value, dict):
            items = _mapped(function, value.values(), kind)
            mapped.append(dict(zip(value, items, strict=True)))
        elif isinstance(value, tuple | list):
            items = _mapped(function, value, kind)
            named = hasattr(value, "_fields")
            mapped.append(type(value)(*items) if named else type(value)(items))
        else:
            is_array = hasattr(value, "dtype") if kind is None else isinstance(value, kind)
            mapped.append(function(value) if is_array else value)
    return mapped


def array_namespace(array: Array) -> Namespace:
    """Return the array API namespace that an array names, or else array-api-compat's.

    NumPy's arrays name NumPy, which has all that the library needs.  `array_api_compat.numpy`
    imports every part of NumPy, such as f2py, which takes as long again.

    Raises
    ------
    TypeError
        If it is not an array.
    """
    named = getattr(array, "__array_namespace__", None)
    return array_api_compat.array_namespace(array) if named is None else named()


def common_namespace(**arrays: Array) -> Namespace:
    """Return the array API namespace that all the given arrays belong to.

    Parameters
    ----------
    **arrays
        The arrays of one call, by the names of their arguments; at least one.

    Returns
    -------
    namespace
        The array API namespace: see `array_namespace`.

    Raises
    ------
    TypeError
        If an argument is not an array, or if two of them are of different array libraries.
    ValueError
        If two of them are on different devices.  Arrays without values do not have a device yet.
    """
    first, placed = "", ""
    xp, place, known_class = None, None, None
    for name, array in arrays.items():
        try:
            its_xp = xp if type(array) is known_class else array_namespace(array)
            its_place = device_of(array)
        except TypeError:
            raise TypeError(
                f"{name} is a {type(array).__module__}.{type(array).__name__}, not an array; "
                "make one with backend.asarray(...)"
            ) from None
        if not first:
            first, xp = name, its_xp
            # Wrapped arrays of one class may have different namespaces.
            known_class = None if hasattr(array, "namespace") else type(array)
        elif its_xp is not xp:
            raise TypeError(
                f"{first} is an array of {library_of(xp)}, but {name} is an array of "
                f"{library_of(its_xp)}; move one of them with backend.asarray(...)"
            )
        if not placed and its_place is not None:
            placed, place = name, its_place
        elif its_place is not None and its_place != place:
            raise ValueError(
                f"{placed} is on device {place}, but {name} is on device {its_place}; "
                "move one of them with array_api_compat.to_device(...)"
            )
    return xp


def device_of(array: Array) -> Device:
    """Return the device of an array, for others that it is combined with.

    It is None within a function that JAX compiles, whose arrays are created where the function
    runs (https://github.com/jax-ml/jax/issues/26000).
    """
    kind = array.__class__
    # Asked for its device, such an array raises an error, whose message needs a search of all
    # operations so far: of a large network that was nearly half of the time of its compilation.
    if kind.__module__.startswith("jax.") and issubclass(kind, import_module("jax.core").Tracer):
        return None
    named = getattr(array, "device", None)  # dask's arrays have none
    return array_api_compat.device(array) if named is None else named


def is_cpu(array: Array) -> bool:
    """Return whether an array is in the host's memory, which is assumed if DLPack is unknown."""
    if not hasattr(array, "__dlpack_device__"):
        return True
    try:
        return bool(array.__dlpack_device__()[0] == _HOST)
    except Exception:  # each library has its own error, for a device that DLPack has no number for
        return False


def readable(array: Array) -> tuple[Namespace, Array]:
    """Return a namespace and an array of it whose values are read fast: on the host, NumPy's.

    NumPy has no bfloat16 and is slow with float16, and arrays of a function that JAX compiles have
    no values.
    """
    if device_of(array) is not None and is_cpu(array):
        with suppress(TypeError, RuntimeError):  # PyTorch's, for bfloat16 and for graphs
            view = array.__array__()
            array = view if view.dtype.isbuiltin == 1 and view.dtype != "float16" else array
    return array_namespace(array), array


def by_columns(rows: int | None, columns: int) -> bool:
    """Return whether a matrix with this shape is better stored by columns.

    Operations along each of many short rows, such as the maximum and the sum of softmax, then
    run along memory, for many rows at once: up to fifteen times as fast in NumPy.  JAX has no such
    choice; if it does not compile, a transpose is a small copy.
    """
    return columns <= _FEW_COLUMNS and rows is not None and rows >= _MANY_ROWS


def dtype_name(dtype: DType) -> str:
    """Return a dtype's name in the standard, such as "float32", on every library."""
    return str(getattr(dtype, "__name__", dtype)).rpartition(".")[2]


def transpose(x: Array) -> Array:
    """Return `x` (…, m, n) with its last two axes exchanged.

    Arrays of some libraries, such as dask, lack the standard's attribute `mT`.
    """
    try:
        return x.mT
    except AttributeError:
        return array_namespace(x).matrix_transpose(x)


def library_of(xp: Namespace) -> str:
    """Return the name of the library behind a namespace, such as "torch", wrapped or not."""
    return xp.__name__.removeprefix("array_api_compat.").split(".")[0]


def unwrapped_namespace(xp: Namespace) -> Namespace:
    """Return NumPy for its array-api-compat namespace; likewise for libraries with their own."""
    library = sys.modules.get(library_of(xp))
    is_wrapped = xp.__name__.startswith("array_api_compat.")
    return library if is_wrapped and hasattr(library, "__array_namespace_info__") else xp


def without_graph(array: Array) -> Array:
    """Return an array that PyTorch will not differentiate: its graph would grow with every step."""
    return array.detach() if getattr(array, "requires_grad", False) else array
