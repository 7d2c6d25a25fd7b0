"""Matrix products on CuPy by direct calls of cuBLAS, even within a capture; untried on a GPU.

CuPy's own calls of cuBLAS raise while a stream is captured (`setStream` in
cupy_backends/cuda/libs/cublas.pyx, issue 6290), as cuBLAS may allocate its workspace then.  Here it
has a handle and a workspace of its own, and is called with the same arguments as by CuPy
(`tensordot_core`, `tensordot_core_v11` and `matmul` in cupy/_core/_routines_linalg.pyx), for the
same bits.
"""

import ctypes
import math
from functools import cache
from typing import Any

import cupy
import numpy as np

from pluggable_mlp.arrays import Array
from pluggable_mlp.compiling import Unsuitable

# CUDA_R_…, CUBLAS_COMPUTE_…, the type of factors, and the letter in names of functions.
_KINDS: dict[str, tuple[int, int, Any, str]] = {
    "float32": (0, 68, ctypes.c_float, "S"),
    "float64": (1, 70, ctypes.c_double, "D"),
}
_DEFAULT, _TENSOR_OP = -1, 99  # CUBLAS_GEMM_DEFAULT…

_integer, _pointer = ctypes.c_int, ctypes.c_void_p


class Products:
    """Matrix products on the current device, on a stream of the caller's choice."""

    def __init__(self) -> None:
        version = cupy.cuda.cublas.getVersion(cupy.cuda.device.get_cublas_handle())
        self._library = ctypes.CDLL(f"libcublas.so.{version // 10000}")  # which CuPy has loaded
        self._handle = _pointer()
        self._call("cublasCreate_v2", ctypes.byref(self._handle))
        capability = int(cupy.cuda.Device().compute_capability)
        self._algorithm = _TENSOR_OP if capability >= 80 else _DEFAULT
        # Bytes, as cuBLAS takes by default: another size may lead to other kernels and bits.
        self.workspace_size = 2**25 if capability >= 90 else 2**22

    def use(self, stream: "cupy.cuda.Stream", workspace: "cupy.cuda.MemoryPointer") -> None:
        """Run everything that follows on a stream, with `workspace_size` bytes meanwhile."""
        self._call("cublasSetStream_v2", self._handle, _pointer(stream.ptr))
        size = ctypes.c_size_t(self.workspace_size)  # must be set again: another stream resets it
        self._call("cublasSetWorkspace_v2", self._handle, _pointer(workspace.ptr), size)

    def matmul(self, a: Array, b: Array) -> Array:
        """Return `cupy.matmul(a, b)`."""
        if a.dtype.kind != "f" or not (a.size and b.size):
            return cupy.matmul(a, b)  # without cuBLAS
        if min(a.ndim, b.ndim) < 2 or a.dtype != b.dtype:
            raise Unsuitable
        if max(a.ndim, b.ndim) > 2:
            return self._stacked(a, b)
        m, n = a.shape[0], b.shape[1]
        if m == n == 1:
            return cupy.matmul(a, b)
        real, compute, number, _ = _KINDS[a.dtype.name]
        c = cupy.empty((m, n), dtype=a.dtype)
        # cuBLAS stores matrices by columns, where the result is c' = b' a'.
        a, a_transposed, a_step = _by_columns(a.T, 0)
        b, b_transposed, b_step = _by_columns(b, 1)
        sizes = map(_integer, (b_transposed, a_transposed, n, m, a.shape[0]))
        self._call(
            "cublasGemmEx",
            *(self._handle, *sizes, ctypes.byref(number(1.0))),
            *(_pointer(b.data.ptr), _integer(real), _integer(b_step)),
            *(_pointer(a.data.ptr), _integer(real), _integer(a_step)),
            *(ctypes.byref(number(0.0)), _pointer(c.data.ptr), _integer(real), _integer(n)),
            *(_integer(compute), _integer(self._algorithm)),
        )
        return c

    def _stacked(self, a: Array, b: Array) -> Array:
        """Return the products of stacks (…, m, k) and (…, k, n), by pointers if one is repeated."""
        a, b = (x if x.flags.c_contiguous else x.copy() for x in (a, b))
        stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        (m, k), n = a.shape[-2:], b.shape[-1]
        c = cupy.empty((*stack, m, n), dtype=a.dtype)
        real, compute, number, letter = _KINDS[a.dtype.name]
        count = math.prod(stack)
        operands = b, a, c  # by columns
        if {math.prod(x.shape[:-2]) for x in operands} == {count}:
            name, ends = "cublasGemmStridedBatchedEx", [count, compute, _DEFAULT]
            matrices: list[tuple[object, ...]] = [
                (_pointer(x.data.ptr), _integer(real), _integer(x.shape[-1]), _step(x))
                for x in operands
            ]
        else:
            name, ends = f"cublas{letter}gemmBatched", [count]
            pointers = [_pointers(x, stack) for x in operands]
            matrices = [
                (_pointer(pointer.data.ptr), _integer(x.shape[-1]))
                for pointer, x in zip(pointers, operands, strict=True)
            ]
        self._call(
            name,
            *(self._handle, *map(_integer, (0, 0, n, m, k)), ctypes.byref(number(1.0))),
            *(*matrices[0], *matrices[1], ctypes.byref(number(0.0)), *matrices[2]),
            *map(_integer, ends),
        )
        return c

    def _call(self, name: str, *arguments: object) -> None:
        if status := getattr(self._library, name)(*arguments):
            raise RuntimeError(f"{name} of cuBLAS gives status {status}")


@cache
def products_on(device: int) -> Products:
    """Return the `Products` of the current device; there is one per device in a process."""
    return Products()


def _pointers(x: Array, stack: tuple[int, ...]) -> Array:
    """Return the pointers to the matrices of x (…, m, n), broadcast to a stack."""
    shape = x.shape[:-2]
    places = cupy.arange(math.prod(shape)).reshape(shape)
    pointers = places * (_step(x).value * x.itemsize) + x.data.ptr
    return cupy.broadcast_to(pointers, stack).ravel()


def _step(x: Array) -> ctypes.c_longlong:
    """Return the numbers from one matrix of x (…, m, n) to the next."""
    return ctypes.c_longlong(math.prod(x.shape[-2:]))


def _by_columns(x: Array, transposed: int) -> tuple[Array, int, int]:
    """Return x, whether cuBLAS must transpose x as it sees it, and the step between columns.

    `transposed` says whether it would have to if x were stored by columns.
    """
    if x.flags.f_contiguous:
        return x, transposed, max(x.strides[1] // x.itemsize, x.shape[0])
    if not x.flags.c_contiguous:
        x = x.copy()
    return x, 1 - transposed, x.strides[0] // x.itemsize
