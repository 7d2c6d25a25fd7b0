"""The namespace as an object: the functions with a rule, and those that round nothing.

What only moves, selects, compares or sorts gives the same bits on every library: it is the
library's own function on the arrays within, listed here by name.
"""

from functools import lru_cache, partial, wraps
from types import SimpleNamespace
from typing import Any

import array_api_compat

from pluggable_mlp.arrays import Array, DType, dtype_name, has_values, library_of
from pluggable_mlp.executor import RunAll, one_by_one
from pluggable_mlp.namespaces.reproducible import (
    creation,
    elementwise,
    indexing,
    integers,
    linear_algebra,
    statistical,
)
from pluggable_mlp.namespaces.reproducible.array import ReproducibleArray, map_wrapped, native_of
from pluggable_mlp.namespaces.reproducible.compiled_calls import in_one_call
from pluggable_mlp.namespaces.reproducible.factor import traced
from pluggable_mlp.namespaces.reproducible.flags import Flags, all_valid
from pluggable_mlp.namespaces.reproducible.literals import default_dtypes
from pluggable_mlp.namespaces.reproducible.number import Number
from pluggable_mlp.namespaces.reproducible.operands import (
    check_boolean,
    check_not_floating,
    check_numeric,
    grain_of,
    pair,
)
from pluggable_mlp.namespaces.reproducible.rules import Rules
from pluggable_mlp.shortcuts import check_process, guards, load_offers

__all__ = ["ReproducibleNamespace", "reproducible"]

_RULES = (
    creation.FUNCTIONS
    | indexing.FUNCTIONS
    | elementwise.FUNCTIONS
    | integers.FUNCTIONS
    | statistical.FUNCTIONS
    | linear_algebra.FUNCTIONS
)

# They look at values or move them, and round nothing.
# fmt: off
_EXACT = (
    "abs", "all", "any", "argmax", "argmin", "argsort", "bitwise_invert", "broadcast_arrays",
    "broadcast_to", "concat", "count_nonzero", "flip", "isfinite", "isin",
    "isinf", "isnan", "logical_not", "meshgrid", "moveaxis", "nonzero", "repeat",
    "reshape", "roll", "sort", "squeeze", "stack", "take_along_axis", "tile", "tril",
    "triu", "unique_all", "unique_counts", "unique_inverse", "unique_values", "unstack",
)
# fmt: on
# The same of two operands, of which one may be a Python scalar.
# fmt: off
_EXACT_PAIRS = (
    "bitwise_and", "bitwise_or", "bitwise_xor", "equal", "greater", "greater_equal", "less",
    "less_equal", "logical_and", "logical_or", "logical_xor", "maximum", "minimum", "not_equal",
    "searchsorted",
)
# fmt: on
# Which dtypes they take, where libraries disagree: of the others, those of arrays of any.
# fmt: off
_OF_BOOLEANS = ("logical_and", "logical_not", "logical_or", "logical_xor")
_OF_BITS = ("bitwise_and", "bitwise_invert", "bitwise_or", "bitwise_xor")
_OF_NUMBERS = (
    "abs", "argmax", "argmin", "argsort", "greater", "greater_equal", "isfinite", "isinf", "isnan",
    "less", "less_equal", "maximum", "minimum", "searchsorted", "sort",
)
# fmt: on
# Those whose integers are places or counts, int64 on every library; `unique_*` have values first.
_INDICES = ("argmax", "argmin", "argsort", "count_nonzero", "nonzero", "searchsorted")
_INDICES_AFTER_VALUES = ("unique_all", "unique_counts", "unique_inverse")
_CONSTANTS = ("e", "inf", "nan", "newaxis", "pi")
# fmt: off
_DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float32", "float64",
)
# fmt: on
_OF_DTYPES_OR_SHAPES = ("broadcast_shapes", "can_cast", "isdtype", "result_type")
_OWN = {*_RULES, "linalg"}
_NAMES = {*_OWN, *_EXACT, *_EXACT_PAIRS, *_CONSTANTS, *_DTYPES, *_OF_DTYPES_OR_SHAPES}


