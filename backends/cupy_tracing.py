"""Elementwise functions of CuPy as one kernel each: traced on the host, on arrays without memory.

CuPy's operations do not dispatch to other classes, so they cannot be traced.  Instead, a function
is bound to a namespace of NumPy and recorded on NumPy's tape, whose operations become the lines of
a kernel (`cupy_kernels.py`) or the nodes of a graph (`cupy_graphs.py`).
"""

import operator
from collections.abc import Hashable, Iterable, Sequence
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

    Parameters
    ----------
    keeps_kernels : bool
        Whether a function that is one kernel is also one operation.

    Attributes
    ----------
    kinds : list of str or type
        For each place, the dtype, or the type of a Python number.
    """

    clips = False  # kernels have their own maximum

    def __init__(self, keeps_kernels: bool) -> None:
        super().__init__()
        self.keeps_kernels = keeps_kernels
        self.kinds: list[Kind] = []

    def tracer(self, value: Array, owner: int | None = None, layout: Hashable = None) -> Tracer:
        """Return a tracer for a value in a new place."""
        self.kinds.append(kind_of(value))
        return super().tracer(value, owner, layout)

    def evaluate(self, function: Function, args: Tree, settings: dict[str, Tree]) -> Array:
        """Return a stand-in for the result, avoiding expensive work."""
        if isinstance(function, Kernel):
            return function.stand_in(args)
        arrays = [leaf for leaf in leaves(args) if isinstance(leaf, np.ndarray) and leaf.ndim]
        ufunc = UFUNCS.get(function, function)  # an operator on numbers keeps them Python's own
        if ufunc is np.matmul and all(np.ndim(array) > 1 for array in args):
            a, b = args
            stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
            return _stand_in((*stack, a.shape[-2], b.shape[-1]), np.result_type(a, b))
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


def stand_in_of(leaf: Tree) -> Tree:
    """Return a stand-in for a CuPy array; numbers are unchanged."""
    return _stand_in(leaf.shape, leaf.dtype) if isinstance(leaf, cupy.ndarray) else leaf


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
    dtypes : list of str
        The dtypes of the results.
    is_tuple : bool
        Whether it returns a tuple.
    """

    source: tuple[str, str, str, str]
    tables: list[Array]
    dtypes: list[Kind]
    is_tuple: bool

    def __call__(self, *operands: Array, out: Array | None = None) -> Tree:
        """Return what the function returns."""
        outputs = () if out is None else (out,)
        results = self._launch(*operands, *self.tables, *outputs)
        return results if self.is_tuple else results[0]

    @cached_property
    def _launch(self) -> Function:
        return kernels.elementwise_kernel(*self.source)

    def stand_in(self, operands: Sequence[Array]) -> Tree:
        """Return stand-ins for the results on a tape."""
        shape = np.broadcast_shapes(*map(np.shape, operands))
        results = tuple(_stand_in(shape, dtype) for dtype in self.dtypes)
        return results if self.is_tuple else results[0]


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
    tape = StandInTape(keeps_kernels=False)
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
        [tape.kinds[place.number] for place in leaves(result)],
        type(result) is tuple,
    )
    trial = partial(kernels.gives_the_same, kernel, function, kinds)
    return kernel if kernels.works(source, trial) else None


# The namespace


def on_tape(function: Function) -> Function | None:
    """Return the function bound to the tape's namespace instead of CuPy's, or None."""
    if not (isinstance(function, partial) and function.args):
        return None
    xp, *components = function.args
    if getattr(xp, "library", xp) is not array_api_compat.cupy:
        return None
    traced = _NAMESPACE if xp is array_api_compat.cupy else type(xp)(_NAMESPACE, xp.run_all)
    return partial(function.func, traced, *components, **function.keywords)


def _namespace() -> Namespace:
    """Return NumPy's namespace with CuPy's functions that the standard lacks."""
    traced = ModuleType("array_api_compat.cupy.traced")
    vars(traced).update(vars(array_api_compat.numpy) | {"__name__": traced.__name__})
    offer(
        traced,
        affine=partial(affine, traced),
        clip=np.clip,
        entries=_entries,
        erf=erf,
        in_one_kernel=_recorded_kernel,
        mean=np.mean,
        sign=np.sign,
        tree_sum=partial(kernels.tree_sum, traced),
        vecdot=partial(vecdot, traced),
        zero_below=partial(_recorded_kernel, zero_below),
    )
    return traced


def _entries(table: Array, indices: Array) -> Array:
    """Return `np.take(table, indices)`, which does not dispatch on the indices."""
    if isinstance(indices, Tracer):
        return indices.tape.record(np.ndarray.take, table, indices)
    return np.take(table, indices)


def _recorded_kernel(function: Function, *operands: Array) -> Tree:
    tape = next((leaf.tape for leaf in operands if isinstance(leaf, Tracer)), None)
    kernel = None
    if isinstance(tape, StandInTape) and tape.keeps_kernels:
        values = (leaf.value if isinstance(leaf, Tracer) else leaf for leaf in operands)
        kernel = kernel_of(function, map(kind_of, values))
    if tape is None or kernel is None:
        return function(_NAMESPACE, *operands)
    results = tape.record(kernel, *operands)
    return tuple(results[at] for at in range(len(kernel.dtypes))) if kernel.is_tuple else results


def affine(xp: Namespace, x: Array, W: Array, b: Array) -> Array:
    """Return x W + b by rows, as all results of elementwise operations: see `special.py`."""
    y = xp.matmul(x, W)
    y += b if b.ndim == 1 else xp.expand_dims(b, axis=-2)
    return y


def vecdot(xp: Namespace, x: Array, y: Array) -> Array:
    """Return the sums of x y along the last axis, without the product that a capture refuses."""
    return xp.sum(x * y, axis=-1)


_NAMESPACE = _namespace()
