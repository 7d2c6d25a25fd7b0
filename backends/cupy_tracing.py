"""How a function of CuPy arrays is traced: on the host, on arrays that have a shape and no memory.

CuPy asks no other class for its operations, so there is nothing to trace them by.  The function is
bound to a namespace of NumPy instead, and recorded on NumPy's tape, of which `cupy_fusing.py` makes
one of CuPy's operations and of kernels.
"""

import operator
import warnings
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

from .cupy_fusing import fused
from .cupy_kernels import erf
from .cupy_launches import have_same_bits
from .cupy_nodes import Kind
from .cupy_sums import is_short, short_sum
from .numpy_tracing import UFUNCS, ArrayWriter, NumpyTape, Tracer
from .tape import Function, Tape, Tree, compiled_program, leaves, map_tree
from .tracing import TracedFunction, TraceError

HostArray = npt.NDArray[Any]

# Functions whose result has the shape that all arguments broadcast to.
_BROADCASTING = {np.where, np.clip, np.full_like, np.ones_like, np.zeros_like, np.round}


class FusedFunction(TracedFunction):
    """A function of CuPy arrays in few launches, with the bits of its operations one by one."""

    specialized_on = ("shape", "dtype", "device")
    calls_before_tracing = 2

    @classmethod
    def of(cls, function: Function) -> "FusedFunction | None":
        """Return the function fused; None if it is not bound to a namespace over CuPy."""
        return None if _on_tape(function) is None else cls(function)

    def trace(self, arguments: Tree) -> tuple[list[str], dict[str, Any]]:
        """See `TracedFunction.trace`."""
        writer = ArrayWriter(*self.fused(arguments))
        return [*writer.lines()], writer.constants

    def guarded(self, arguments: Tree, lines: list[str], constants: dict[str, Any]) -> Function:
        """See `TracedFunction.guarded`."""
        # It computes on the current device, which may be another one than that of the arrays.
        guard = f"if current().id != {cupy.cuda.Device().id}: return NotImplemented"
        return super().guarded(
            arguments, [guard, *lines], constants | {"current": cupy.cuda.Device}
        )

    def fused(self, arguments: Tree, *, held: bool = False) -> tuple[Tape, Tree]:
        """Return what the function does, and returns, as `cupy_fusing.fused` does."""
        tape = _StandInTape()
        bound = _on_tape(self.function)
        assert bound is not None
        result = tape.run(bound, map_tree(_stand_in_of, arguments))
        on_device = [self.is_array(leaf) for leaf in leaves(arguments)]
        return fused(tape, tape.kinds, on_device, result, held=held)

    def is_array(self, leaf: object) -> bool:
        """See `TracedFunction.is_array`."""
        return type(leaf) is cupy.ndarray

    def has_same_bits(self, program: Function, arguments: Tree) -> bool:
        """See `TracedFunction.has_same_bits`; but for the bits of NaN."""
        # On the host: no two results are in the device's memory at once.
        expected = map_tree(self.to_numpy, self.function(*arguments))
        found = map_tree(self.to_numpy, program(*arguments))
        have_same_form = map_tree(type, found) == map_tree(type, expected)
        return have_same_form and all(map(have_same_bits, leaves(found), leaves(expected)))

    def explain(self, reason: str) -> None:
        """See `TracedFunction.explain`: warn."""
        warnings.warn(
            f"CuPy {cupy.__version__} goes on operation by operation: a function cannot be fused: "
            f"{reason}",
            stacklevel=2,
        )

    def to_numpy(self, array: Array) -> HostArray:
        """See `TracedFunction.to_numpy`."""
        host: HostArray = cupy.asnumpy(array)
        return host


class _StandInTape(NumpyTape):
    """A tape of arrays of which one element stands for all.

    Attributes
    ----------
    kinds : list of Kind
        Of each place.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kinds: list[Kind] = []

    def argument(self, value: Any) -> Tracer:
        """Return a tracer for an argument."""
        self.kinds.append(Kind(value))
        return super().argument(value)

    def record(self, function: Function, *args: Any, **settings: Any) -> Tracer:
        """Add an operation, and return a tracer for its result."""
        result = super().record(function, *args, **settings)
        if result.place == len(self.kinds):
            self.kinds.append(Kind(result.value))
        return result

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


def _stand_in_of(leaf: Any) -> Any:
    return _stand_in(leaf.shape, leaf.dtype) if isinstance(leaf, cupy.ndarray) else leaf


def _one_element(leaf: Any) -> Any:
    return np.zeros((1,) * leaf.ndim, leaf.dtype) if isinstance(leaf, np.ndarray) else leaf


# Single functions


def in_one_kernel(function: Function, *operands: Any) -> Any:
    """Return function(xp, *operands), elementwise, of arrays and numbers, in one launch."""
    kinds = tuple(
        leaf.dtype.name if isinstance(leaf, cupy.ndarray) else type(leaf) for leaf in operands
    )
    return _kernel_of(function, kinds, cupy.cuda.Device().id)(*operands)


@lru_cache(maxsize=256)
def _kernel_of(function: Function, kinds: tuple[str | type, ...], device: int) -> Function:
    """Return the function in few launches, mostly one, which serves all shapes."""
    tape = _StandInTape()
    bound = partial(function, namespace())
    arguments = tuple(
        kind(1) if isinstance(kind, type) else _stand_in((2,), kind) for kind in kinds
    )
    on_device = [isinstance(kind, str) for kind in kinds]
    try:
        with np.errstate(all="ignore"):
            result = tape.run(bound, arguments)
        tape_of_kernel, places = fused(tape, tape.kinds, on_device, result)
    except TraceError:
        return partial(function, array_api_compat.cupy)
    writer = ArrayWriter(tape_of_kernel, places)
    names = "".join(f"v{number}, " for number in range(len(kinds)))
    return compiled_program([f"{names}= arguments", *writer.lines()], writer.constants)


# The namespace


def _on_tape(function: Function) -> Function | None:
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
        sign=np.sign,
        take=_recorded(np.ndarray.take),
        tree_sum=partial(_tree_sum, traced),
        vecdot=_recorded(np.vdot),
        zero_below=partial(zero_below, traced),
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
