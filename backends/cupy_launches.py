"""Kernels of `cupy_kernels.py`, after a trial, or else operation by operation.

Each kernel and its operations one by one get the same table of hard arguments, once per process and
device: special values, denormal ones, ends of ranges, random bits.  Where a bit differs, or a
compiler refuses, a warning says so.
"""

import math
import warnings
from collections.abc import Callable, Hashable, Sequence
from functools import cache, partial
from hashlib import sha256
from typing import Any, TypeAlias

import array_api_compat.cupy
import cupy
import numpy as np
import numpy.typing as npt
from cupyx.scipy import special

from pluggable_mlp.arrays import Array

from .cupy_kernels import (
    CONVERT,
    OPTIONS,
    PREAMBLE,
    Argument,
    Input,
    Kernel,
    Previous,
    Source,
    erf,
    fill,
)
from .tape import Function

HostArray: TypeAlias = npt.NDArray[Any]


# The two ways


def _one_by_one(kernel: Kernel, arguments: Sequence[Any]) -> tuple[Array, ...]:
    """Return the results of the kernel's operations, each a kernel of CuPy's own."""
    results: list[Any] = []

    def value(operand: Any) -> Any:
        if isinstance(operand, Input):
            return arguments[operand.number]
        if isinstance(operand, Previous):
            return results[operand.number]
        return operand[()] if isinstance(operand, np.ndarray) else operand

    for function, operands, dtype, is_number in kernel.lines:
        result = _of_library(function, dtype)(*map(value, operands))
        result = result if result.dtype == dtype else result.astype(dtype)
        results.append(result.item() if is_number else result)
    return tuple(results[number] for number in kernel.outputs)


def _of_library(function: Function, dtype: str) -> Function:
    if function is CONVERT:
        return lambda x: array_api_compat.cupy.astype(x, np.dtype(dtype), copy=True)
    if function is fill:
        return lambda x, value: cupy.full_like(x, value, dtype=np.dtype(dtype))
    if function is erf:
        found: Function = special.erf
        return found
    found = getattr(cupy, function.__name__)
    return found


def launcher(kernel: Kernel) -> Function | None:
    """Return a function of the kernel's arguments for its results; None if it fails its trial."""
    if not works(kernel.source, partial(_gives_the_same, kernel)):
        return None
    return _elementwise_kernel(kernel.source)


@cache
def _elementwise_kernel(source: Source) -> Function:
    digest = sha256("\n".join(source).encode()).hexdigest()[:12]
    made: Function = cupy.ElementwiseKernel(
        *source, f"fused_{digest}", preamble=PREAMBLE, options=OPTIONS, return_tuple=True
    )
    return made


# The trial


def works(key: Hashable, trial: Callable[[], bool]) -> bool:
    """Return whether a trial succeeds on the current device, where it is made once; warn if not."""
    key = key, cupy.cuda.Device().id
    if key not in _tried:
        try:
            reason = "" if trial() else "its bits differ"
        except MemoryError:  # there may be more of it the next time
            raise
        except Exception as error:  # whatever a compiler may raise
            reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        _tried[key] = not reason
        if reason:
            warnings.warn(
                f"CuPy {cupy.__version__} goes on operation by operation where a fused kernel "
                f"cannot be used here: {reason}",
                stacklevel=2,
            )
    return _tried[key]


def _gives_the_same(kernel: Kernel) -> bool:
    """Return whether one launch gives the bits of the operations one by one."""
    arguments = [_hard(*of) for of in enumerate(kernel.inputs)]
    found = _elementwise_kernel(kernel.source)(*arguments)
    return all(map(have_same_bits, found, _one_by_one(kernel, arguments)))


_tried: dict[Hashable, bool] = {}
_HARD_COUNT = 4096
_SPECIAL = (
    0.0, -0.0, 1.0, -1.0, 0.5, 2.0, math.inf, -math.inf, math.nan, 0.7, 1.5, 3.0, 1e-3, 20.0, 64.0,
    -87.33654, 88.72283, -708.39641, 709.78271, 1.4142135, 0.70710678, 0.4142, 0.84375, 1.25, 3.95,
)  # fmt: skip
_NUMBERS = (0.37, 1.5, 1e-3, 0.9, 3.0, 0.999, 1e-8)


def _hard(number: int, argument: Argument) -> Any:
    """Return hard values for an argument of a kernel; each argument has them in another order."""
    dtype = np.dtype(argument.dtype)
    if argument.kind == "number":
        value = dtype.type(_NUMBERS[number % len(_NUMBERS)] if dtype.kind == "f" else 3 + number)
        return value.item()
    values = np.roll(_hard_values(argument.dtype), 97 * number)
    if argument.kind == "table":
        values = np.linspace(1.0, 2.0, argument.length).astype(dtype)
    return cupy.asarray(values)


@cache
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


def have_same_bits(found: Any, expected: Any) -> bool:
    """Return whether two arrays, of CuPy or NumPy, have the same bits, but for those of NaN."""
    one, other = cupy.asnumpy(found), cupy.asnumpy(expected)
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    bits = f"u{one.dtype.itemsize}"
    return bool(np.all((one.view(bits) == other.view(bits)) | (_is_nan(one) & _is_nan(other))))


def _is_nan(x: HostArray) -> HostArray:
    return np.isnan(x) if x.dtype.kind == "f" else np.zeros(x.shape, bool)
