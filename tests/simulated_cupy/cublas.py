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

    def run(self, function: Any, arguments: Any, has_values: bool = True) -> int:
        """Call a function on the stream, or let its capture have it."""
        capture = self.stream.capture
        if capture is None:
            function(*arguments)
        elif not self.has_workspace:
            return FAILED  # it may not allocate its own
        elif has_values:
            capture.record(function, arguments, {})
        else:
            capture.add(function, arguments, {}, {})
        return 0


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
        kind, own = a_type.value, self._handles[handle.value]
        arrays = [at_address(of.value) for of in (a, b, c)]
        if (
            self._is_invalid(kind, (b_type, c_type), one, zero, compute)
            or algorithm.value not in (99, -1)
            or c_step.value < m.value
            or any(x.dtype != REALS[kind] for x in arrays)
        ):
            return INVALID
        shapes = (a_transposed, m, k, a_step), (b_transposed, k, n, b_step)
        arguments = *arrays, *(tuple(of.value for of in shape) for shape in shapes)
        return own.run(_multiply, arguments)

    def cublasGemmStridedBatchedEx(
        self, handle: Any, a_transposed: Any, b_transposed: Any, m: Any, n: Any, k: Any, one: Any,
        a: Any, a_type: Any, a_step: Any, a_stride: Any,
        b: Any, b_type: Any, b_step: Any, b_stride: Any, zero: Any,
        c: Any, c_type: Any, c_step: Any, c_stride: Any, count: Any, compute: Any, algorithm: Any,
    ) -> int:  # fmt: skip
        """Compute stacks of such products, without transposing, of matrices at even steps."""
        kind, own = a_type.value, self._handles[handle.value]
        sizes = [of.value for of in (m, n, k)]
        if (
            self._is_invalid(kind, (b_type, c_type), one, zero, compute)
            or algorithm.value != -1
            or _differ(sizes, (a_transposed, b_transposed), (a_step, b_step, c_step))
        ):
            return INVALID
        arrays = [at_address(of.value) for of in (a, b, c)]
        strides = [of.value for of in (a_stride, b_stride, c_stride)]
        return own.run(_multiply_stacks, (*arrays, strides, sizes, count.value))

    def cublasSgemmBatched(self, *arguments: Any) -> int:
        return self._multiply_pointers(0, *arguments)

    def cublasDgemmBatched(self, *arguments: Any) -> int:
        return self._multiply_pointers(1, *arguments)

    def _multiply_pointers(
        self, kind: int, handle: Any, a_transposed: Any, b_transposed: Any, m: Any, n: Any, k: Any,
        one: Any, a: Any, a_step: Any, b: Any, b_step: Any, zero: Any, c: Any, c_step: Any,
        count: Any,
    ) -> int:  # fmt: skip
        """Compute stacks of products of matrices whose addresses are in arrays on the device."""
        own, sizes = self._handles[handle.value], [of.value for of in (m, n, k)]
        pointers = [at_address(of.value) for of in (a, b, c)]
        if (
            self._is_invalid(kind, (), one, zero, None)
            or _differ(sizes, (a_transposed, b_transposed), (a_step, b_step, c_step))
            or any(x.dtype != np.int64 or x.shape != (count.value,) for x in pointers)
        ):
            return INVALID
        return own.run(_multiply_at, (*pointers, REALS[kind], sizes), has_values=False)

    def _is_invalid(self, kind: int, others: Any, one: Any, zero: Any, compute: Any) -> bool:
        return (
            any(of.value != kind for of in others)
            or (compute is not None and compute.value != COMPUTE[kind])
            or (one._obj.value, zero._obj.value) != (1.0, 0.0)
            or not isinstance(one._obj, ctypes.c_float if kind == 0 else ctypes.c_double)
        )


def _differ(sizes: Any, transposed: Any, steps: Any) -> bool:
    """Return whether matrices are transposed, or something is between their columns."""
    m, _, k = sizes
    return any(of.value for of in transposed) or [of.value for of in steps] != [m, k, m]


def _multiply_stacks(
    a: ndarray, b: ndarray, c: ndarray, strides: Any, sizes: Any, count: int
) -> None:
    m, n, k = sizes
    shapes = (k, m), (n, k), (n, m)
    for x, stride, shape in zip((a, b, c), strides, shapes, strict=True):
        assert x.memory.flags.c_contiguous
        assert stride == shape[0] * shape[1]
        assert x.size == count * stride
    launch("matmul")
    left, right, result = (
        x.memory.reshape(count, *shape) for x, shape in zip((a, b, c), shapes, strict=True)
    )
    with np.errstate(all="ignore"):
        result[...] = product(right, left)


def _multiply_at(a: ndarray, b: ndarray, c: ndarray, dtype: str, sizes: Any) -> None:
    """Multiply what is at addresses: of memory that a graph, or the caller, keeps."""
    m, n, k = sizes

    def found(pointers: ndarray, rows: int, columns: int) -> list[np.ndarray]:
        size = rows * columns * np.dtype(dtype).itemsize
        memories = [(ctypes.c_char * size).from_address(int(at)) for at in pointers.memory]
        return [np.frombuffer(memory, dtype).reshape(rows, columns) for memory in memories]

    launch("matmul")
    left, right, result = found(a, k, m), found(b, n, k), found(c, n, m)
    with np.errstate(all="ignore"):
        for target, values in zip(result, product(np.stack(right), np.stack(left)), strict=True):
            target[...] = values


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
