"""Elementwise functions of CuPy as one kernel each: traced on the host, on arrays without memory.

CuPy asks no other class for its operations, so there is nothing to trace them by.  A function is
bound to a namespace of NumPy instead and recorded on NumPy's tape, whose operations become the
lines of a kernel (`cupy_kernels.py`), or the nodes of a graph (`cupy_graphs.py`).
"""

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from types import ModuleType
from typing import Any

import array_api_compat.cupy
import array_api_compat.numpy
import cupy
import numpy as np
import numpy.typing as npt

from pluggable_mlp.arrays import Array, Namespace
from pluggable_mlp.shortcuts import offer

from .cupy_kernels import Argument, Input, Kernel, Line, Previous, as_line, erf, is_supported
from .cupy_launches import launcher
from .cupy_sums import is_short, short_sum
from .numpy_tracing import UFUNCS, NumpyTape, Tracer
from .tape import Function, Place, Tree, leaves, map_tree
from .tracing import TraceError

HostArray = npt.NDArray[Any]

# Functions whose result has the shape that all arguments broadcast to.
_BROADCASTING = {np.where, np.clip, np.full_like, np.ones_like, np.zeros_like, np.round}
_NUMBERS = (bool, int, float)  # of Python, which take the dtype of arrays


class StandInTape(NumpyTape):
    """A tape of arrays of which one element stands for all.

    Parameters
    ----------
    keeps_kernels : bool
        Whether a function that is one kernel is one operation, too.

    Attributes
    ----------
    kinds : list of str or type
        Of each place: the dtype, or the type of a Python number.
    """

    def __init__(self, keeps_kernels: bool) -> None:
        super().__init__()
        self.keeps_kernels = keeps_kernels
        self.kinds: list[Kind] = []

    def argument(self, value: Any) -> Tracer:
        """Return a tracer for an argument."""
        self.kinds.append(kind_of(value))
        return super().argument(value)

    def record(self, function: Function, *args: Any, **settings: Any) -> Tracer:
        """Add an operation, and return a tracer for its result."""
        result = super().record(function, *args, **settings)
        if result.place == len(self.kinds):
            self.kinds.append(kind_of(result.value))
        return result

    def record_kernel(self, function: Function, operands: Sequence[Any]) -> Any:
        """Add a function that is one kernel, and return a tracer for each of its results."""
        values = [leaf.value if isinstance(leaf, Tracer) else leaf for leaf in operands]
        ones = function(namespace(), *map(_one_element, values))
        shape = np.broadcast_shapes(*map(np.shape, values))
        results = [_stand_in(shape, one.dtype) for one in leaves(ones)]
        called = InOneKernel(function, tuple(map(kind_of, values)), isinstance(ones, tuple))
        place = self.add_place()
        self.layouts.append(None)
        self.kinds.append("")
        self.add(called, tuple(map(self.operand, operands)), {}, place, True)
        whole = Tracer(self, results if called.is_tuple else results[0], place)
        if not called.is_tuple:
            self.kinds[place] = results[0].dtype.name
            return whole
        return tuple(self.record(operator.getitem, whole, at) for at in range(len(results)))

    def evaluate(self, function: Function, args: Any, settings: dict[str, Any]) -> Any:
        """Return what stands for the result, without the work where that is much."""
        arrays = [leaf for leaf in leaves(args) if isinstance(leaf, np.ndarray) and leaf.ndim]
        ufunc = UFUNCS.get(function, function)  # an operator of numbers keeps them Python's own
        if ufunc is np.matmul and all(np.ndim(array) > 1 for array in args):
            a, b = args
            stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
            return _stand_in((*stack, a.shape[-2], b.shape[-1]), np.result_type(a, b))
        if arrays and _is_broadcasting(ufunc):
            one = function(*map_tree(_one_element, args), **settings)
            shape = np.broadcast_shapes(*(array.shape for array in arrays))
            return _stand_in(shape, np.asarray(one).dtype)
        value = super().evaluate(function, args, settings)
        is_new = isinstance(value, np.ndarray) and value.ndim and value.base is None
        return _stand_in(value.shape, value.dtype) if is_new else value

    def overwrite(self, ufunc: Function, inputs: Any, target: Array) -> None:
        """Leave the target, whose shape and dtype stay."""


