"""Elementwise functions of CuPy as one kernel each.

A function is recorded on the host, on short arrays of NumPy, so that a GPU does nothing meanwhile.
The operations on the tape become the lines of a kernel (`cupy_kernels.py`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from types import ModuleType

import array_api_compat.cupy
import array_api_compat.numpy
import cupy
import numpy as np

from pluggable_mlp.arrays import Array, Namespace, array_namespace
from pluggable_mlp.arrays.compiling import Unsuitable
from pluggable_mlp.arrays.shortcuts import offer

from . import cupy_kernels as kernels
from .cupy_kernels import Kind, erf
from .recording import Recorded, RecordingNamespace
from .tape import Function, Layout, Tree

_NUMBERS = (bool, int, float)  # Python's numbers, which take the dtype of arrays


class KernelRecording(RecordingNamespace):
    """NumPy's functions, as those of CuPy in a kernel.

    Attributes
    ----------
    kinds : list of str or type
        For each place, the dtype, or the type of a Python number.
    """

    def __init__(self, library: Namespace) -> None:
        super().__init__(library)
        self.kinds: list[Kind] = []

    def placed(self, value: Array, owner: int | None = None, layout: Layout = None) -> Recorded:
        """See `RecordingNamespace.placed`."""
        self.kinds.append(kind_of(value))
        return super().placed(value, owner, layout)


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
    ns = KernelRecording(_NAMESPACE)
    arguments = tuple(kind(1) if isinstance(kind, type) else np.ones(2, kind) for kind in kinds)
    try:
        with np.errstate(all="ignore"), ns.in_use():
            result = ns.run(partial(function, ns), arguments)
        writer = kernels.KernelWriter(ns.kinds, len(kinds))
        source = writer.source(ns.tape.needed(result), result)
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
        entries=np.take,
        erf=erf,
        sign=np.sign,
        zero_below=lambda x, threshold: zero_below(array_namespace(x), x, threshold),
    )
    return traced


_NAMESPACE = _namespace()
