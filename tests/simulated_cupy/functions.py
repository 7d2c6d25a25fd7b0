"""The functions of the simulated CuPy, as its modules have them."""

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np

from tests.simulated_cupy.arrays import Device, elementwise, flushed, ndarray, operand
from tests.simulated_cupy.counts import launch, pin, wait
from tests.simulated_cupy.kernels import NAMES, ElementwiseKernel, function_of
from tests.simulated_cupy.memory import (
    DEVICES,
    SIZE,
    Block,
    CUDARuntimeError,
    MemoryPool,
    OutOfMemoryError,
    memory_pool,
    using_allocator,
)
from tests.simulated_cupy.rounding import permuted, product, reductions_flush, with_signed_zeros
from tests.simulated_cupy.streams import (
    Graph,
    Stream,
    get_current_stream,
    on_stream,
    refused_in_captures,
)

__all__ = ["libraries", "module"]

REDUCTIONS = {
    "sum", "mean", "prod", "max", "min", "any", "all", "argmax", "argmin", "count_nonzero"
}  # fmt: skip
VIEWS = {
    "broadcast_to", "expand_dims", "flip", "moveaxis", "reshape", "squeeze", "swapaxes",
    "transpose",
}  # fmt: skip
CREATIONS = {"arange", "empty", "eye", "full", "ones", "zeros"}
ORDERS = {"sort", "argsort", "roll", "repeat", "tile", "tril", "triu", "cumsum", "cumprod"}
# Of more than one kernel: a copy that is sorted, parts that are copied, a mask and a selection.
COMPOSED = {"eye": 2, "roll": 2, "sort": 2, "tril": 2, "triu": 2}
LIKE = {"zeros_like", "ones_like", "full_like", "empty_like"}
OF_DTYPES = {
    "can_cast",
    "isdtype",
    "finfo",
    "iinfo",
    "result_type",
    "issubdtype",
    "broadcast_shapes",
}


def _reduction(name: str) -> Callable[..., ndarray]:
    function = getattr(np, name)
    if name in ("max", "min"):
        function = partial(with_signed_zeros, function, largest=name == "max")

    @on_stream
    def reduce(a: ndarray, axis: Any = None, keepdims: bool = False) -> ndarray:
        launch(name)
        flush = flushed if reductions_flush() else np.asarray
        x = operand(a)
        x = flush(permuted(x, axis) if name in ("sum", "mean", "prod") else x)
        with np.errstate(all="ignore"):
            result = function(x, axis=axis, keepdims=keepdims)
        return ndarray(np.array(flush(np.asarray(result)), order="C"))

    return reduce


def _view(name: str) -> Callable[..., ndarray]:
    function = getattr(np, name)

    @on_stream
    def view(a: ndarray, *arguments: Any, **keywords: Any) -> ndarray:
        memory = function(a.memory, *arguments, **keywords)
        if np.may_share_memory(memory, a.memory):
            return a.view(memory)
        launch(f"copy ({name})")
        return ndarray(memory)

    return view


def _order(name: str) -> Callable[..., ndarray]:
    function = getattr(np, name)

    @on_stream
    def order(a: ndarray, *arguments: Any, **keywords: Any) -> ndarray:
        launch(name, COMPOSED.get(name, 1))
        return ndarray(np.array(function(operand(a), *arguments, **keywords), order="C"))

    return order


def _creation(name: str) -> Callable[..., ndarray]:
    @on_stream
    def create(*arguments: Any, **keywords: Any) -> ndarray:
        if name != "empty":
            launch(name, COMPOSED.get(name, 1))
        try:
            memory = getattr(np, name)(*arguments, **keywords)
        except MemoryError as error:  # more than the host has, and a GPU
            size = math.prod(error.shape) * error.dtype.itemsize
            raise OutOfMemoryError(size, memory_pool.used_bytes()) from None
        return ndarray(memory)

    return create


@on_stream
def asarray(data: Any, dtype: Any = None) -> ndarray:
    """Take an array as it is, upload anything else."""
    if isinstance(data, ndarray):
        return data if dtype is None else data.astype(dtype, copy=False)
    launch("upload")
    host = np.array(data, dtype=dtype, order="K")
    if host.ndim:
        refused_in_captures(RuntimeError("pinned memory is free before the graph is launched"))
        pin(host.nbytes)
    return ndarray(host)


@on_stream
def array(data: Any, dtype: Any = None, copy: bool = True) -> ndarray:
    """Copy an array where asked, upload anything else."""
    made = asarray(data, dtype)
    return made.copy() if copy and made is data else made


@on_stream
def where(condition: ndarray, a: Any, b: Any) -> ndarray:
    """Select: nothing is flushed."""
    launch("where")
    return ndarray(np.where(operand(condition), operand(a), operand(b)))