class ReproducibleNamespace:
    """A namespace of the array API standard whose functions give the same bits on every library.

    Made by `reproducible`.  Its functions are attributes, as a module's are.

    Attributes
    ----------
    library : namespace
        Of the arrays within.
    kinds : mapping
        Of a dtype: "float32" or "float64", and "" for integers and booleans.
    queued : bool
        Whether looks at values are expensive: nothing is cut into parts.
    looks : bool
        Whether functions look at values; if not, `all_valid` tells whether that was right.
    rules : Rules
        How products, sums and elementary functions of those are computed.
    beyond_standard : tuple of str
        The functions of `special.py` that have a rule.
    """

    beyond_standard = ("affine", "erf", "rsqrt", "sigmoid", "softplus")

    def __init__(
        self, xp: Any, run_all: RunAll | None = one_by_one, flags: Flags | None = None
    ) -> None:
        self.library = xp
        self.kinds = _kinds(xp)
        self.rules = Rules(xp, run_all, flags)
        self.__name__ = f"reproducible({library_of(xp)})"
        self.queued = run_all is None
        self.looks = flags is None
        self._run_all = run_all
        self._flags = flags
        self._guards = guards(xp)

    def speculating(self) -> "ReproducibleNamespace":
        """Return a new namespace whose functions look at no value, as if fast paths were valid.

        It is for one computation, as a training step, and may be made within a function that a
        library compiles.  Its arrays are its own: `wrap` those of the library.  `all_valid` tells
        whether its results are right.
        """
        return ReproducibleNamespace(self.library, self._run_all, [])

    def all_valid(self, like: Array) -> Array:
        """Return whether all that was computed speculatively is valid: 0-d, on `like`'s device.

        It then has the bits of a namespace that looks; otherwise, such a one has to compute it.
        """
        return all_valid(self.library, self._flags or [], like)

    def accept(self, valid: Array) -> bool:
        """Return whether a result is accepted whose validity is 0-d: now, or by `all_valid`."""
        if self._flags is not None:
            self._flags.append(valid)
            return True
        return not has_values(valid) or bool(valid)  # what is traced is refused

    def wrap(self, array: Array) -> ReproducibleArray:
        """Return a library's array that came out of a reproducible namespace, as it is."""
        return ReproducibleArray(array, self)

    def number(self, value: Array) -> Number:
        """Return a 0-d float64 array of the library as what a Python float is to the namespace."""
        return Number(self.library, value)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            return getattr(self.library, name)  # __array_api_version__
        if name not in _NAMES or not (name in _OWN or hasattr(self.library, name)):
            raise AttributeError(
                f"{self.__dict__.get('__name__', 'the reproducible namespace')} has no rule for "
                f"{name!r}: its results could differ between libraries; "
                "docs/reproducible-namespace.md lists what there is"
            )
        value = self._member(name)
        setattr(self, name, value)  # asked for once: many namespaces are made for one step
        return value

    def _member(self, name: str) -> Any:
        if name == "linalg":
            functions = linear_algebra.LINALG.items()
            return SimpleNamespace(**{name: self._bound(function) for name, function in functions})
        if name in _RULES:
            return self._bound(_RULES[name])
        if name in _CONSTANTS or name in _DTYPES:
            return getattr(self.library, name)
        if name in _OF_DTYPES_OR_SHAPES:
            return self._of_dtypes_or_shapes(name)
        return self._guarded(self.of_library(name))

    def _bound(self, function: Any) -> Any:
        """Return a function of this file's siblings without its first parameter, the namespace."""
        bound = partial(function, self)
        bound.__doc__ = function.__doc__
        return self._guarded(in_one_call(self, function, bound))

    def _guarded(self, function: Any) -> Any:
        """Return the function; on a library that has settings or traces, with their checks.

        Settings may have changed since the namespace was made, and what is traced has no values,
        and is rounded otherwise: only namespaces that do not look take it.
        """
        if not self._guards:
            return function

        @wraps(function)
        def guarded(*arguments: Any, **keywords: Any) -> Any:
            check_process(self.library)
            if self.looks:
                map_wrapped(_refuse_traced, arguments)
            result = function(*arguments, **keywords)
            if self.looks:
                map_wrapped(_refuse_traced, result)
            return result

        return guarded

    def __dir__(self) -> list[str]:
        names = [n for n in _NAMES if n[0] != "_" and (n in _OWN or hasattr(self.library, n))]
        return [*names, "finfo", "iinfo"]

    def __repr__(self) -> str:
        return f"<namespace {self.__name__}>"

    def of_library(self, name: str) -> Any:
        """Return the library's function on wrapped arrays: for what rounds nothing."""
        function = getattr(self.library, name)
        of_pair, check = name in _EXACT_PAIRS, _check_of(name)

        @wraps(function)
        def apply(*arguments: Any, **keywords: Any) -> Any:
            for x in arguments if check else ():
                check(name, x)
            if of_pair and len(arguments) == 2 and not keywords:
                return self._of_pair(name, function, *arguments)
            result = function(*map(native_of, arguments), **native_of(keywords))
            return self._wrapped(self._in_int64(name, result), grain_of(*_flat(arguments)))

        return apply

    def _of_pair(self, name: str, function: Any, x1: Any, x2: Any) -> ReproducibleArray:
        a, b = pair(name, x1, x2)
        grain = grain_of(x1, x2, *(z for z in (a, b) if isinstance(z, float)))
        return ReproducibleArray(self._in_int64(name, function(a, b)), self, grain)

    def _in_int64(self, name: str, result: Any) -> Any:
        """Return what the library's function of a name gave, with its places and counts in int64.

        Some are of other integer dtypes on JAX.
        """
        if name in _INDICES_AFTER_VALUES:
            values, *others = result
            return type(result)(values, *map(self._int64, others))
        if name not in _INDICES:
            return result
        if isinstance(result, tuple):
            return tuple(map(self._int64, result))
        return self._int64(result)

    def _int64(self, x: Array) -> Array:
        xp = self.library
        if not array_api_compat.is_array_api_obj(x):  # a count, as a Python integer
            return xp.asarray(x, dtype=xp.int64)
        return xp.astype(x, xp.int64, copy=False)

    def finfo(self, type: Any, /) -> SimpleNamespace:
        """Return the limits of a floating-point dtype, as Python floats."""
        return self._limits("finfo", type, float, ("eps", "max", "min", "smallest_normal"))

    def iinfo(self, type: Any, /) -> SimpleNamespace:
        """Return the limits of an integer dtype, as Python integers."""
        return self._limits("iinfo", type, int, ("max", "min"))

    def _limits(self, name: str, of: Any, number: type, limits: tuple[str, ...]) -> SimpleNamespace:
        dtype = of.dtype if isinstance(of, ReproducibleArray) else of
        found = getattr(self.library, name)(dtype)
        numbers = {limit: number(getattr(found, limit)) for limit in limits}
        return SimpleNamespace(bits=int(found.bits), dtype=dtype, **numbers)

    def _wrapped(self, result: Any, grain: int) -> Any:
        """Return what a function of the library gave, its arrays wrapped."""
        if isinstance(result, tuple | list):
            items = [self._wrapped(item, grain) for item in result]
            is_named = hasattr(result, "_fields")
            return type(result)(*items) if is_named else type(result)(items)
        if array_api_compat.is_array_api_obj(result):
            return ReproducibleArray(result, self, grain)
        return result

    def _of_dtypes_or_shapes(self, name: str) -> Any:
        """Return a function of dtypes, which may be given as arrays, or of shapes."""
        function = getattr(self.library, name)

        @wraps(function)
        def apply(*arguments: Any) -> Any:
            return function(*map(native_of, arguments))

        return apply

    def __array_namespace_info__(self) -> Any:
        """Return what the standard asks for, of the dtypes that have rules."""
        return _Info(self.library)


