"""The namespace as an object: the functions with a rule, and those that round nothing.

The rules use only what IEEE 754 fixes: + - *, elementwise reciprocals, comparisons, selections,
conversions, gathers, integer operations; and `matmul` and `sum` of slices so short that every
partial sum is exact, whatever their order.  Functions that only move, select, compare or sort
give the same bits on every library: they are the library's own, listed here by name.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial, wraps
from types import SimpleNamespace
from typing import Any, ClassVar, NamedTuple

import array_api_compat

from pluggable_mlp.arrays import Array, DType, Namespace, Nested, map_nested, unwrapped_namespace
from pluggable_mlp.arrays.executor import RunAll, one_by_one
from pluggable_mlp.arrays.shortcuts import check_process, load_offers, own, standard_function
from pluggable_mlp.namespaces import kinds
from pluggable_mlp.namespaces.reproducible import (
    coercion,
    creation,
    elementwise,
    indexing,
    integers,
    linear_algebra,
    statistical,
)
from pluggable_mlp.namespaces.reproducible.array import (
    ArrayOrScalar,
    Reproducible,
    ReproducibleArray,
    native_of,
)
from pluggable_mlp.namespaces.reproducible.compiled_calls import in_one_call
from pluggable_mlp.namespaces.reproducible.device_scalar import DeviceScalar
from pluggable_mlp.namespaces.reproducible.dtypes import DTYPES, Inspection
from pluggable_mlp.namespaces.reproducible.exactness import traced

Function = Callable[..., Nested]

_RULES: dict[str, Function] = (
    creation.FUNCTIONS
    | indexing.FUNCTIONS
    | elementwise.FUNCTIONS
    | integers.FUNCTIONS
    | statistical.FUNCTIONS
    | linear_algebra.FUNCTIONS
)

# fmt: off
# They compare or move values, and round nothing; or they concern dtypes.
_EXACT = {
    *kinds.ASKING, *kinds.REARRANGING,
    "abs", "all", "any", "argmax", "argmin", "argsort", "bitwise_invert", "broadcast_arrays",
    "can_cast", "concat", "count_nonzero", "isin", "logical_not", "meshgrid", "nonzero",
    "result_type", "sort", "stack", "unique_all", "unique_counts", "unique_inverse",
    "unique_values", "unstack",
}
# The same for two operands, one of which may be a Python scalar.
_EXACT_PAIRS = {
    *kinds.COMPARING, *kinds.LOGICAL, *kinds.OF_BITS, "maximum", "minimum", "searchsorted",
} - _EXACT
# Those that take numbers, but no booleans, on which libraries disagree.
_OF_NUMBERS = {
    *kinds.ASKING, *kinds.COMPARING, "abs", "argmax", "argmin", "argsort", "maximum", "minimum",
    "searchsorted", "sort",
} - {"equal", "not_equal"}
# fmt: on
# Those whose integers are places or counts, int64 on every library; `unique_*` have values first.
_INDICES = ("argmax", "argmin", "argsort", "count_nonzero", "nonzero", "searchsorted")
_INDICES_AFTER_VALUES = ("unique_all", "unique_counts", "unique_inverse")
_WITH_RULES = {*_RULES, "linalg"}
_WITHOUT_ARRAYS = {*kinds.CONSTANTS, *DTYPES, "broadcast_shapes", "isdtype"}
_NAMES = {*_WITH_RULES, *_EXACT, *_EXACT_PAIRS, *_WITHOUT_ARRAYS}


class ReproducibleNamespace(Reproducible):
    """A namespace of the array API standard whose functions give the same bits on every library.

    Made by `reproducible`.  Its functions are attributes, as a module's are.

    Attributes
    ----------
    beyond_standard : tuple of str
        The functions of `special.py` that have a rule.
    """

    beyond_standard: ClassVar[tuple[str, ...]] = (
        "affine", "erf", "in_one_kernel", "mean", "rsqrt", "sigmoid", "softplus", "take_rows"
    )  # fmt: skip

    def in_one_kernel(self, function: Function, *operands: Array) -> Nested:
        """Return function(self, *operands), elementwise, in one kernel if the library can."""
        at_once = own(self.library, "in_one_kernel")
        if at_once is None:
            return function(self, *operands)
        are_arrays = tuple(isinstance(operand, ReproducibleArray) for operand in operands)
        values = [x.value if isinstance(x, DeviceScalar) else native_of(x) for x in operands]
        return self.wrap(at_once(_OnLibrary(function, are_arrays), *values))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            return getattr(self.library, name)  # __array_api_version__
        if name not in _NAMES or not (name in _WITH_RULES or hasattr(self.library, name)):
            raise _no_rule(self.__dict__.get("__name__", "the reproducible namespace"), name)
        value = self._member(name)
        setattr(self, name, value)  # looked up once: many namespaces are created for one step
        return value

    def _member(self, name: str) -> Any:
        if name == "linalg":
            functions = linear_algebra.LINALG.items()
            bound = {name: self._bound(function) for name, function in functions}
            return _Extension(__name__=f"{self.__name__}.linalg", **bound)
        if name in _RULES:
            return self._bound(_RULES[name])
        if name in _WITHOUT_ARRAYS:
            return getattr(self.library, name)
        return self._guarded(self.of_library(name))

    def _bound(self, function: Function) -> Function:
        """Return a function from the files beside this one, bound to the namespace."""
        bound = partial(function, self)
        bound.__doc__ = function.__doc__
        return self._guarded(in_one_call(self, function, bound))

    def _guarded(self, function: Function) -> Function:
        """Return the function, with checks if the library has settings or traces.

        Settings may have changed since the namespace was created.  Traced arrays have no values,
        and compiled code rounds differently, so only namespaces for tracing take them.
        """
        if own(self.library, "check_process") is None:
            return function

        @wraps(function)
        def guarded(*arguments: Nested, **keywords: Nested) -> Nested:
            check_process(self.library)
            if not self.is_traced:
                map_nested(_refuse_traced, arguments, ReproducibleArray)
            result = function(*arguments, **keywords)
            if not self.is_traced:
                map_nested(_refuse_traced, result, ReproducibleArray)
            return result

        return guarded

    def __dir__(self) -> list[str]:
        names = [name for name in _NAMES if name[0] != "_"]
        present = [name for name in names if name in _WITH_RULES or hasattr(self.library, name)]
        return [*present, "finfo", "iinfo"]

    def __repr__(self) -> str:
        return f"<namespace {self.__name__}>"

    def of_library(self, name: str) -> Function:
        """Return a library's function, which must not round, on wrapped arrays."""
        function = standard_function(self.library, name)
        takes_pair, check = name in _EXACT_PAIRS, _check_of(name)

        @wraps(function)
        def apply(*arguments: Nested, **keywords: Nested) -> Nested:
            if check is not None:
                for x in arguments:
                    check(name, x)
            if takes_pair and len(arguments) == 2 and not keywords:
                return self._of_pair(name, function, *arguments)
            result = function(*map(native_of, arguments), **native_of(keywords))
            return self.wrap(self._in_int64(name, result), coercion.underflow_of(*_flat(arguments)))

        return apply

    def _of_pair(
        self, name: str, function: Function, x1: ArrayOrScalar, x2: ArrayOrScalar
    ) -> ReproducibleArray:
        a, b = coercion.pair(name, x1, x2)
        result = self._in_int64(name, function(a, b))
        return ReproducibleArray(result, self, coercion.underflow_of(x1, x2))

    def _in_int64(self, name: str, result: Nested) -> Nested:
        """Return the result of a function with places and counts in int64, unlike some of JAX's."""
        if name in _INDICES_AFTER_VALUES:
            values, *places = result
            return type(result)(values, *map(self._int64, places))
        if name not in _INDICES:
            return result
        return tuple(map(self._int64, result)) if isinstance(result, tuple) else self._int64(result)

    def _int64(self, x: Array) -> Array:
        xp = self.library
        if not array_api_compat.is_array_api_obj(x):  # a count, as a Python integer
            return xp.asarray(x, dtype=xp.int64)
        return xp.astype(x, xp.int64, copy=False)

    def finfo(self, type: DType | ReproducibleArray, /) -> SimpleNamespace:
        """Return the limits of a floating-point dtype, as Python floats."""
        return self._limits("finfo", type, float, ("eps", "max", "min", "smallest_normal"))

    def iinfo(self, type: DType | ReproducibleArray, /) -> SimpleNamespace:
        """Return the limits of an integer dtype, as Python integers."""
        return self._limits("iinfo", type, int, ("max", "min"))

    def _limits(
        self, name: str, x: DType | ReproducibleArray, number: type, limits: tuple[str, ...]
    ) -> SimpleNamespace:
        dtype = x.dtype if isinstance(x, ReproducibleArray) else x
        info = getattr(self.library, name)(dtype)
        numbers = {limit: number(getattr(info, limit)) for limit in limits}
        return SimpleNamespace(bits=int(info.bits), dtype=dtype, **numbers)

    def __array_namespace_info__(self) -> Inspection:
        """Return the standard's inspection object, for the dtypes that have rules."""
        return Inspection(self.library)


