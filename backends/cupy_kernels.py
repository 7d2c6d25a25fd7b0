"""Kernels of CuPy: how they are compiled, and how one is written for operations on a tape.

Each operation is one line of CUDA, with CuPy's own rules: the common dtype of the operands, one
IEEE operation, and no contraction (`--fmad=false`).  `cupy_launches.py` tries the kernel.
"""

import operator
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, TypeAlias

import cupy
import numpy as np
import numpy.typing as npt

from pluggable_mlp.compiling import Unsuitable

from .numpy_tracing import UFUNCS, Tracer
from .tape import Function, Operation, Place, Tree, leaves

HostArray: TypeAlias = npt.NDArray[Any]
Kind: TypeAlias = str | type
"""The dtype of an array, or the type of a Python number."""

_PREAMBLE = """
typedef signed char int8; typedef short int16; typedef int int32; typedef long long int64;
typedef unsigned char uint8; typedef unsigned short uint16; typedef unsigned int uint32;
typedef unsigned long long uint64; typedef float float32; typedef double float64;
#define nan32 __int_as_float(0x7fc00000)
#define nan64 __longlong_as_double(0x7ff8000000000000LL)
#define inf32 __int_as_float(0x7f800000)
#define inf64 __longlong_as_double(0x7ff0000000000000LL)
template<typename T> __device__ T chosen(bool c, T x, T y) { return c ? x : y; }
template<typename T> __device__ T larger(T x, T y) { return x != x ? x : y != y ? y : max(x, y); }
template<typename T> __device__ T smaller(T x, T y) { return x != x ? x : y != y ? y : min(x, y); }
template<typename T> __device__ T clipped(T x, T low, T high) {
  return x < low ? low : x > high ? high : x;
}
template<typename T> __device__ T signs(T x) { return x != x ? x : T((x > 0) - (x < 0)); }
__device__ int64 wrapped(int64 k, int64 n) { k %= n; return k < 0 ? k + n : k; }
"""

OPTIONS = ("--fmad=false",)  # by default NVRTC rounds a * b + c once


def elementwise_kernel(inputs: str, outputs: str, body: str, name: str) -> Function:
    """Return the kernel, which CuPy compiles for a device at its first launch there."""
    kernel: Function = cupy.ElementwiseKernel(
        inputs, outputs, body, name, preamble=_PREAMBLE, options=OPTIONS, return_tuple=True
    )
    return kernel


def erf(x: Any) -> Any:
    """Stand for the error function: of its values nothing depends on the host."""
    return x.tape.record(erf, x) if isinstance(x, Tracer) else +x


_INFIX = {
    np.add: "+", np.subtract: "-", np.multiply: "*", np.divide: "/",
    np.bitwise_and: "&", np.bitwise_or: "|", np.bitwise_xor: "^",
    np.left_shift: "<<", np.right_shift: ">>",
    np.less: "<", np.less_equal: "<=", np.greater: ">", np.greater_equal: ">=",
    np.equal: "==", np.not_equal: "!=",
}  # fmt: skip
_CALLS: dict[Function, str] = {
    np.absolute: "abs", np.exp: "exp", np.expm1: "expm1", np.log: "log", np.log1p: "log1p",
    np.tanh: "tanh", np.sqrt: "sqrt", erf: "erf",
    np.floor: "floor", np.ceil: "ceil", np.trunc: "trunc", np.rint: "rint",
    np.isnan: "isnan", np.isfinite: "isfinite", np.isinf: "isinf",
    np.sign: "signs", np.maximum: "larger", np.minimum: "smaller", np.clip: "clipped",
}  # fmt: skip
_PREFIX = {np.negative: "-", np.positive: "+", np.invert: "~"}
_OF_FLOATS = {
    np.divide, np.exp, np.expm1, np.log, np.log1p, np.tanh, np.sqrt, erf,
    np.floor, np.ceil, np.trunc, np.rint, np.isnan, np.isfinite, np.isinf,
}  # fmt: skip
# Within CUDA's functions of float64, --fmad=false rounds a product of these by itself.
_OTHERWISE_IN_FLOAT64 = {np.log, np.log1p}
_OF_BOOLEANS = {np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.equal, np.not_equal}