class _Kinds(dict[DType, str]):
    """ "float32", "float64" or "" by the dtype: asked at every operation, so looked up."""

    def __init__(self, xp: Any) -> None:
        self._xp = xp

    def __missing__(self, dtype: DType) -> str:
        xp = self._xp
        floating = {"float32": xp.float32, "float64": xp.float64}
        kind = next((name for name, own in floating.items() if own == dtype), "")
        if not kind and not xp.isdtype(dtype, ("bool", "integral")):
            raise TypeError(
                f"dtype is {dtype_name(dtype)}, expected float32, float64, an integer type or "
                "bool: the reproducible namespace has no rules for others"
            )
        self[dtype] = kind
        return kind


@lru_cache(maxsize=32)
def _kinds(xp: Any) -> _Kinds:
    return _Kinds(xp)


class _Info:
    """What the namespace can do here; see the inspection chapter of the standard."""

    def __init__(self, xp: Any) -> None:
        self._xp = xp
        self._info = xp.__array_namespace_info__()
        self.capabilities = self._info.capabilities
        self.default_device = self._info.default_device
        self.devices = self._info.devices

    def default_dtypes(self, *, device: Any = None) -> dict[str, Any]:
        """Return the default dtype of each kind, the same on every library and device."""
        del device
        return default_dtypes(self._xp)

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, Any]:
        """Return the dtypes of a kind."""
        found = self._info.dtypes(device=device, kind=kind)
        return {name: dtype for name, dtype in found.items() if name in _DTYPES}


