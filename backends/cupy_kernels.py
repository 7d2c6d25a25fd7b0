"""Kernels of CuPy: written for the operations on a tape, or for sums, and tried before use.

Each operation on a tape is one line of CUDA, with CuPy's own rules: the common dtype of the
operands, one IEEE operation, and no contraction (`--fmad=false`).  Before a kernel replaces CuPy's
own, it is compared with the function, operation by operation, on the same hard arguments, once per
process and device: special values, denormal ones, ends of ranges, random bits.  If a bit differs,
or a compiler refuses, a warning says so.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from hashlib import sha256
from typing import TypeAlias

import array_api_compat.cupy
import cupy
import numpy as np

from pluggable_mlp.arrays import Array, DType
from pluggable_mlp.arrays.compiling import Unsuitable, trusted

from .numpy_recording import UFUNCS
from .tape import Function, Operation, Place, Tree, leaves
from .transfer import HostArray

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
    return cupy.ElementwiseKernel(
        inputs, outputs, body, name, preamble=_PREAMBLE, options=OPTIONS, return_tuple=True
    )


def erf(x: Array) -> Array:
    """Stand for the error function; its values on the host do not matter."""
    return +np.asarray(x)


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
        The kind of each place on the tape.
    argument_count : int
        The first places are those of the arguments.

    Attributes
    ----------
    tables : list of array
        Tables that the kernel takes after the arguments.
    """

    def __init__(self, kinds: Sequence[Kind], argument_count: int) -> None:
        self._kinds = kinds
        self._names = {place: f"x{place}" for place in range(argument_count)}
        self._inputs = [f"{self._dtype(place)} {name}" for place, name in self._names.items()]
        self._lines: list[str] = []
        self.tables: list[HostArray] = []

    def source(self, operations: Sequence[Operation], result: Tree) -> tuple[str, str, str, str]:
        """Return the arguments of `elementwise_kernel`: from x0, x1, … by t0, t1, … to y0, y1, …"""
        for number, operation in enumerate(operations):
            dtype = self._dtype(operation.result)
            try:
                text = self._expression(operation, dtype)
            except (KeyError, TypeError) as error:  # NumPy has no loop for these dtypes
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
        settings = operation.settings
        if function is np.take and settings in ({}, {"axis": 0}):
            return self._entry(*operands)
        if function is np.ndarray.astype:
            return self._text(operands[0], dtype)
        if settings or any(operand is None for operand in operands):
            raise Unsuitable
        if function is np.where:
            texts = [self._text(operand, dtype) for operand in operands[1:]]
            return f"chosen({self._text(operands[0], 'bool')}, {', '.join(texts)})"
        if function is np.logical_not or (function is np.invert and dtype == "bool"):
            return f"{self._text(operands[0], 'bool')} ^ true"
        return self._computed(np.rint if function is np.round else function, operands, dtype)

    def _entry(self, table: HostArray, index: object) -> str:
        """Return the expression for an entry of one of the function's own tables."""
        if not isinstance(table, np.ndarray) or table.ndim != 1:
            raise Unsuitable
        name = f"x{len(self._inputs)}"
        self._inputs.append(f"raw {table.dtype.name} {name}")
        self.tables.append(table)
        return f"{name}[wrapped({self._text(index, 'int64')}, {table.size})]"

    def _computed(self, function: Function, operands: Sequence[object], dtype: str) -> str:
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

    def _promoted(self, operand: Tree) -> DType:
        """Return an operand's argument for `numpy.result_type`: a dtype, or a Python number."""
        if isinstance(operand, Place):
            kind = self._kinds[operand.number]
            return kind(1) if isinstance(kind, type) else np.dtype(kind)
        return operand.dtype if isinstance(operand, np.ndarray | np.generic) else operand

    def _text(self, operand: Tree, dtype: str) -> str:
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


# The trial


def works(key: Hashable, trial: Callable[[], bool]) -> bool:
    """Return whether a trial succeeds on the current device, run once there; warn if not."""
    consequence = (
        f"CuPy {cupy.__version__} goes on operation by operation if a fused kernel cannot be "
        "used here"
    )
    return trusted((key, cupy.cuda.Device().id), trial, consequence)


def gives_the_same(kernel: Function, function: Function, kinds: Sequence[Kind]) -> bool:
    """Return whether a kernel has the bits of function(xp, *operands) for operands like these."""
    operands = [_hard(number, kind) for number, kind in enumerate(kinds)]
    expected = leaves(function(array_api_compat.cupy, *operands))
    return all(map(have_same_bits, leaves(kernel(*operands)), expected))


