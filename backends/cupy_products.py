"""Products of matrices on CuPy by cuBLAS itself, within a capture, too; untried on a GPU.

CuPy's own calls of cuBLAS raise while a stream is captured (`setStream` in
cupy_backends/cuda/libs/cublas.pyx, issue 6290), as cuBLAS may allocate its workspace then.  Here it
has a handle and a workspace of its own, and is called with the arguments that CuPy gives it
(`tensordot_core` and `tensordot_core_v11` in cupy/_core/_routines_linalg.pyx), for the same bits.
"""

import ctypes
from functools import cache
from typing import Any

import cupy

from pluggable_mlp.arrays import Array

from .tracing import TraceError

__all__ = ["Products", "products_on"]

_WORKSPACE = 2**25  # bytes: what cuBLAS takes on the newest GPUs
_KINDS: dict[str, tuple[int, int, Any]] = {  # CUDA_R_…, CUBLAS_COMPUTE_…, and the type of factors
    "float32": (0, 68, ctypes.c_float),
    "float64": (1, 70, ctypes.c_double),
}
_DEFAULT, _TENSOR_OP = -1, 99  # CUBLAS_GEMM_DEFAULT…


def library() -> Any:
    """Return the cuBLAS that CuPy has loaded, which its name leads to."""
    version = cupy.cuda.cublas.getVersion(cupy.cuda.device.get_cublas_handle())
    return ctypes.CDLL(f"libcublas.so.{version // 10000}")


class Products:
    """Matrix products on the current device, on a stream of the caller's choice."""

    def __init__(self) -> None:
        self._library = library()
        self._workspace = cupy.cuda.alloc(_WORKSPACE)
        self._handle = ctypes.c_void_p()
        self._call("cublasCreate_v2", ctypes.byref(self._handle))
        capability = int(cupy.cuda.Device().compute_capability)
        self._algorithm = _TENSOR_OP if capability >= 80 else _DEFAULT

    def use(self, stream: Any) -> None:
        """Let all that follows run on a stream."""
        self._call("cublasSetStream_v2", self._handle, ctypes.c_void_p(stream.ptr))
        size = ctypes.c_size_t(_WORKSPACE)  # to be set again: another stream resets it
        pointer = ctypes.c_void_p(self._workspace.ptr)
        self._call("cublasSetWorkspace_v2", self._handle, pointer, size)

    def matmul(self, a: Array, b: Array) -> Array:
        """Return `cupy.matmul(a, b)`."""
        if a.dtype.kind != "f" or not (a.size and b.size):
            return cupy.matmul(a, b)  # without cuBLAS
        if not a.ndim == b.ndim == 2 or a.dtype != b.dtype:
            raise TraceError
        m, n = a.shape[0], b.shape[1]
        if m == n == 1:
            return cupy.matmul(a, b)
        real, compute, number = _KINDS[a.dtype.name]
        c = cupy.empty((m, n), dtype=a.dtype)
        # cuBLAS stores matrices by columns, where the result is c' = b' a'.
        a, a_transposed, a_step = _by_columns(a.T, 0)
        b, b_transposed, b_step = _by_columns(b, 1)
        pointer, integer = ctypes.c_void_p, ctypes.c_int
        sizes = map(integer, (b_transposed, a_transposed, n, m, a.shape[0]))
        self._call(
            "cublasGemmEx",
            *(self._handle, *sizes, ctypes.byref(number(1.0))),
            *(pointer(b.data.ptr), integer(real), integer(b_step)),
            *(pointer(a.data.ptr), integer(real), integer(a_step)),
            *(ctypes.byref(number(0.0)), pointer(c.data.ptr), integer(real), integer(n)),
            *(integer(compute), integer(self._algorithm)),
        )
        return c

    def _call(self, name: str, *arguments: Any) -> None:
        if status := getattr(self._library, name)(*arguments):
            raise RuntimeError(f"{name} of cuBLAS gives status {status}")


@cache
def products_on(device: int) -> Products:
    """Return those of a device, the current one; there is one of each in a process."""
    del device
    return Products()


def _by_columns(x: Array, transposed: int) -> tuple[Array, int, int]:
    """Return x, whether cuBLAS has to transpose what it sees of it, and the step between columns.

    Transposed says whether it would have to if x were stored by columns.
    """
    if x.flags.f_contiguous:
        return x, transposed, max(x.strides[1] // x.itemsize, x.shape[0])
    if not x.flags.c_contiguous:
        x = x.copy()
    return x, 1 - transposed, x.strides[0] // x.itemsize
