"""`ElementwiseKernel` of the simulated CuPy: the lines of a kernel are evaluated as Python.

The library's kernels keep to expressions that C++ and Python read alike.  Each operation has the
manners of a kernel of CuPy's own (`arrays.py`), and is stricter than C++: both sides are of one
dtype, and a result has the dtype of its variable.
"""

import operator
import re
from collections.abc import Callable
from types import CodeType
from typing import Any, ClassVar, NamedTuple

import numpy as np

from tests.simulated_cupy.arrays import (
    COMPARISONS,
    OPERATORS,
    SIGNS,
    clipped,
    computed,
    converted,
    ndarray,
    operand,
)
from tests.simulated_cupy.counts import launch
from tests.simulated_cupy.streams import on_stream

__all__ = ["Call", "ElementwiseKernel"]

DTYPES = [f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)]
DTYPES += ["float32", "float64", "bool"]
FUNCTIONS = (
    *(np.exp, np.expm1, np.log, np.log1p, np.tanh, np.sqrt),
    *(np.floor, np.ceil, np.trunc, np.rint, np.isnan, np.isfinite, np.isinf),
)
RANGE = re.compile(r"if \(i >= (\w+) && i < (\w+)\) \{")


class Value:
    """What a variable of a kernel holds, of all threads together."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, memory: Any) -> None:
        self.memory = memory

    def __getitem__(self, index: Any) -> "Value":
        return Value(self.memory.reshape(-1)[index.memory if isinstance(index, Value) else index])

    def __setitem__(self, index: "Value", value: "Value") -> None:
        assert self.memory.dtype == value.memory.dtype
        self.memory.reshape(-1)[index.memory] = value.memory


def evaluate(name: str, function: Any, *operands: Any) -> Value:
    """Return what a kernel of CuPy for an operation gives, for operands of one dtype."""
    hosts = [of.memory if isinstance(of, Value) else np.asarray(of) for of in operands]
    assert len({host.dtype for host in hosts}) == 1, f"{name} of {[host.dtype for host in hosts]}"
    result = computed(name, function, *hosts)
    if name in ("log", "log1p") and result.dtype == np.float64:
        result = np.nextafter(result, np.inf)  # `--fmad=false` changes them: test_cupy_ptx.py
    return Value(result)


def _give_operators() -> None:
    for name in OPERATORS | COMPARISONS | SIGNS:
        function = getattr(operator, f"__{name}__")
        setattr(
            Value,
            f"__{name}__",
            lambda *operands, name=name, function=function: evaluate(name, function, *operands),
        )


_give_operators()


def converter(dtype: str) -> Callable[[Any], Value]:
    def convert(value: Any) -> Value:
        if isinstance(value, Value):
            return Value(converted(value.memory, dtype))
        return Value(np.asarray(value, dtype))

    return convert


def chosen(condition: Value, a: Value, b: Value) -> Value:
    assert condition.memory.dtype == np.bool_
    assert a.memory.dtype == b.memory.dtype
    return Value(np.where(condition.memory, a.memory, b.memory))


def wrapped(index: Value, length: int) -> Value:
    return Value(np.mod(index.memory, length))


def function_of(name: str, function: Any) -> Callable[..., Value]:
    return lambda *operands: evaluate(name, function, *operands)


NAMES: dict[str, Any] = {
    **{dtype: converter(dtype) for dtype in DTYPES},
    **{function.__name__: function_of(function.__name__, function) for function in FUNCTIONS},
    **{f"nan{bits}": Value(np.asarray(np.nan, f"float{bits}")) for bits in (32, 64)},
    **{f"inf{bits}": Value(np.asarray(np.inf, f"float{bits}")) for bits in (32, 64)},
    "abs": function_of("abs", np.abs),
    "larger": function_of("maximum", np.maximum),
    "smaller": function_of("minimum", np.minimum),
    "signs": function_of("sign", np.sign),
    "clipped": lambda x, low, high: Value(clipped(x.memory, low.memory, high.memory)),
    "chosen": chosen,
    "wrapped": wrapped,
    "true": Value(np.asarray(True)),
    "false": Value(np.asarray(False)),
}


def tree_sum(variables: dict[str, Any]) -> None:
    """Add halves, as the loops of the kernel of that name do."""
    n, inner = (int(variables[name].memory) for name in ("count", "inner"))
    x = variables["x"].memory.reshape(-1, n, inner)
    odd = np.zeros((len(x), inner))
    while n > 1:
        if n % 2:
            odd = x[:, n - 1] + odd
        n //= 2
        x = x[:, :n].astype(np.float64) + x[:, n : 2 * n]
    variables["y"].memory.reshape(-1)[:] = (x[:, 0] + odd).reshape(-1)


WITH_LOOPS: dict[str, Callable[[dict[str, Any]], None]] = {"tree_sum": tree_sum}
"""What kernels do that are more than a line after the other."""


class Parameter(NamedTuple):
    is_raw: bool
    dtype: str
    name: str

    @staticmethod
    def of(text: str) -> "Parameter":
        *raw, dtype, name = text.split()
        return Parameter(raw == ["raw"], dtype, name)


class Part(NamedTuple):
    """Lines for all elements, or for those of a range of the index."""

    ends: tuple[str, str] | None
    lines: list[tuple[CodeType, str, str]]
    """Of each: its code, the variable and its dtype, or "" of one that is not declared here."""


def parts_of(source: str) -> list[Part]:
    parts = [Part(None, [])]
    for line in source.splitlines():
        if match := RANGE.fullmatch(line):
            parts.append(Part((match[1], match[2]), []))
        elif line != "}":
            text = line.removesuffix(";")
            declared = re.match(r"const (\w+) (\w+) = ", text)
            code = compile(
                text.removeprefix(f"const {declared[1]} " if declared else ""), "", "exec"
            )
            parts[-1].lines.append((code, *((declared[2], declared[1]) if declared else ("", ""))))
    return [part for part in parts if part.lines]


class ElementwiseKernel:
    """A kernel, compiled at its first call (`cupy/_core/_kernel.pyx`)."""

    made: ClassVar[dict[tuple[str, str, str], "ElementwiseKernel"]] = {}
    """All of this process, by what they are made of."""
    log: ClassVar["list[Call] | None"] = None
    """The calls and what they were given, where somebody asks for them."""

    def __init__(
        self,
        in_params: str,
        out_params: str,
        operation: str,
        name: str = "kernel",
        *,
        preamble: str = "",
        return_tuple: bool = False,
        options: tuple[str, ...] = (),
    ) -> None:
        self.inputs, self.outputs = (
            [Parameter.of(text) for text in of.split(", ") if text]
            for of in (in_params, out_params)
        )
        self.name, self.preamble, self.options = name, preamble, options
        self.operation, self.return_tuple = operation, return_tuple
        self.parts = [] if name in WITH_LOOPS else parts_of(operation)
        self.made[in_params, out_params, operation] = self

    @on_stream
    def __call__(self, *arguments: Any, size: int | None = None) -> Any:
        launch("fused")
        if self.log is not None:
            self.log.append(Call(self, [np.copy(operand(value)) for value in arguments], size))
        count = len(self.inputs)
        assert len(arguments) in (count, count + len(self.outputs))
        given = zip([*self.inputs, *self.outputs], arguments, strict=False)
        variables = {of.name: self._value(of, value, size) for of, value in given}
        ndim = 1
        if len(arguments) == count:
            arrays = zip(self.inputs, arguments, strict=True)
            shape = np.broadcast_shapes(
                *(x.shape for of, x in arrays if isinstance(x, ndarray) and not of.is_raw)
            )
            ndim = max(len(shape), 1)
        self._check_arguments(arguments, ndim)
        with np.errstate(all="ignore"):
            for part in self.parts:
                self._run(part, variables)
            if self.name in WITH_LOOPS:
                WITH_LOOPS[self.name](variables)
        if len(arguments) > count:
            results = [*arguments[count:]]
        else:
            results = [self._result(of, variables[of.name], shape) for of in self.outputs]
        return tuple(results) if self.return_tuple or len(results) > 1 else results[0]

    def _value(self, parameter: Parameter, value: Any, size: int | None) -> Value:
        host = operand(value)
        if isinstance(value, ndarray):
            assert size is None or parameter.is_raw, "arrays are raw where the size is given"
            if value.dtype != parameter.dtype:
                raise TypeError(f"{parameter} is given {value.dtype}")
            return Value(host)
        assert not parameter.is_raw
        return Value(np.asarray(value).astype(parameter.dtype))

    def _check_arguments(self, arguments: Any, ndim: int) -> None:
        """Refuse more than CUDA takes: of an array, where it is, its size, shape and strides."""
        given = [*arguments, *[None] * (len(self.inputs) + len(self.outputs) - len(arguments))]
        size = 8 + 16 * ndim  # the range of the index
        for parameter, value in zip([*self.inputs, *self.outputs], given, strict=True):
            if value is None or isinstance(value, ndarray):
                size += 16 + 16 * (max(value.ndim, 1) if parameter.is_raw else ndim)
            else:
                size += 8
        if size > 4096:
            raise RuntimeError(f"NVRTC_ERROR_COMPILATION (6): {size} bytes of arguments")

    def _run(self, part: Part, variables: dict[str, Any]) -> None:
        if part.ends is not None:
            begin, end = (int(variables[name].memory) for name in part.ends)
            variables["i"] = Value(np.arange(begin, end, dtype=np.int64))
        for code, name, dtype in part.lines:
            exec(code, NAMES, variables)
            if name:
                assert variables[name].memory.dtype == dtype, f"{name} of {self.operation}"

    @staticmethod
    def _result(parameter: Parameter, value: Value, shape: tuple[int, ...]) -> ndarray:
        assert value.memory.dtype == parameter.dtype
        return ndarray(np.array(np.broadcast_to(value.memory, shape), order="C"))


class Call(NamedTuple):
    """A call of a kernel: its arguments on the host, results among them if the size is given."""

    kernel: ElementwiseKernel
    arguments: list[Any]
    size: int | None