_HARD_COUNT = 4096
_SPECIAL = (
    0.0, -0.0, 1.0, -1.0, 0.5, 2.0, math.inf, -math.inf, math.nan, 0.7, 1.5, 3.0, 1e-3, 20.0, 64.0,
    -87.33654, 88.72283, -708.39641, 709.78271, 1.4142135, 0.70710678, 0.4142, 0.84375, 1.25, 3.95,
)  # fmt: skip
_NUMBERS = (0.37, 1.5, 1e-3, 0.9, 3.0, 0.999, 1e-8)


def _hard(number: int, kind: Kind) -> Array:
    """Return hard values for an operand of a kernel, in a different order for each operand."""
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


def have_same_bits(x: Array, y: Array) -> bool:
    """Return whether two CuPy or NumPy arrays have the same bits, except for those of NaN."""
    x, y = cupy.asnumpy(x), cupy.asnumpy(y)
    if x.dtype != y.dtype or x.shape != y.shape:
        return False
    bits = f"u{x.dtype.itemsize}"
    are_nan = np.isnan(x) & np.isnan(y)
    return bool(np.all(are_nan | (x.view(bits) == y.view(bits))))


# Sums in the order of a binary tree, in one launch: each thread computes one sum.
#
# The order is that of `reproducible/sums.py`: the second half is added to the first, again and
# again, and what is left over if a length is odd is added at the end.  A thread goes through the
# tree depth first, so that it keeps one partial sum for each level.

# For longer sums a thread takes more time than the launches that add halves, each by many threads.
# If there are many sums, there are many threads anyway.
_LONGEST_OF_FEW = 128
_LONGEST = 512
_MANY = 128

# y_l[k] is the sum at place k after l halvings: of 2^l elements, whose places differ by count >> 1,
# …, count >> l.  Bit j of c says whether count >> (j + 1) is added; s[t] waits for its right half.
_BODY = """
const int64 first = i / inner * count * inner + i % inner;
float64 odd = 0.0;
for (int64 m = count, level = 0; m > 0; m >>= 1, ++level) {
  if (!(m & 1)) continue;
  float64 s[16];
  for (int64 c = 0; c < (int64(1) << level); ++c) {
    int64 k = m - 1;
    for (int64 j = 0; j < level; ++j) k += (c >> j & 1) * (count >> (j + 1));
    float64 sum = x[first + k * inner];
    int64 t = 0;
    for (; c >> t & 1; ++t) sum = s[t] + sum;
    s[t] = sum;
  }
  odd = s[level] + odd;
}
y[i] = odd;
"""
_KERNEL = elementwise_kernel(
    "raw T x, int64 count, int64 inner", "raw float64 y", _BODY, "tree_sum"
)


def short_sum(x: Array, axis: int) -> Array:
    """Return the sum of x (…, n, …) along the axis in float64, kept with length 1."""
    axis %= x.ndim
    shape = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    y, inner = cupy.empty(shape, dtype="float64"), math.prod(shape[axis:])
    if y.size:
        _KERNEL(x, x.shape[axis], inner, y, size=y.size)
    return y


def tree_sum(halved: Function, x: Array, axis: int) -> Array:
    """Return halved(xp, x, axis), in one launch if that is quicker and gives the same bits."""
    n = x.shape[axis]
    is_quicker = n <= _LONGEST_OF_FEW or (n <= _LONGEST and math.prod(x.shape) >= n * _MANY)
    if is_quicker and works("tree_sum", partial(_gives_the_same, halved)):
        return short_sum(x, axis)
    return halved(array_api_compat.cupy, x, axis)


def _gives_the_same(halved: Function) -> bool:
    """Return whether one launch gives the bits of the halvings."""
    rng = np.random.default_rng(0)
    host = rng.normal(size=(5, 512, 3)) * 2.0 ** rng.integers(-60, 60, (5, 512, 3))
    x = cupy.asarray(host.astype(np.float32))
    return all(
        have_same_bits(short_sum(part, axis), halved(array_api_compat.cupy, part, axis))
        for n in (*range(1, 34), 63, 100, 127, 128, 500, 511, 512)
        for part, axis in ((x[:, :n, :], 1), (x[0, :n, :], -2), (x[0, :n, 0], 0))
    )
