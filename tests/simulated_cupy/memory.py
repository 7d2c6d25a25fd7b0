"""The memory of the simulated CuPy's devices, as its pool gives it out (`cuda/memory.pyx`).

Blocks are of whole multiples of 512 bytes.  One belongs to an array and to its views, and is free
again when the last of them is gone.  What is free can be had in blocks of any size.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["DEVICES", "SIZE", "Block", "CUDARuntimeError", "MemoryPool", "OutOfMemoryError",
           "current", "memory_pool", "using_allocator"]  # fmt: skip

DEVICES = 2
SIZE = 2**34  # bytes of each
UNIT = 512


class Current(threading.local):
    """What is current, of each thread its own.

    Attributes
    ----------
    device, before
        The device, and those before it in `with` statements.
    streams : list
        The stream, and those before it; none of these is the default stream.
    allocate : callable
        Gives memory of a size.
    """

    def __init__(self) -> None:
        self.device = 0
        self.before: list[int] = []
        self.streams: list[Any] = []
        self.allocate: Callable[[int], Any] = Block

    @property
    def capture(self) -> Any:
        """The operations of the stream so far, if it is captured."""
        return self.streams[-1].capture if self.streams else None


class CUDARuntimeError(RuntimeError):
    """CUDA refuses."""


class OutOfMemoryError(MemoryError):
    """A device has no block of this size."""

    def __init__(self, size: int, total: int, limit: int = 0) -> None:
        limited = f", limit set to: {limit:,} bytes" if limit else ""
        super().__init__(
            f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes{limited})."
        )


CUDARuntimeError.__module__ = "cupy_backends.cuda.api.runtime"
OutOfMemoryError.__module__ = "cupy.cuda.memory"


class MemoryPool:
    """The memory of all devices; the methods are about that of the current one."""

    used = [0] * DEVICES
    limits = [0] * DEVICES  # 0: all of it

    def used_bytes(self) -> int:
        return self.used[current.device]

    def set_limit(self, size: int) -> None:
        self.limits[current.device] = size

    def malloc(self, size: int) -> "Block":
        return Block(size)


class Block:
    """Memory of the current device, which is used as long as something refers to this object."""

    def __init__(self, size: int) -> None:
        self._device, self._size = current.device, 0
        size = -(-size // UNIT) * UNIT
        used, limit = memory_pool.used[self._device], memory_pool.limits[self._device]
        if used + size > (limit or SIZE):
            raise OutOfMemoryError(size, used, limit)
        self._size = size
        memory_pool.used[self._device] += size

    ptr = property(id)

    def __del__(self) -> None:
        memory_pool.used[self._device] -= self._size


memory_pool = MemoryPool()
current = Current()


@contextmanager
def using_allocator(allocate: Callable[[int], Any]) -> Iterator[None]:
    """Take the memory of arrays from somewhere else, in this thread."""
    before, current.allocate = current.allocate, allocate
    try:
        yield
    finally:
        current.allocate = before