def _is_broadcasting(function: Function) -> bool:
    if isinstance(function, np.ufunc):
        return function.signature is None
    return function in _BROADCASTING or isinstance(function, operator.methodcaller)


def _stand_in(shape: tuple[int, ...], dtype: Any) -> HostArray:
    return np.broadcast_to(np.zeros((), dtype), shape)


def stand_in_of(leaf: Any) -> Any:
    """Return what stands for an array of CuPy; a number as it is."""
    return _stand_in(leaf.shape, leaf.dtype) if isinstance(leaf, cupy.ndarray) else leaf


def _one_element(leaf: Any) -> Any:
    return np.zeros((1,) * leaf.ndim, leaf.dtype) if isinstance(leaf, np.ndarray) else leaf


# Kernels

Kind = str | type


def kind_of(value: Any) -> Kind:
    """Return the dtype of an array, or of a number of NumPy, or the type of a Python number."""
    if type(value) in _NUMBERS:
        return type(value)
    return value.dtype.name if hasattr(value, "dtype") else ""


@dataclass(frozen=True)
class InOneKernel:
    """A function of operands of these kinds; numbers may be arrays without axes, too.

    Attributes
    ----------
    function : callable
        (xp, *operands) -> array, or a tuple of arrays.
    kinds : tuple of str or type
    is_tuple : bool
        Whether it returns a tuple.
    """

    function: Function
    kinds: tuple[Kind, ...]
    is_tuple: bool = False

    def __call__(self, *operands: Any, out: Array | None = None) -> Any:
        """Return what the function returns, in one launch."""
        kernel = _kernel_of(self.function, self.kinds, cupy.cuda.Device().id)
        if kernel is None:
            raise TraceError
        results = kernel(*operands, out=() if out is None else (out,))
        return results if self.is_tuple else results[0]


def in_one_kernel(function: Function, *operands: Any) -> Any:
    """Return function(xp, *operands), elementwise, of arrays and numbers, in one launch."""
    try:
        kernel = _kernel_of(function, tuple(map(kind_of, operands)), cupy.cuda.Device().id)
    except MemoryError:  # of the trial
        kernel = None
    if kernel is None:
        return function(array_api_compat.cupy, *operands)
    results = kernel(*operands)
    return results if kernel.is_tuple else results[0]


@dataclass(frozen=True)
class _Launch:
    """A kernel with the tables that it takes besides."""

    kernel: Function
    tables: list[Array]
    is_tuple: bool

    def __call__(self, *operands: Any, out: tuple[Array, ...] = ()) -> Any:
        """Return the results."""
        return self.kernel(*operands, *self.tables, *out)


@lru_cache(maxsize=256)
def _kernel_of(function: Function, kinds: tuple[Kind, ...], device: int) -> _Launch | None:
    """Return the function as one kernel, which serves all shapes; None if it is none."""
    tape = StandInTape(keeps_kernels=False)
    arguments = tuple(
        kind(1) if isinstance(kind, type) else _stand_in((2,), kind) for kind in kinds
    )
    try:
        with np.errstate(all="ignore"):
            result = tape.run(partial(function, namespace()), arguments)
        kernel, tables = _kernel(tape, result)
    except TraceError:
        return None
    launch = launcher(kernel)
    return launch and _Launch(launch, [*map(cupy.asarray, tables)], type(result) is tuple)


