"""The trial of a kernel, before it takes the place of CuPy's own.

The kernel and the function, operation by operation, get the same hard arguments, once per process
and device: special values, denormal ones, ends of ranges, random bits.  Where a bit differs, or a
compiler refuses, a warning says so.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import array_api_compat.cupy
import cupy
import numpy as np

from pluggable_mlp.compiling import trusted

from .cupy_kernels import HostArray, Kind
from .tape import Function, leaves


def works(key: Hashable, trial: Callable[[], bool]) -> bool:
    """Return whether a trial succeeds on the current device, where it is made once; warn if not."""
    consequence = (
        f"CuPy {cupy.__version__} goes on operation by operation where a fused kernel cannot be "
        "used here"
    )
    return trusted((key, cupy.cuda.Device().id), trial, consequence)


def gives_the_same(kernel: Function, function: Function, kinds: Sequence[Kind]) -> bool:
    """Return whether a kernel gives the bits of function(xp, *operands) of operands such as it."""
    operands = [_hard(number, kind) for number, kind in enumerate(kinds)]
    expected = leaves(function(array_api_compat.cupy, *operands))
    return all(map(have_same_bits, leaves(kernel(*operands)), expected))


_HARD_COUNT = 4096
_SPECIAL = (
    0.0, -0.0, 1.0, -1.0, 0.5, 2.0, math.inf, -math.inf, math.nan, 0.7, 1.5, 3.0, 1e-3, 20.0, 64.0,
    -87.33654, 88.72283, -708.39641, 709.78271, 1.4142135, 0.70710678, 0.4142, 0.84375, 1.25, 3.95,
)  # fmt: skip
_NUMBERS = (0.37, 1.5, 1e-3, 0.9, 3.0, 0.999, 1e-8)


def _hard(number: int, kind: Kind) -> Any:
    """Return hard values for an operand of a kernel; each operand has them in another order."""
    if isinstance(kind, type):
        return kind(_NUMBERS[number % len(_NUMBERS)]) if kind is float else kind(3 + number)
    return cupy.asarray(np.roll(_hard_values(kind), 97 * number))


def _hard_values(dtype: str) -> HostArray:
    """Return values of a dtype at which rounding, ranges and special cases show."""
    kind, rng = np.dtype(dtype), np.random.default_rng(0)
    if kind.kind == "b":
        return rng.integers(0, 2, _HARD_COUNT).astype(bool)
    bits = rng.integers(0, 256, _HARD_COUNT * kind.itemsize, dtype=np.uint8).view(kind)
    if kind.kind != "f":
        small = rng.integers(0, 120, _HARD_COUNT // 2).astype(kind)
        return np.concatenate([small, bits[: _HARD_COUNT // 2]])
    info = np.finfo(kind)
    ends = [info.max, info.smallest_normal, info.smallest_normal / 2, info.eps, 1.0 + info.eps]
    special = np.asarray([*_SPECIAL, *ends, *(-end for end in ends)]).astype(kind)
    with np.errstate(all="ignore"):
        near = np.concatenate([np.nextafter(special, kind.type(side)) for side in (-1e30, 1e30)])
    normal = rng.normal(0.0, 3.0, _HARD_COUNT // 2).astype(kind)
    return np.concatenate([special, near, normal, bits])[:_HARD_COUNT]


def have_same_bits(x: Any, y: Any) -> bool:
    """Return whether two arrays, of CuPy or NumPy, have the same bits, but for those of NaN."""
    x, y = cupy.asnumpy(x), cupy.asnumpy(y)
    if x.dtype != y.dtype or x.shape != y.shape:
        return False
    bits = f"u{x.dtype.itemsize}"
    are_nan = np.isnan(x) & np.isnan(y)
    return bool(np.all(are_nan | (x.view(bits) == y.view(bits))))
