"""Python numbers as arrays: alone, in nested lists, or as the value of a whole array.

Without a dtype they are float64, int64 or bool, whatever the library's default is.  An integer out
of the range of its dtype is refused; floats in integer dtypes are converted as `astype` does.
"""

import math
from numbers import Integral, Number, Real
from typing import Any

from pluggable_mlp.arrays import Array, DType
from pluggable_mlp.namespaces.reproducible.array import ReproducibleArray
from pluggable_mlp.namespaces.reproducible.operands import limits, require_in_range
from pluggable_mlp.namespaces.reproducible.rounding import SMALLEST_NORMAL

__all__ = ["default_dtypes", "in_dtype", "of_numbers"]


def default_dtypes(xp: Any) -> dict[str, DType]:
    """Return the dtype of each kind of number, and of indices, as the standard names them."""
    return {"real floating": xp.float64, "integral": xp.int64, "indexing": xp.int64}


def of_numbers(ns: Any, obj: Any, dtype: DType, device: Any) -> Array:
    """Return the library's array of numbers in nested lists; dtype None is the default one."""
    shape, leaves = _flattened(obj)
    if dtype is None:
        dtypes = {getattr(leaf, "dtype", None) for leaf in leaves}
        [dtype] = dtypes if len(dtypes) == 1 else [None]  # arrays of one dtype keep it
    leaves = [_number(leaf) for leaf in leaves]
    dtype = _dtype_of(ns.library, leaves) if dtype is None else dtype
    values = [in_dtype(ns, leaf, dtype) for leaf in leaves]
    return ns.library.reshape(ns.library.asarray(values, dtype=dtype, device=device), shape)


def _flattened(obj: Any) -> tuple[tuple[int, ...], list[Any]]:
    """Return the shape of nested lists, and the numbers in them.

    Raises
    ------
    TypeError
        If something else is in them.
    ValueError
        If lists of one level are of different lengths.
    """
    if isinstance(obj, Number) or (isinstance(obj, ReproducibleArray) and not obj.ndim):
        return (), [obj]
    if not isinstance(obj, list | tuple | range):
        raise TypeError(
            f"obj holds a {type(obj).__module__}.{type(obj).__qualname__}, expected numbers in "
            "nested lists; join arrays with xp.stack"
        )
    if all(type(item) in (bool, int, float) for item in obj):
        return (len(obj),), list(obj)
    parts = [_flattened(item) for item in obj]
    shapes = {shape for shape, _ in parts}
    if len(shapes) > 1:
        raise ValueError(f"obj holds lists of different lengths, of the shapes {sorted(shapes)}")
    return (len(obj), *shapes.pop()), [leaf for _, leaves in parts for leaf in leaves]


def _number(leaf: Any) -> Any:
    """Return a number as it is, and the one of a 0-d array."""
    if not isinstance(leaf, ReproducibleArray):
        return leaf
    if leaf.kind:
        return float(leaf)
    return bool(leaf) if leaf.dtype == leaf.namespace.bool else int(leaf)


def _dtype_of(xp: Any, leaves: list[Any]) -> DType:
    if not all(isinstance(leaf, Real) for leaf in leaves):
        return xp.complex128
    if not leaves or not all(isinstance(leaf, Integral) for leaf in leaves):
        return xp.float64
    return xp.bool if all(type(leaf) is bool for leaf in leaves) else xp.int64


def in_dtype(ns: Any, value: Any, dtype: DType) -> bool | int | float:
    """Return a number as a dtype has it, short of rounding; denormal ones are 0.

    Raises
    ------
    TypeError
        If it is complex, or the dtype is.
    OverflowError
        If it is an integer out of the range of an integer dtype.
    """
    kind = ns.kinds[dtype]
    if not isinstance(value, Real):
        raise TypeError(f"{value!r} is no real number: the reproducible namespace has no rule")
    if kind:
        number = float(value)
        return 0.0 if abs(number) < SMALLEST_NORMAL[kind] else number
    if dtype == ns.library.bool:
        return bool(value)
    if isinstance(value, Integral):
        require_in_range(ns.library, dtype, int(value))
        return int(value)
    low, high = limits(ns.library, dtype)
    return 0 if math.isnan(value) else math.trunc(min(max(float(value), low), high))