def _kernel(tape: StandInTape, result: Tree) -> tuple[Kernel, list[HostArray]]:
    """Return the operations of a tape as a kernel, and tables that it takes besides."""
    inputs = [_argument(kind) for kind in tape.kinds[: tape.argument_count]]
    values: dict[int, Input | Previous] = {place: Input(place) for place in range(len(inputs))}
    tables: list[HostArray] = []
    lines: list[Line] = []

    def operand(leaf: Any) -> Any:
        if isinstance(leaf, Place):
            return values[leaf.number]
        if not isinstance(leaf, np.ndarray) or not leaf.ndim:
            return leaf
        tables.append(leaf)
        inputs.append(Argument(leaf.dtype.name, "table", leaf.size))
        return Input(len(inputs) - 1)

    for operation in tape.needed(result):
        found = as_line(operation.function, operation.args, operation.settings)
        if found is None:
            raise TraceError
        kind = _argument(tape.kinds[operation.result])
        line = Line(found[0], tuple(map(operand, found[1])), kind.dtype, kind.is_number)
        if not is_supported(Kernel(tuple(inputs), tuple(lines), ()), line):
            raise TraceError
        values[operation.result] = Previous(len(lines))
        lines.append(line)
    outputs = [values[place.number] for place in leaves(result)]
    if not all(isinstance(output, Previous) for output in outputs):
        raise TraceError
    return Kernel(tuple(inputs), tuple(lines), tuple(of.number for of in outputs)), tables


def _argument(kind: Kind) -> Argument:
    if isinstance(kind, type):
        return Argument(np.asarray(kind(1)).dtype.name, "number")
    return Argument(kind, "array")


# The namespace


def on_tape(function: Function) -> Function | None:
    """Return the function bound to the namespace of the tape in the place of CuPy's, or None."""
    if not (isinstance(function, partial) and function.args):
        return None
    xp, *others = function.args
    if xp is array_api_compat.cupy:
        return partial(function.func, namespace(), *others, **function.keywords)
    if getattr(xp, "library", None) is array_api_compat.cupy:
        return partial(function.func, xp.over(namespace()), *others, **function.keywords)
    return None


@cache
def namespace() -> Namespace:
    """Return NumPy's namespace with CuPy's way to do what the standard lacks."""
    traced = ModuleType("array_api_compat.cupy.traced")
    vars(traced).update(vars(array_api_compat.numpy) | {"__name__": traced.__name__})
    offer(
        traced,
        affine=partial(affine, traced),
        clip=np.clip,
        entries=_recorded(np.ndarray.take),
        erf=_recorded(erf),
        in_one_kernel=_recorded_kernel,
        sign=np.sign,
        take=_recorded(np.ndarray.take),
        tree_sum=partial(_tree_sum, traced),
        vecdot=partial(vecdot, traced),
        zero_below=partial(_recorded_kernel, zero_below),
    )
    return traced


def _recorded(function: Function) -> Function:
    """Return a function that is recorded as it is, though NumPy asks no tracer for it."""

    def record(*args: Any, **settings: Any) -> Any:
        for leaf in args:
            if isinstance(leaf, Tracer):
                return leaf.tape.record(function, *args, **settings)
        return function(*args, **settings)

    return record


def _recorded_kernel(function: Function, *operands: Any) -> Any:
    for leaf in operands:
        tape = getattr(leaf, "tape", None)
        if isinstance(tape, StandInTape) and tape.keeps_kernels:
            return tape.record_kernel(function, operands)
    return function(namespace(), *operands)


def _tree_sum(traced: Namespace, halved: Function, x: Array, axis: int) -> Array:
    if is_short(halved, x, axis):
        return _recorded(short_sum)(x, axis)
    return halved(traced, x, axis)


def affine(xp: Namespace, x: Array, W: Array, b: Array) -> Array:
    """Return x W + b by rows, as all results of elementwise operations: see `special.py`."""
    y = xp.matmul(x, W)
    y += b if b.ndim == 1 else xp.expand_dims(b, axis=-2)
    return y


def zero_below(xp: Namespace, x: Array, threshold: float) -> Array:
    """Return x with +0 for magnitudes below the threshold, and for -0: see `shortcuts.py`."""
    return xp.where(xp.abs(x) < threshold, 0.0, x)


def vecdot(xp: Namespace, x: Array, y: Array) -> Array:
    """Return the sums of x y along the last axis, without the product that a capture refuses."""
    return xp.sum(x * y, axis=-1)
