"""The arrays of the simulated CuPy, and its devices."""

import operator
import sys
import weakref
from collections.abc import Callable, Iterator
from functools import partial, partialmethod
from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.simulated_cupy.counts import launch, refuse, wait
from tests.simulated_cupy.memory import Block, CUDARuntimeError, current
from tests.simulated_cupy.rounding import INEXACT, a_unit_off, saturated, with_signed_zeros
from tests.simulated_cupy.streams import on_stream, refused_in_captures

__all__ = [
    "COMPARISONS",
    "OPERATORS",
    "SIGNS",
    "Device",
    "at_address",
    "clipped",
    "computed",
    "converted",
    "elementwise",
    "flushed",
    "ndarray",
    "operand",
]

SMALLEST_NORMAL = np.float32(2.0**-126)
OPERATORS = {
    "add", "sub", "mul", "truediv", "floordiv", "mod", "pow",
    "and", "or", "xor", "lshift", "rshift",
}  # fmt: skip
COMPARISONS = {"lt", "le", "gt", "ge", "eq", "ne"}
SIGNS = {"neg", "pos", "abs", "invert"}


def flushed(a: Any) -> Any:
    """Return a NumPy array or a scalar, float32 denormal numbers as zeros of their sign."""
    if not isinstance(a, np.ndarray | np.generic) or a.dtype != np.float32:
        return a
    denormal = (np.abs(a) < SMALLEST_NORMAL) & (a != 0)
    return np.where(denormal, np.copysign(np.float32(0), a), a) if denormal.any() else a


def operand(x: Any) -> Any:
    """Return what a kernel is given: the memory of an array on its device, or a scalar.

    On another device a kernel fails, or is slow and warns, as the machine lets them be peers
    (`_kernel.pyx`, `_check_peer_access`).
    """
    if isinstance(x, ndarray):
        if x.device != Device():
            refuse()
            raise ValueError(
                "Array device must be same as the current device: "
                f"array device = {x.device.id} while current = {current.device}"
            )
        return x.memory
    if isinstance(x, bool | int | float | complex | np.generic):
        return x
    raise TypeError(f"Unsupported type {type(x)}")


def computed(name: str, function: Any, *hosts: Any) -> Any:
    """Return what an IEEE operation or a mathematical function gives on the device."""
    hosts = tuple(map(flushed, hosts))
    with np.errstate(all="ignore"):
        if name in ("maximum", "minimum"):
            result = with_signed_zeros(function, *hosts, largest=name == "maximum")
        else:
            result = np.asarray(function(*hosts))
        return flushed(a_unit_off(result) if name in INEXACT else result)


def converted(x: Any, dtype: Any) -> Any:
    """Return a NumPy array in another dtype."""
    x = flushed(x)
    if x.dtype.kind == "f" and np.dtype(dtype).kind in "iu":
        return np.asarray(saturated(x, dtype))
    with np.errstate(all="ignore"):
        return np.asarray(flushed(x.astype(dtype)))


def clipped(x: Any, low: Any, high: Any) -> Any:
    """Return a NumPy array between bounds: denormal numbers in it stay."""
    kept, x = x, flushed(x)
    kept = kept if low is None else np.where(x < low, low, kept)
    return kept if high is None else np.where(x > high, high, kept)


@on_stream
def elementwise(name: str, function: Any, *operands: Any, into: Any = None) -> "ndarray":
    """Run one kernel of an IEEE operation or a mathematical function."""
    hosts = [operand(x) for x in operands]
    launch(name)
    result = computed(name, function, *hosts)
    if into is None:
        return ndarray(np.array(result, order="C"))
    np.copyto(operand(into), result, casting="same_kind")
    return into


