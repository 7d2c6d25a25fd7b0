"""The fused kernels that the simulated CuPy was given, as programs of C++ and of CUDA.

What CuPy puts around a kernel is replaced by a loop, or by the index of a thread: the lines are the
library's own.
"""

import ctypes
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tests.simulated_cupy.kernels import Call, ElementwiseKernel, Parameter

__all__ = ["COMPILER", "computed", "cuda_program", "kernel_calls"]

COMPILER = shutil.which("g++")
HOST = """
#include <algorithm>
#include <cmath>
#include <cstring>
using namespace std;
#define __device__ static
static float __int_as_float(int bits) { float x; memcpy(&x, &bits, 4); return x; }
static double __longlong_as_double(long long bits) { double x; memcpy(&x, &bits, 8); return x; }
"""


@contextmanager
def kernel_calls() -> Iterator[list[Call]]:
    """Give the calls of kernels meanwhile."""
    ElementwiseKernel.log = calls = []
    try:
        yield calls
    finally:
        ElementwiseKernel.log = None


def _pointer(parameter: Parameter, is_input: bool) -> str:
    prefix = "" if parameter.is_raw else "p"
    return f"{'const ' if is_input else ''}{parameter.dtype}* {prefix}{parameter.name}"


def _signature(kernel: ElementwiseKernel) -> str:
    pointers = [_pointer(of, True) for of in kernel.inputs]
    return ", ".join([*pointers, *(_pointer(of, False) for of in kernel.outputs), "int64 n"])


def _body(kernel: ElementwiseKernel) -> str:
    """Return the lines with loads and stores, for the element i."""
    loads = [
        f"const {of.dtype} {of.name} = p{of.name}[i];" for of in kernel.inputs if not of.is_raw
    ]
    results = [of for of in kernel.outputs if not of.is_raw]
    declared = [f"{of.dtype} {of.name};" for of in results]
    stores = [f"p{of.name}[i] = {of.name};" for of in results]
    return "\n".join([*loads, *declared, kernel.operation, *stores])


def cuda_program(kernel: ElementwiseKernel) -> str:
    return (
        f'{kernel.preamble}\nextern "C" __global__ void {kernel.name}({_signature(kernel)}) {{\n'
        "const int64 i = blockIdx.x * (int64)blockDim.x + threadIdx.x;\n"
        f"if (i < n) {{\n{_body(kernel)}\n}}\n}}\n"
    )


def _compile(kernel: ElementwiseKernel, source: Path, library: Path) -> None:
    source.write_text(
        f'{HOST}{kernel.preamble}\nextern "C" void run({_signature(kernel)}) {{\n'
        f"for (int64 i = 0; i < n; ++i) {{\n{_body(kernel)}\n}}\n}}\n"
    )
    options = ("-O2", "-ffp-contract=off", "-fwrapv", "-shared", "-fPIC")
    subprocess.run([COMPILER, *options, "-o", library, source], check=True)


def computed(call: Call, folder: Path) -> list[np.ndarray]:
    """Return the results of a call, by what g++ makes of the kernel without contraction."""
    kernel, arguments, size = call
    source, library = folder / f"{kernel.name}.cpp", folder / f"{kernel.name}.so"
    if not library.exists():
        _compile(kernel, source, library)
    own = list(zip(kernel.inputs, arguments, strict=False))
    if size is None:
        size = max(np.size(value) for of, value in own if not of.is_raw)
        arguments = [*arguments, *(np.empty(size, of.dtype) for of in kernel.outputs)]
    given = [
        np.ascontiguousarray(value if of.is_raw else np.broadcast_to(value, size), of.dtype)
        for of, value in zip([*kernel.inputs, *kernel.outputs], arguments, strict=True)
    ]
    pointers = (ctypes.c_void_p(of.ctypes.data) for of in given)
    ctypes.CDLL(str(library)).run(*pointers, ctypes.c_longlong(size))
    return given[len(kernel.inputs) :]
