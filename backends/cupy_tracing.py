"""Elementwise functions of CuPy as one kernel each: traced on the host, on arrays without memory.

CuPy's operations do not dispatch to other classes, so they cannot be traced.  Instead, a function
is bound to a namespace of NumPy and recorded on NumPy's tape, whose operations become the lines of
a kernel (`cupy_kernels.py`).
"""

import operator
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from types import ModuleType

import array_api_compat.cupy
import array_api_compat.numpy
import cupy
import numpy as np

from pluggable_mlp.arrays import Array, DType, Namespace
from pluggable_mlp.compiling import Unsuitable
from pluggable_mlp.shortcuts import offer

from . import cupy_kernels as kernels
from .cupy_kernels import Kind, erf
from .numpy_tracing import UFUNCS, NumpyTape, Tracer
from .tape import Function, Tree, leaves, map_tree
from .transfer import HostArray

# Functions whose result has the shape that all arguments broadcast to.
_BROADCASTING = {np.where, np.clip, np.full_like, np.ones_like, np.zeros_like, np.round}
_NUMBERS = (bool, int, float)  # Python's numbers, which take the dtype of arrays


class StandInTape(NumpyTape):
    """A tape of arrays in which one element stands for all.

    Attributes
    ----------
    kinds : list of str or type
        For each place, the dtype, or the type of a Python number.
    """

    clips = False  # kernels have their own maximum

    def __init__(self) -> None:
        super().__init__()
        self.kinds: list[Kind] = []

    def tracer(self, value: Array, owner: int | None = None, layout: Hashable = None) -> Tracer:
        """Return a tracer for a value in a new place."""
        self.kinds.append(kind_of(value))
        return super().tracer(value, owner, layout)

    def evaluate(self, function: Function, args: Tree, settings: dict[str, Tree]) -> Array:
        """Return a stand-in for the result, avoiding expensive work."""
        arrays = [leaf for leaf in leaves(args) if isinstance(leaf, np.ndarray) and leaf.ndim]
        ufunc = UFUNCS.get(function, function)  # an operator on numbers keeps them Python's own
        if arrays and _is_broadcasting(ufunc):
            element = function(*map_tree(_one_element, args), **settings)
            shape = np.broadcast_shapes(*(array.shape for array in arrays))
            return _stand_in(shape, np.asarray(element).dtype)
        value = super().evaluate(function, args, settings)
        is_new = isinstance(value, np.ndarray) and value.ndim and value.base is None
        return _stand_in(value.shape, value.dtype) if is_new else value

    def overwrite(self, ufunc: Function, inputs: Tree, target: Array) -> None:
        """Leave the target as it is: its shape and dtype do not change."""


def _is_broadcasting(function: Function) -> bool:
    if isinstance(function, np.ufunc):
        return function.signature is None
    return function in _BROADCASTING or isinstance(function, operator.methodcaller)


def _stand_in(shape: tuple[int, ...], dtype: DType) -> HostArray:
    return np.broadcast_to(np.zeros((), dtype), shape)


def _one_element(leaf: Tree) -> Tree:
    return np.zeros((1,) * leaf.ndim, leaf.dtype) if isinstance(leaf, np.ndarray) else leaf


# Kernels


def kind_of(value: Array) -> Kind:
    """Return the dtype of an array or a NumPy number, or the type of a Python number."""
    if type(value) in _NUMBERS:
        return type(value)
    return value.dtype.name if hasattr(value, "dtype") else ""


@dataclass(frozen=True, eq=False)
class Kernel:
    """An elementwise function in one launch; numbers may be arrays without axes, too.

    Attributes
    ----------
    source : tuple of str
        The arguments of `elementwise_kernel`.
    tables : list of array
        Tables that it takes after the operands.
    is_tuple : bool
        Whether it returns a tuple.
    """

    source: tuple[str, str, str, str]
    tables: list[Array]
    is_tuple: bool

    def __call__(self, *operands: Array) -> Tree:
        """Return what the function returns."""
        results = self._launch(*operands, *self.tables)
        return results if self.is_tuple else results[0]

    @cached_property
    def _launch(self) -> Function:
        return kernels.elementwise_kernel(*self.source)


def zero_below(xp: Namespace, x: Array, threshold: float) -> Array:
    """Do the same as `shortcuts.zero_below`, for one kernel."""
    return xp.where(xp.abs(x) < threshold, 0.0, x)


def in_one_kernel(function: Function, *operands: Array) -> Tree:
    """Return function(xp, *operands), elementwise on arrays and numbers, in one launch."""
    try:
        kernel = kernel_of(function, map(kind_of, operands))
    except MemoryError:  # of the trial
        kernel = None
    return function(array_api_compat.cupy, *operands) if kernel is None else kernel(*operands)


def kernel_of(function: Function, kinds: Iterable[Kind]) -> Kernel | None:
    """Return the function as one kernel, which serves all shapes; None if it is not one."""
    return _kernel_on(cupy.cuda.Device().id, function, tuple(kinds))


@lru_cache(maxsize=256)
def _kernel_on(device: int, function: Function, kinds: tuple[Kind, ...]) -> Kernel | None:
    tape = StandInTape()
    arguments = tuple(
        kind(1) if isinstance(kind, type) else _stand_in((2,), kind) for kind in kinds
    )
    try:
        with np.errstate(all="ignore"):
            result = tape.run(partial(function, _NAMESPACE), arguments)
        writer = kernels.KernelWriter(tape.kinds, len(kinds))
        source = writer.source(tape.needed(result), result)
    except Unsuitable:
        return None
    kernel = Kernel(
        source,
        [*map(cupy.asarray, writer.tables)],
        type(result) is tuple,
    )
    trial = partial(kernels.gives_the_same, kernel, function, kinds)
    return kernel if kernels.works(source, trial) else None


# The namespace


def _namespace() -> Namespace:
    """Return NumPy's namespace with CuPy's functions that the standard lacks."""
    traced = ModuleType("array_api_compat.cupy.traced")
    vars(traced).update(vars(array_api_compat.numpy) | {"__name__": traced.__name__})
    offer(
        traced,
        clip=np.clip,
        entries=_entries,
        erf=erf,
        sign=np.sign,
        zero_below=partial(zero_below, traced),
    )
    return traced


def _entries(table: Array, indices: Array) -> Array:
    """Return `np.take(table, indices)`, which does not dispatch on the indices."""
    if isinstance(indices, Tracer):
        return indices.tape.record(np.ndarray.take, table, indices)
    return np.take(table, indices)


_NAMESPACE = _namespace()
