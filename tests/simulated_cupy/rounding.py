"""Results as a GPU may give them where the standard, or IEEE 754, leaves them open.

Arrays of NumPy in, arrays of NumPy out.  All is deterministic: equal operands give equal bits.
Launches and waits belong in `functions.py` and `arrays.py`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

__all__ = ["INEXACT", "a_unit_off", "keeping_denormals", "permuted", "product", "reductions_flush",
           "saturated", "with_signed_zeros"]  # fmt: skip

# CUDA's math library rounds these as it likes, within a unit or two in the last place.
INEXACT = {
    "arccos", "arcsin", "arctan", "arctan2", "cbrt", "cos", "cosh", "erf", "exp", "exp2", "expm1",
    "hypot", "log", "log10", "log1p", "log2", "logaddexp", "pow", "power", "sin", "sinh", "tan",
    "tanh",
}  # fmt: skip

# Whether reductions flush denormal numbers.  CuPy's own kernels do; those of CUB, which it takes by
# the shape, do not.
_flushing = [True]


def reductions_flush() -> bool:
    """Return whether reductions flush denormal numbers."""
    return _flushing[-1]


@contextmanager
def keeping_denormals() -> Iterator[None]:
    """Let reductions keep denormal numbers meanwhile."""
    _flushing.append(False)
    try:
        yield
    finally:
        _flushing.pop()


def a_unit_off(result: np.ndarray) -> np.ndarray:
    """Return floats of which every second one, by its bits, is the next larger or smaller one.

    Zeros, ones, infinities and NaN stay: CUDA's functions are exact there.
    """
    if result.dtype.kind != "f":
        return result
    bits = result.view(f"u{result.dtype.itemsize}")
    mixed = (bits ^ (bits >> np.uint8(7))) & np.uint8(3)
    special = ~np.isfinite(result) | (result == 0.0) | (np.abs(result) == 1.0)
    towards = np.where(mixed == 1, np.inf, -np.inf).astype(result.dtype)
    moved = (mixed == 1) | (mixed == 2)
    return np.where(moved & ~special, np.nextafter(result, towards), result)


def permuted(a: np.ndarray, axis: int | tuple[int, ...] | None) -> np.ndarray:
    """Return an array with its elements along axes that are summed in another order.

    It depends on the layout, too, as the kernel does that a reduction takes.
    """
    axes = range(a.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    order = _order if a.flags.c_contiguous else _other_order
    for one in axes:
        a = np.take(a, order(a.shape[one]), axis=one)
    return a


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a @ b, summed in another order."""
    order = _order(a.shape[-1])
    return np.matmul(a[..., order], b[..., order, :] if b.ndim > 1 else b[order])


@cache
def _order(length: int) -> np.ndarray:
    return np.random.default_rng(length).permutation(length)


def _other_order(length: int) -> np.ndarray:
    return _order(length)[::-1]


def with_signed_zeros(
    function: Callable[..., Any], *arrays: Any, largest: bool, **axes: Any
) -> np.ndarray:
    """Return a maximum or minimum in which +0 is larger than -0, as in `max` and `min` of PTX."""
    result = np.asarray(function(*arrays, **axes))
    if result.dtype.kind != "f":
        return result
    wanted = [np.equal(x, 0.0) & (np.signbit(x) != largest) for x in arrays]
    is_wanted = np.logical_or(*wanted) if len(arrays) == 2 else np.any(wanted[0], **axes)
    sign = np.where(is_wanted == largest, 1.0, -1.0).astype(result.dtype)
    return np.where(result == 0.0, np.copysign(result, sign), result)


def saturated(a: np.ndarray, dtype: Any) -> np.ndarray:
    """Return floats as integers: the nearest there is, and 0 for NaN (`cvt.rzi` of PTX).

    Of integers of less than four bytes the lower ones of int32, as C++ converts them.
    """
    target = np.dtype(dtype)
    info = np.iinfo(target if target.itemsize >= 4 else np.int32)
    whole = np.trunc(np.where(np.isnan(a), 0.0, a)).astype(np.float64)
    inside = np.clip(whole, float(info.min), np.nextafter(float(info.max) + 1.0, 0.0))
    return np.where(whole > float(info.max), info.max, inside.astype(info.dtype)).astype(target)
