"""cuBLAS as a C library, for the simulated CuPy: products of matrices by their addresses.

Arguments are those of ctypes.  Results are those of the simulated `cupy.matmul`.
"""

import ctypes
from typing import Any

import numpy as np

from tests.simulated_cupy.arrays import at_address, launch, ndarray
from tests.simulated_cupy.rounding import product
from tests.simulated_cupy.streams import Stream

__all__ = ["CUBLAS"]

INVALID, FAILED = 7, 13  # CUBLAS_STATUS_…
REALS = {0: "float32", 1: "float64"}
COMPUTE = {0: 68, 1: 70}


class Handle:
    """What a handle refers to."""

    def __init__(self) -> None:
        self.stream, self.has_workspace = Stream.null, False


class Cublas:
    """The functions of the library that are called."""

    def __init__(self) -> None:
        self._handles: dict[int, Handle] = {}

    def cublasCreate_v2(self, handle: Any) -> int:
        handle._obj.value = len(self._handles) + 1
        self._handles[handle._obj.value] = Handle()
        return 0

    def cublasSetStream_v2(self, handle: Any, stream: Any) -> int:
        own = self._handles[handle.value]
        own.stream, own.has_workspace = Stream.by_pointer[stream.value or 0], False
        return 0

    def cublasSetWorkspace_v2(self, handle: Any, workspace: Any, size: Any) -> int:
        self._handles[handle.value].has_workspace = bool(workspace.value and size.value)
        return 0

    def cublasGemmEx(
        self, handle: Any, a_transposed: Any, b_transposed: Any, m: Any, n: Any, k: Any, one: Any,
        a: Any, a_type: Any, a_step: Any, b: Any, b_type: Any, b_step: Any, zero: Any,
        c: Any, c_type: Any, c_step: Any, compute: Any, algorithm: Any,
    ) -> int:  # fmt: skip
        """Compute c = op(a) op(b): matrices (m, k), (k, n), (m, n), stored by columns."""
        own, kind = self._handles[handle.value], a_type.value
        if own.stream.capture is not None and not own.has_workspace:
            return FAILED  # it may not allocate its own
        numbers = one._obj.value, zero._obj.value, algorithm.value
        if (
            {b_type.value, c_type.value} != {kind}
            or compute.value != COMPUTE[kind]
            or numbers not in ((1.0, 0.0, 99), (1.0, 0.0, -1))
            or not isinstance(one._obj, ctypes.c_float if kind == 0 else ctypes.c_double)
            or c_step.value < m.value
        ):
            return INVALID
        arrays = [at_address(of.value) for of in (a, b, c)]
        if any(x.dtype != REALS[kind] for x in arrays):
            return INVALID
        shapes = (a_transposed, m, k, a_step), (b_transposed, k, n, b_step)
        arguments = *arrays, *(tuple(of.value for of in shape) for shape in shapes)
        if own.stream.capture is not None:
            own.stream.capture.record(_multiply, arguments, {})
        else:
            _multiply(*arguments)
        return 0


def _multiply(a: ndarray, b: ndarray, c: ndarray, a_shape: Any, b_shape: Any) -> None:
    launch("matmul")
    left, right = _stored(a, *a_shape), _stored(b, *b_shape)
    assert c.memory.flags.c_contiguous
    with np.errstate(all="ignore"):
        c.memory.reshape(right.shape[1], left.shape[0])[...] = product(right.T, left.T)


def _stored(x: ndarray, transposed: int, rows: int, columns: int, step: int) -> np.ndarray:
    """Return the matrix (rows, columns) that is stored, by columns, in the memory of an array."""
    shape = (columns, rows) if transposed else (rows, columns)
    assert x.memory.flags.forc
    assert step >= shape[0]
    assert step * (shape[1] - 1) + shape[0] <= x.size
    strides = x.memory.itemsize, step * x.memory.itemsize
    matrix = np.lib.stride_tricks.as_strided(x.memory, shape, strides)
    return matrix.T if transposed else matrix


CUBLAS = Cublas()