class KernelWriter:
    """Writes the operations of a tape as a kernel.

    Parameters
    ----------
    kinds : list of str or type
        Of each place on the tape.
    argument_count : int
        The first places are those of the arguments.

    Attributes
    ----------
    tables : list of array
        That the kernel takes after the arguments.
    """

    def __init__(self, kinds: Sequence[Kind], argument_count: int) -> None:
        self._kinds = kinds
        self._names = {place: f"x{place}" for place in range(argument_count)}
        self._inputs = [f"{self._dtype(place)} {name}" for place, name in self._names.items()]
        self._lines: list[str] = []
        self.tables: list[HostArray] = []

    def source(self, operations: Sequence[Operation], result: Tree) -> tuple[str, str, str, str]:
        """Return what `elementwise_kernel` takes: from x0, x1, … by t0, t1, … to y0, y1, …"""
        for number, operation in enumerate(operations):
            dtype = self._dtype(operation.result)
            try:
                text = self._expression(operation, dtype)
            except (KeyError, TypeError) as error:  # there is none for operands of their dtypes
                raise Unsuitable from error
            self._names[operation.result] = f"t{number}"
            self._lines.append(f"const {dtype} t{number} = {text};")
        places = [place.number for place in leaves(result)]
        outputs = [f"{self._dtype(place)} y{at}" for at, place in enumerate(places)]
        stores = [f"y{at} = {self._names[place]};" for at, place in enumerate(places)]
        body = "\n".join([*self._lines, *stores])
        texts = ", ".join(self._inputs), ", ".join(outputs), body
        digest = sha256("\n".join(texts).encode()).hexdigest()[:12]
        return *texts, f"fused_{digest}"

    def _dtype(self, place: int) -> str:
        return np.dtype(self._kinds[place]).name

    def _expression(self, operation: Operation, dtype: str) -> str:
        function = UFUNCS.get(operation.function, operation.function)
        operands = operation.args
        settings = {name: x for name, x in operation.settings.items() if name != "out"}
        if function is np.ndarray.take and settings in ({}, {"axis": 0}):
            return self._entry(*operands)
        if settings or any(operand is None for operand in operands):
            raise Unsuitable
        if isinstance(function, operator.methodcaller):  # astype
            return self._text(operands[0], dtype)
        if function is np.where:
            texts = [self._text(operand, dtype) for operand in operands[1:]]
            return f"chosen({self._text(operands[0], 'bool')}, {', '.join(texts)})"
        if function is np.logical_not or (function is np.invert and dtype == "bool"):
            return f"{self._text(operands[0], 'bool')} ^ true"
        return self._computed(np.rint if function is np.round else function, operands, dtype)

    def _entry(self, table: HostArray, index: Any) -> str:
        """Return the expression for an entry of a table of the function's own."""
        if not isinstance(table, np.ndarray) or table.ndim != 1:
            raise Unsuitable
        name = f"x{len(self._inputs)}"
        self._inputs.append(f"raw {table.dtype.name} {name}")
        self.tables.append(table)
        return f"{name}[wrapped({self._text(index, 'int64')}, {table.size})]"

    def _computed(self, function: Function, operands: Sequence[Any], dtype: str) -> str:
        """Return the expression for a function that computes in the common dtype."""
        common = np.result_type(*map(self._promoted, operands))
        if common.kind != "f" and function in _OF_FLOATS:
            common = np.dtype("float64")
        if common.kind not in "fiub" or (common.kind == "b" and function not in _OF_BOOLEANS):
            raise Unsuitable
        if common == np.float64 and function in _OTHERWISE_IN_FLOAT64:
            raise Unsuitable  # a kernel of CuPy's own
        texts = [self._text(operand, common.name) for operand in operands]
        if function in _INFIX:
            result = f"{texts[0]} {_INFIX[function]} {texts[1]}"
        elif function in _PREFIX:
            result = f"{_PREFIX[function]}{texts[0]}"
        else:
            result = f"{_CALLS[function]}({', '.join(texts)})"
        is_cast = dtype not in ("bool", common.name)
        return f"{dtype}({result})" if is_cast else result

    def _promoted(self, operand: Any) -> Any:
        """Return what `numpy.result_type` takes for an operand: a dtype, or a Python number."""
        if isinstance(operand, Place):
            kind = self._kinds[operand.number]
            return kind(1) if isinstance(kind, type) else np.dtype(kind)
        return operand.dtype if isinstance(operand, np.ndarray | np.generic) else operand

    def _text(self, operand: Any, dtype: str) -> str:
        """Return the text of an operand in a dtype."""
        if isinstance(operand, Place):
            name = self._names[operand.number]
            return name if self._dtype(operand.number) == dtype else f"{dtype}({name})"
        if np.ndim(operand):
            raise Unsuitable
        number = np.asarray(operand).astype(dtype)[()]
        if dtype == "bool":
            return "true" if number else "false"
        if np.dtype(dtype).kind != "f":
            return f"{dtype}({int(number)})"
        bits = dtype.removeprefix("float")
        if np.isnan(number):
            return f"nan{bits}"
        if np.isinf(number):
            return f"{'-' if number < 0 else ''}inf{bits}"
        return f"{dtype}({float(number)!r})"