@on_stream
def take(a: ndarray, indices: Any, axis: int | None = None) -> ndarray:
    """Gather: indices wrap, nothing is flushed."""
    launch("take")
    return ndarray(np.take(operand(a), operand(indices), axis=axis, mode="wrap"))


@on_stream
def take_along_axis(a: ndarray, indices: ndarray, axis: int) -> ndarray:
    """Gather along an axis."""
    launch("take", 6)
    return ndarray(np.take_along_axis(operand(a), operand(indices) % a.shape[axis], axis))


@on_stream
def nonzero(a: ndarray) -> tuple[ndarray, ...]:
    """Count, and then write the places."""
    launch("nonzero", 2)
    wait("nonzero()")
    return tuple(map(ndarray, np.nonzero(operand(a))))


@on_stream
def matmul(a: ndarray, b: ndarray) -> ndarray:
    """Multiply with cuBLAS, which takes matrices of C or of Fortran order, stacks of C order.

    Not within a capture (`cupy_backends/cuda/libs/cublas.pyx`, `setStream`).
    """
    x, y = operand(a), operand(b)
    if x.dtype.kind == "f" and x.size and y.size and not x.shape[0] == y.shape[-1] == 1:
        message = "calling cuBLAS API during stream capture is currently unsupported"
        refused_in_captures(NotImplementedError(message))
    if not _is_for_cublas(x, y):
        launch("copy (matmul)")
        x = np.ascontiguousarray(x)
    if not _is_for_cublas(y, x):
        launch("copy (matmul)")
        y = np.ascontiguousarray(y)
    launch("matmul")
    with np.errstate(all="ignore"):
        return ndarray(np.array(product(x, y), order="C"))


def _is_for_cublas(x: Any, other: Any) -> bool:
    is_by_columns = x.flags.f_contiguous and max(x.ndim, other.ndim) == 2
    return bool(x.flags.c_contiguous or is_by_columns)


@on_stream
def vdot(a: ndarray, b: ndarray) -> ndarray:
    """Multiply and sum, as `tensordot_core` in `_core/_routines_linalg.pyx` does with CUB."""
    launch("vdot", 2)
    return ndarray(np.asarray(np.vdot(operand(a), operand(b))))


@on_stream
def concatenate(arrays: Any, axis: int = 0) -> ndarray:
    """Join arrays: a copy for each, or one kernel that is given their pointers."""
    arrays = list(arrays)
    if len(arrays) > 8:
        refused_in_captures(RuntimeError("pointers are uploaded"))
    launch("concatenate", len(arrays) if len(arrays) <= 8 else 2)
    return ndarray(np.concatenate([operand(a) for a in arrays], axis=axis))


@on_stream
def stack(arrays: Any, axis: int = 0) -> ndarray:
    """Join arrays along a new axis."""
    return concatenate([a.view(np.expand_dims(a.memory, axis)) for a in arrays], axis=axis)


@on_stream
def unique(
    a: ndarray,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    *,
    equal_nan: bool = True,
) -> ndarray | tuple[ndarray, ...]:
    """Sort, compare, and pick by a mask; counts are differences of the places where it is set."""
    launch("unique", 12)
    wait("boolean mask")
    if return_index:
        wait("boolean mask")
    if return_counts:
        wait("nonzero()")
    extras = return_index, return_inverse, return_counts
    found = np.unique(operand(a), *extras, equal_nan=equal_nan)
    return tuple(map(ndarray, found)) if any(extras) else ndarray(found)


@on_stream
def broadcast_arrays(*arrays: ndarray) -> list[ndarray]:
    """Return views of one shape."""
    views = np.broadcast_arrays(*(a.memory for a in arrays))
    return [a.view(view) for a, view in zip(arrays, views, strict=True)]


@on_stream
def count_nonzero(a: ndarray, axis: Any = None) -> ndarray:
    """Count on the device: the number stays there."""
    launch("count_nonzero")
    return ndarray(np.asarray(np.count_nonzero(operand(a), axis=axis)))


@on_stream
def searchsorted(a: ndarray, v: ndarray, side: Any = "left", sorter: Any = None) -> ndarray:
    """Search in one kernel."""
    launch("searchsorted")
    sorted_by = None if sorter is None else operand(sorter)
    return ndarray(np.asarray(np.searchsorted(operand(a), operand(v), side, sorted_by)))


@on_stream
def var(a: ndarray, axis: Any = None, ddof: float = 0, keepdims: bool = False) -> ndarray:
    """Return the mean square of differences from the mean: two kernels and one that divides."""
    launch("var", 3)
    x = permuted(operand(a), axis)
    return ndarray(np.var(x, axis=axis, ddof=ddof, keepdims=keepdims))


