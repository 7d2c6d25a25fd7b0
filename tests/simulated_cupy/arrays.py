"""The arrays of the simulated CuPy, its device, and the count of what is asked of it."""

import operator
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial, partialmethod
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import pluggable_mlp.backends

__all__ = [
    "Counts",
    "Device",
    "counting",
    "elementwise",
    "flushed",
    "launch",
    "ndarray",
    "operand",
    "wait",
]

SMALLEST_NORMAL = np.float32(2.0**-126)
LIBRARY = {Path(package.__file__).parent for package in (pluggable_mlp, pluggable_mlp.backends)}
OPERATORS = {
    "add", "sub", "mul", "truediv", "floordiv", "mod", "pow",
    "and", "or", "xor", "lshift", "rshift",
}  # fmt: skip
COMPARISONS = {"lt", "le", "gt", "ge", "eq", "ne"}
SIGNS = {"neg", "pos", "abs", "invert"}


@dataclass
class Counts:
    """Launches (kernels, copies to the device) by name; waits by the line that asked for them."""

    launches: Counter[str] = field(default_factory=Counter)
    waits: Counter[str] = field(default_factory=Counter)


_counts = [Counts()]


@contextmanager
def counting() -> Iterator[Counts]:
    """Count what is asked of the device meanwhile."""
    _counts.append(Counts())
    try:
        yield _counts[-1]
    finally:
        _counts.pop()


def launch(name: str, times: int = 1) -> None:
    _counts[-1].launches[name] += times


def wait(name: str) -> None:
    """Count a wait for the innermost line of the library that asked for it."""
    frame = sys._getframe(1)
    while frame.f_back and not LIBRARY & set(Path(frame.f_code.co_filename).parents):
        frame = frame.f_back
    _counts[-1].waits[f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} {name}"] += 1


def flushed(a: Any) -> Any:
    """Return a NumPy array or a scalar, float32 denormal numbers as zeros of their sign."""
    if not isinstance(a, np.ndarray | np.generic) or a.dtype != np.float32:
        return a
    denormal = (np.abs(a) < SMALLEST_NORMAL) & (a != 0)
    return np.where(denormal, np.copysign(np.float32(0), a), a) if denormal.any() else a


def operand(x: Any) -> Any:
    """Return what a kernel is given: the memory of an array, or a scalar."""
    if isinstance(x, ndarray):
        return x.memory
    if isinstance(x, bool | int | float | complex | np.generic):
        return x
    raise TypeError(f"Unsupported type {type(x)}")


def elementwise(name: str, function: Any, *operands: Any, into: Any = None) -> "ndarray":
    """Run one kernel of an IEEE operation or a mathematical function."""
    hosts = [flushed(operand(x)) for x in operands]
    launch(name)
    with np.errstate(all="ignore"):
        result = flushed(np.asarray(function(*hosts)))
    if into is None:
        return ndarray(np.array(result, order="C"))
    np.copyto(into.memory, result, casting="same_kind")
    return into


class Device:
    """A GPU, of which there is one; it cannot be hashed (`cuda/device.pyx`, `__richcmp__`)."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, index: int | None = None) -> None:
        self.id = index or 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and self.id == other.id

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"

    def __enter__(self) -> "Device":
        return self

    def __exit__(self, *_: object) -> None: ...

    def use(self) -> None: ...

    def synchronize(self) -> None:
        wait("synchronize()")


class ndarray:  # noqa: N801 (its name in CuPy)
    """An array on the device; `memory` is for the files of this folder."""

    __hash__ = None  # type: ignore[assignment]
    __array_ufunc__ = None  # NumPy's functions raise; its operators leave it to those here
    device = Device()

    def __init__(self, memory: Any) -> None:
        self.memory = memory

    shape = property(lambda self: self.memory.shape)
    ndim = property(lambda self: self.memory.ndim)
    size = property(lambda self: self.memory.size)
    dtype = property(lambda self: self.memory.dtype)
    strides = property(lambda self: self.memory.strides)
    T = property(lambda self: ndarray(self.memory.T))
    mT = property(lambda self: ndarray(self.memory.mT))  # noqa: N815 (the standard's name)

    def __array_namespace__(self, api_version: str | None = None) -> ModuleType:
        from tests.simulated_cupy import xp

        return xp  # CuPy's arrays lack this: array-api-compat knows its wrapper by their type

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, self.device.id  # kDLCUDA

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")

    def __array_function__(self, function: Any, *_: Any) -> Any:
        raise TypeError(f"{function.__name__} of NumPy is given an array of CuPy")

    def _read(self, name: str, convert: Callable[[Any], Any], **_: Any) -> Any:
        wait(name)
        return convert(self.memory)

    get = partialmethod(_read, "get()", np.copy)
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

    def __getitem__(self, key: Any) -> "ndarray":
        keys = key if isinstance(key, tuple) else (key,)
        if not any(isinstance(k, ndarray | np.ndarray) for k in keys):
            return ndarray(self.memory[keys if Ellipsis in keys else (*keys, ...)])
        (indices,) = keys
        if indices.dtype != np.bool_:
            launch("take")
            return ndarray(np.take(self.memory, indices.memory, axis=0, mode="wrap"))
        launch("mask", 4)
        wait("boolean mask")
        return ndarray(self.memory[operand(indices)])

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(key, ndarray):
            assert key.dtype == np.bool_, "add assignment by indices where it is needed"
            launch("mask", 4)
            wait("boolean mask")
        else:
            launch("copy")
        self.memory[operand(key) if isinstance(key, ndarray) else key] = operand(value)

    def astype(self, dtype: Any, order: str = "K", *, copy: bool = True) -> "ndarray":
        if self.dtype == dtype:
            return self.copy() if copy else self
        launch("astype")
        with np.errstate(all="ignore"):
            return ndarray(flushed(flushed(self.memory).astype(dtype)))

    def copy(self) -> "ndarray":
        launch("copy")
        return ndarray(self.memory.copy(order="K"))

    def clip(self, low: Any = None, high: Any = None) -> "ndarray":
        launch("clip")
        x, kept = flushed(self.memory), self.memory
        kept = kept if low is None else np.where(x < low, kept.dtype.type(low), kept)
        return ndarray(kept if high is None else np.where(x > high, kept.dtype.type(high), kept))

    def __matmul__(self, other: "ndarray") -> "ndarray":
        return self.__array_namespace__().matmul(self, other)


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


_give_operators()