class _OnLibrary(NamedTuple):
    """An elementwise function of reproducible arrays and numbers as a function of the library's."""

    function: Function
    are_arrays: tuple[bool, ...]

    def __call__(self, library: Namespace, *values: Array) -> Nested:
        """Return the library's arrays."""
        ns = ReproducibleNamespace(library, run_all=None)
        operands = (
            ns.wrap(value) if is_array else ns.as_numbers(value)
            for value, is_array in zip(values, self.are_arrays, strict=True)
        )
        return native_of(self.function(ns, *operands))


class _Extension(SimpleNamespace):
    """The functions of an extension of the standard that have a rule."""

    def __getattr__(self, name: str) -> Any:
        raise _no_rule(self.__dict__.get("__name__", "the extension"), name)


def _no_rule(namespace: str, name: str) -> AttributeError:
    return AttributeError(
        f"{namespace} has no rule for {name!r}: its results could differ between libraries; "
        "docs/reference/reproducible-namespace.md lists what there is"
    )


def _check_of(name: str) -> Callable[[str, object], None] | None:
    """Return the check of the dtypes of a function's arguments, if not all are allowed."""
    if name in kinds.LOGICAL:
        return coercion.check_boolean
    if name in kinds.OF_BITS:
        return coercion.check_not_floating
    return coercion.check_numeric if name in _OF_NUMBERS else None


