"""Elementwise operations of CuPy as one kernel: its operations, and its source.

A kernel is a list of operations of NumPy's names, one line of CUDA each, all with CuPy's own rules:
the common dtype of the operands, one IEEE operation, and no contraction (`--fmad=false`).  It is
launched, and before tried, by `cupy_launches.py`.
"""

import operator
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from .numpy_tracing import UFUNCS
from .tape import Function

HostArray: TypeAlias = npt.NDArray[Any]

PREAMBLE = """
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

# Stand for what NumPy has as a method, or not at all.
CONVERT = operator.methodcaller("astype", "")


def fill(x: HostArray, value: float) -> HostArray:
    """Return the number in the shape of x."""
    return np.full_like(x, value)


def erf(x: HostArray) -> HostArray:
    """Stand for the error function: of its values nothing depends on the host."""
    return +x


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
_OTHERS = {np.where, np.ndarray.take, np.logical_not, fill, CONVERT}
_ELEMENTWISE = {*_INFIX, *_CALLS, *_PREFIX, *_OTHERS}
_FILLS: dict[Function, tuple[int, ...]] = {
    np.full_like: (),
    np.ones_like: (1,),
    np.zeros_like: (0,),
}
_OF_FLOATS = {
    np.divide, np.exp, np.expm1, np.log, np.log1p, np.tanh, np.sqrt, erf,
    np.floor, np.ceil, np.trunc, np.rint, np.isnan, np.isfinite, np.isinf,
}  # fmt: skip
# Within CUDA's functions of float64, --fmad=false rounds a product of these by itself.
_OTHERWISE_IN_FLOAT64 = {np.log, np.log1p}
_OF_BOOLEANS = {np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.equal, np.not_equal}


class Input(NamedTuple):
    """An argument of a kernel."""

    number: int


class Previous(NamedTuple):
    """The result of a line before."""

    number: int


class Line(NamedTuple):
    """An operation of a kernel.

    Attributes
    ----------
    function : callable
        NumPy's, or one that stands for a method.
    operands : tuple
        Of `Input`, `Previous`, numbers, and 0-d arrays as constants of their dtype.
    dtype : str
        Of the result.
    is_number : bool
        Whether that is promoted as a Python number.
    """

    function: Function
    operands: tuple[Any, ...]
    dtype: str
    is_number: bool = False


class Argument(NamedTuple):
    """An argument of a kernel.

    Attributes
    ----------
    dtype : str
    kind : {"array", "number", "table"}
        An array that broadcasts to the results; a Python number, or an array without axes that is
        promoted as one; or a table whose entries are taken.
    length : int
        Of a table.
    """

    dtype: str
    kind: str
    length: int = 0

    @property
    def is_number(self) -> bool:
        """Whether it is promoted as a Python number."""
        return self.kind == "number"


class Kernel(NamedTuple):
    """Operations on arrays of one shape, or that broadcast to it.

    Attributes
    ----------
    inputs : tuple of Argument
    lines : tuple of Line
    outputs : tuple of int
        Which lines are results.
    """

    inputs: tuple[Argument, ...]
    lines: tuple[Line, ...]
    outputs: tuple[int, ...]

    def dtype_of(self, operand: Any) -> Any:
        """Return the dtype of an operand; of a Python number, which takes that of arrays, itself.

        So `numpy.result_type` takes both.
        """
        if isinstance(operand, Input | Previous):
            of = (self.inputs if isinstance(operand, Input) else self.lines)[operand.number]
            dtype = np.dtype(of.dtype)
            return dtype.type(1).item() if of.is_number else dtype
        return operand.dtype if isinstance(operand, np.ndarray | np.generic) else operand

    @property
    def source(self) -> "Source":
        """The lines from x0, x1, … to t0, t1, …, and the results y0, y1, …"""
        inputs = [
            f"{'raw ' if argument.kind == 'table' else ''}{argument.dtype} x{number}"
            for number, argument in enumerate(self.inputs)
        ]
        outputs = [f"{self.lines[line].dtype} y{at}" for at, line in enumerate(self.outputs)]
        body = [
            f"const {line.dtype} t{number} = {_expression(self, line)};"
            for number, line in enumerate(self.lines)
        ]
        stores = [f"y{at} = t{line};" for at, line in enumerate(self.outputs)]
        return Source(", ".join(inputs), ", ".join(outputs), "\n".join([*body, *stores]))


class Source(NamedTuple):
    """What `cupy.ElementwiseKernel` takes."""

    inputs: str
    outputs: str
    body: str


def as_line(
    function: Function, args: tuple[Any, ...], settings: dict[str, Any]
) -> tuple[Function, tuple[Any, ...]] | None:
    """Return the function and the operands of a line for a call of NumPy; None if there is none."""
    function = UFUNCS.get(function, function)
    if isinstance(function, operator.methodcaller):
        return (CONVERT, args) if function.__reduce__()[1][0] == "astype" else None
    settings = {name: of for name, of in settings.items() if name != "out"}
    if function in _FILLS:
        function, args = fill, (*args, *_FILLS[function])
        settings.pop("dtype", None)
    if function is np.round:
        function = np.rint
    if function is np.ndarray.take:
        is_table = isinstance(args[0], np.ndarray) and args[0].ndim == 1
        return (function, args) if is_table and settings in ({}, {"axis": 0}) else None
    known = function in _ELEMENTWISE and not settings
    return (function, args) if known and all(of is not None for of in args) else None


def is_supported(kernel: Kernel, line: Line) -> bool:
    """Return whether there is an expression for the line with operands of their dtypes."""
    try:
        _expression(kernel, line)
    except (KeyError, TypeError):
        return False
    return True


def _expression(kernel: Kernel, line: Line) -> str:
    function, operands, dtype, _ = line
    if function is np.ndarray.take:
        table, index = operands
        length = kernel.inputs[table.number].length
        return f"{_name(table)}[wrapped({_text(kernel, index, 'int64')}, {length})]"
    if function is CONVERT:
        return _text(kernel, operands[0], dtype)
    if function is fill:
        return _text(kernel, operands[1], dtype)
    if function is np.where:
        texts = [_text(kernel, operand, dtype) for operand in operands[1:]]
        return f"chosen({_text(kernel, operands[0], 'bool')}, {', '.join(texts)})"
    if function is np.logical_not or (function is np.invert and dtype == "bool"):
        return f"{_text(kernel, operands[0], 'bool')} ^ true"
    common = np.result_type(*map(kernel.dtype_of, operands))
    if common.kind != "f" and function in _OF_FLOATS:
        common = np.dtype("float64")
    if common.kind not in "fiub" or (common.kind == "b" and function not in _OF_BOOLEANS):
        raise TypeError(f"{function} of {common}")
    if common == np.float64 and function in _OTHERWISE_IN_FLOAT64:
        raise TypeError(f"{function} is a kernel of CuPy's own")
    texts = [_text(kernel, operand, common.name) for operand in operands]
    if function in _INFIX:
        result = f"{texts[0]} {_INFIX[function]} {texts[1]}"
    elif function in _PREFIX:
        result = f"{_PREFIX[function]}{texts[0]}"
    else:
        result = f"{_CALLS[function]}({', '.join(texts)})"
    is_cast = dtype not in ("bool", common.name)
    return f"{dtype}({result})" if is_cast else result


def _name(operand: Input | Previous) -> str:
    return f"{'x' if isinstance(operand, Input) else 't'}{operand.number}"


def _text(kernel: Kernel, operand: Any, dtype: str) -> str:
    """Return the text of an operand in a dtype."""
    if isinstance(operand, Input | Previous):
        is_input = isinstance(operand, Input)
        declared = (kernel.inputs if is_input else kernel.lines)[operand.number].dtype
        return _name(operand) if declared == dtype else f"{dtype}({_name(operand)})"
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