def _check_of(name: str) -> Any:
    """Return what refuses arrays of dtypes that a function of the library does not take, if any."""
    if name in _OF_BOOLEANS:
        return check_boolean
    if name in _OF_BITS:
        return check_not_floating
    return check_numeric if name in _OF_NUMBERS else None


def _refuse_traced(x: ReproducibleArray) -> None:
    """Raise for an array that JAX traces, which has no values."""
    if not x.has_values:
        raise traced()


def _flat(arguments: Any) -> list[Any]:
    """Return the arrays and numbers of arguments, also those in lists."""
    found: list[Any] = []
    for argument in arguments:
        found += argument if isinstance(argument, list | tuple) else [argument]
    return found


def reproducible(xp: Any, run_all: RunAll | None = one_by_one) -> ReproducibleNamespace:
    """Return the reproducible namespace over an array library.

    Parameters
    ----------
    xp : namespace
        An array API namespace with float64, such as `backend.xp` or `array_api_compat.torch`.
    run_all : callable, optional
        Who runs the parts of a large product: `backend.run_all` where a backend has it.  None
        where operations are not to be cut into parts at all, as on a GPU.

    Returns
    -------
    ReproducibleNamespace
        The same object whenever it is asked for with the same arguments.

    Raises
    ------
    ArithmeticUnavailable, BackendUnavailable
        If the library has no float64, or a setting of its process forbids right results.

    Examples
    --------
    >>> import array_api_compat.numpy as np
    >>> from pluggable_mlp import reproducible, to_native
    >>> xp = reproducible(np)
    >>> x = xp.asarray([[1.0, 2.0], [3.0, 4.0]])
    >>> to_native(x @ x / xp.sum(x)).tolist()
    [[0.7000000000000001, 1.0], [1.5, 2.2]]
    """
    load_offers(xp)
    check_process(xp)
    return _made(xp, run_all)  # type: ignore[arg-type]  # a callable has a hash


@lru_cache(maxsize=32)
def _made(xp: Any, run_all: RunAll | None) -> ReproducibleNamespace:
    return ReproducibleNamespace(xp, run_all)