def _refuse_traced(x: ReproducibleArray) -> None:
    """Raise for an array that JAX traces, which has no values."""
    if x.device is None:
        raise traced()


def _flat(arguments: Sequence[object]) -> list[object]:
    """Return the arrays and numbers of arguments, also those in lists."""
    flat: list[object] = []
    for argument in arguments:
        flat += argument if isinstance(argument, list | tuple) else [argument]
    return flat


def reproducible(xp: Namespace, run_all: RunAll | None = one_by_one) -> ReproducibleNamespace:
    """Return the reproducible namespace over an array library.

    Parameters
    ----------
    xp : namespace
        An array API namespace with float64, such as `backend.xp` or `array_api_compat.torch`.
    run_all : callable, optional
        Runs the tasks that a large product is cut into, such as a backend's `run_all`.
        None if no operation is to be cut, as on a GPU.

    Returns
    -------
    ReproducibleNamespace
        The same object for the same arguments.

    Raises
    ------
    ArithmeticUnavailable, BackendUnavailable
        If the library lacks float64, or a setting of the process prevents correct results.

    See Also
    --------
    to_native

    Examples
    --------
    >>> import numpy as np
    >>> from pluggable_mlp import reproducible, to_native
    >>> xp = reproducible(np)
    >>> x = xp.asarray([[1.0, 2.0], [3.0, 4.0]])
    >>> to_native(x @ x / xp.sum(x)).tolist()
    [[0.7000000000000001, 1.0], [1.5, 2.2]]
    """
    load_offers(xp)
    check_process(xp)
    return _cached(unwrapped_namespace(xp), run_all)  # type: ignore[arg-type]  # a callable has a hash


_cached = lru_cache(maxsize=32)(ReproducibleNamespace)