@on_stream
def std(a: ndarray, axis: Any = None, ddof: float = 0, keepdims: bool = False) -> ndarray:
    """Return the root of the variance."""
    return elementwise("sqrt", np.sqrt, var(a, axis, ddof, keepdims))


def _erf(x: Any) -> Any:
    return np.asarray(np.vectorize(math.erf, otypes=[np.float64])(x), dtype=x.dtype)


NAMES["erf"] = function_of("erf", _erf)

_MADE = ((REDUCTIONS, _reduction), (VIEWS, _view), (ORDERS, _order), (CREATIONS, _creation))


def _attribute(name: str) -> Any:
    """Return what `cupy` has under a name: here, what NumPy has, on the device."""
    if name == "__array_namespace_info__":
        raise AttributeError("CuPy itself is no namespace of the standard")
    value = getattr(np, name)
    if isinstance(value, np.ufunc) and value.signature is None:
        return partial(elementwise, name, value)
    for names, make in _MADE:
        if name in names:
            return make(name)
    if name in LIKE:
        return lambda a, *arguments, **keywords: _creation(name)(a.memory, *arguments, **keywords)
    if callable(value) and not isinstance(value, type) and name not in OF_DTYPES:
        raise AttributeError(f"the simulated CuPy has no {name} yet")
    return value


def module(name: str, **members: Any) -> ModuleType:
    """Return a module of this name with these members."""
    made = ModuleType(name)
    made.__dict__.update(members | {"__name__": name, "__path__": []})
    made.__spec__ = ModuleSpec(name, None, is_package=True)
    return made


def _known() -> Iterator[str]:
    """Give the names of NumPy's that the simulation knows by itself."""
    for name in np.__all__:
        with suppress(AttributeError):
            if not isinstance(_attribute(name), ModuleType):
                yield name


def _not_yet(name: str) -> Any:
    raise AttributeError(f"the simulated CuPy has no {name} yet")


def _cuda() -> dict[str, ModuleType]:
    runtime = module(
        "cupy.cuda.runtime",
        getDeviceCount=lambda: DEVICES,
        runtimeGetVersion=lambda: 13020,
        driverGetVersion=lambda: 13000,
        memGetInfo=lambda: (SIZE - memory_pool.used_bytes(), SIZE),
        CUDARuntimeError=CUDARuntimeError,
    )
    memory = module("cupy.cuda.memory", OutOfMemoryError=OutOfMemoryError)
    device = module("cupy.cuda.device", Device=Device, get_cublas_handle=lambda: 1)
    nvrtc = module("cupy.cuda.nvrtc", getVersion=lambda: (13, 0))
    cublas = module("cupy.cuda.cublas", getVersion=lambda _: 130100)
    parts = {
        "device": device,
        "memory": memory,
        "runtime": runtime,
        "nvrtc": nvrtc,
        "cublas": cublas,
    }
    cuda = module(
        "cupy.cuda",
        Device=Device,
        Graph=Graph,
        MemoryPool=MemoryPool,
        Stream=Stream,
        alloc=Block,
        get_current_stream=get_current_stream,
        using_allocator=using_allocator,
        **parts,
    )
    return {made.__name__: made for made in (cuda, *parts.values())}


def libraries() -> dict[str, ModuleType]:
    """Return CuPy's modules by their names, as `sys.modules` has them."""
    cuda = _cuda()
    linalg = module("cupy.linalg", __getattr__=_not_yet, __all__=[], lstsq=None)
    fft = module("cupy.fft", __getattr__=_not_yet, __all__=[])
    functions = (
        *(asarray, array, where, take, take_along_axis, matmul, concatenate, stack, unique),
        *(broadcast_arrays, count_nonzero, nonzero, searchsorted, std, var, vdot),
    )
    members = {
        "ndarray": ndarray,
        "ElementwiseKernel": ElementwiseKernel,
        "cuda": cuda["cupy.cuda"],
        "linalg": linalg,
        "fft": fft,
        "get_default_memory_pool": lambda: memory_pool,
        "asnumpy": lambda a: a.get() if isinstance(a, ndarray) else np.asarray(a),
        "round": partial(elementwise, "round", np.round),
        "clip": lambda a, low=None, high=None: a.clip(low, high),
        **{function.__name__: function for function in functions},
        "is_simulated": True,
    }
    everything = [*members, *_known()]
    own = {"__getattr__": _attribute, "__version__": "14.2.0", "__all__": everything}
    cupy = module("cupy", **members, **own)
    special = module("cupyx.scipy.special", erf=partial(elementwise, "erf", _erf))
    scipy = module("cupyx.scipy", special=special)
    made = (cupy, linalg, fft, module("cupyx", scipy=scipy), scipy, special)
    return cuda | {module.__name__: module for module in made}