class Device:
    """A GPU, of which there are two; it cannot be hashed (`cuda/device.pyx`, `__richcmp__`)."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, index: int | None = None) -> None:
        self.id = current.device if index is None else int(index)

    def __int__(self) -> int:
        return self.id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and self.id == other.id

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"

    def __enter__(self) -> "Device":
        current.before.append(current.device)
        self.use()
        return self

    def __exit__(self, *_: object) -> None:
        current.device = current.before.pop()

    def use(self) -> None:
        current.device = self.id

    def synchronize(self) -> None:
        wait("synchronize()")

    compute_capability = "90"


class ndarray:  # noqa: N801 (its name in CuPy)
    """An array on the current device, or a view of `base`.

    Its `memory` is for the files of this folder.
    """

    __hash__ = None  # type: ignore[assignment]
    __array_ufunc__ = None  # NumPy's functions raise; its operators leave it to those here

    def __init__(self, memory: Any, base: "ndarray | None" = None) -> None:
        memory = np.asarray(memory)  # NumPy's operations on arrays without axes give scalars
        self.device = Device() if base is None else base.device
        self.block = current.allocate(memory.nbytes) if base is None else base.block
        self.memory = memory

    shape = property(lambda self: self.memory.shape)
    ndim = property(lambda self: self.memory.ndim)
    size = property(lambda self: self.memory.size)
    dtype = property(lambda self: self.memory.dtype)
    strides = property(lambda self: self.memory.strides)
    nbytes = property(lambda self: self.memory.nbytes)
    itemsize = property(lambda self: self.memory.itemsize)
    flags = property(lambda self: self.memory.flags)
    T = property(lambda self: self.view(self.memory.T))
    mT = property(lambda self: self.view(self.memory.mT))  # noqa: N815 (the standard's name)

    @property
    def data(self) -> Any:
        """Where the memory begins."""
        address = self.memory.ctypes.data
        _addressed[address] = self
        return SimpleNamespace(ptr=address)

    def view(self, memory: Any) -> "ndarray":
        """Return a part of this array's memory, on its device."""
        return ndarray(memory, self)

    def __reduce__(self) -> Any:
        return sys.modules["cupy"].array, (self.get(),)  # on the current device, whichever it was

    def __copy__(self) -> "ndarray":
        return self.copy()

    def __deepcopy__(self, _: Any) -> "ndarray":
        with self.device:
            return self.copy()

    def __dlpack__(self, *, dl_device: tuple[int, int] | None = None, **options: Any) -> Any:
        if dl_device != (1, 0):
            raise BufferError("this memory is on a GPU")
        return self.get().__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, self.device.id  # kDLCUDA

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")

    def __array_function__(self, function: Any, *_: Any) -> Any:
        raise TypeError(f"{function.__name__} of NumPy is given an array of CuPy")

    def _read(self, name: str, convert: Callable[[Any], Any], **_: Any) -> Any:
        wait(name)
        return convert(self.memory)

    def get(self) -> np.ndarray:
        """Copy to the host; what is not C-contiguous is gathered on the device first."""
        if not self.memory.flags.c_contiguous:
            launch("copy (get)")
            with self.device:
                Block(self.nbytes)
        wait("get()")
        return np.array(self.memory, order="C")

    item = partialmethod(_read, "item()", lambda memory: memory.item())
    tolist = partialmethod(_read, "tolist()", lambda memory: memory.tolist())
    __float__ = partialmethod(_read, "float()", lambda memory: float(memory.item()))
    __int__ = partialmethod(_read, "int()", lambda memory: int(memory.item()))
    __bool__ = partialmethod(_read, "bool()", lambda memory: bool(memory.item()))
    __index__ = partialmethod(_read, "index()", lambda memory: operator.index(memory.item()))

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of unsized object")
        return int(self.shape[0])

    def __iter__(self) -> Iterator["ndarray"]:
        return (self[index] for index in range(len(self)))

    @on_stream
    def __getitem__(self, key: Any) -> "ndarray":
        keys = key if isinstance(key, tuple) else (key,)
        if not any(isinstance(k, ndarray | np.ndarray) for k in keys):
            return self.view(self.memory[keys if Ellipsis in keys else (*keys, ...)])
        (indices,) = keys
        if indices.dtype != np.bool_:
            launch("take")
            return ndarray(np.take(operand(self), operand(indices), axis=0, mode="wrap"))
        launch("mask", 4)
        wait("boolean mask")
        return ndarray(operand(self)[operand(indices)])

    @on_stream
    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(key, ndarray):
            assert key.dtype == np.bool_, "add assignment by indices where it is needed"
            launch("mask", 4)
            wait("boolean mask")
        else:
            launch("copy")
        operand(self)[operand(key) if isinstance(key, ndarray) else key] = operand(value)

    def set(self, host: Any) -> None:
        """Copy host data, not through pinned memory."""
        refused_in_captures(CUDARuntimeError("cudaErrorStreamCaptureUnsupported: pageable memory"))
        assert self.memory.flags.forc
        assert (host.dtype, host.shape) == (self.dtype, self.shape)
        launch("upload")
        self.memory[...] = host

    @on_stream
    def astype(self, dtype: Any, order: str = "K", *, copy: bool = True) -> "ndarray":
        if self.dtype == dtype and not copy:
            return self
        launch("astype")
        if self.dtype == dtype:
            return ndarray(operand(self).copy(order=order))
        return ndarray(converted(operand(self), dtype))

    @on_stream
    def copy(self, order: str = "C") -> "ndarray":
        """Copy to the current device."""
        launch("copy")
        return ndarray(self.memory.copy(order=order))

    @on_stream
    def clip(self, low: Any = None, high: Any = None) -> "ndarray":
        launch("clip")
        bounds = (of if of is None else self.dtype.type(of) for of in (low, high))
        return ndarray(clipped(operand(self), *bounds))

    def reshape(self, *shape: Any) -> "ndarray":
        reshaped: ndarray = sys.modules["cupy"].reshape(self, *shape)
        return reshaped

    def __matmul__(self, other: "ndarray") -> "ndarray":
        product: ndarray = sys.modules["cupy"].matmul(self, other)
        return product


_addressed: "weakref.WeakValueDictionary[int, ndarray]" = weakref.WeakValueDictionary()


def at_address(address: int) -> ndarray:
    """Return the array that a pointer is of, whose owner has to keep it meanwhile."""
    return _addressed[address]


def _power(a: Any, b: Any, into: Any = None) -> ndarray:
    """Run the kernel that `**` takes: for some numbers not that of `pow` (`core.pyx`)."""
    powers = {2.0: np.square, 0.5: np.sqrt, -1.0: np.reciprocal}
    is_fast = type(b) is float or (type(b) is int and b == 2)
    if into is None and is_fast and (function := powers.get(b)):
        return elementwise(function.__name__, function, a)
    return elementwise("pow", operator.pow, a, b, into=into)


def _give_operators() -> None:
    """Give `ndarray` its operators; those in place write into its own memory."""

    def give(name: str, kernel: Callable[..., ndarray]) -> None:
        setattr(ndarray, f"__{name}__", lambda self, *other: kernel(self, *other))  # noqa: PLW0108
        if name in OPERATORS:
            setattr(ndarray, f"__r{name}__", lambda self, other: kernel(other, self))
            setattr(ndarray, f"__i{name}__", lambda self, other: kernel(self, other, into=self))

    for name in OPERATORS | COMPARISONS | SIGNS:
        function = getattr(operator, f"__{name}__")
        give(name, partial(elementwise, name, function))
    give("pow", _power)


_give_operators()
