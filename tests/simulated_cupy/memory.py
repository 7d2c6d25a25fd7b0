"""The memory of the simulated CuPy's devices, as its pool gives it out (`cuda/memory.pyx`).

Blocks are of whole multiples of 512 bytes.  One belongs to an array and to its views, and is free
again when the last of them is gone.  What is free can be had in blocks of any size.
"""

import threading

__all__ = ["DEVICES", "SIZE", "Block", "OutOfMemoryError", "current", "memory_pool"]

DEVICES = 2
SIZE = 2**34  # bytes of each
UNIT = 512


class Current(threading.local):
    """The current device, of each thread its own, and those before it in `with` statements."""

    def __init__(self) -> None:
        self.device = 0
        self.before: list[int] = []


current = Current()


class OutOfMemoryError(MemoryError):
    """A device has no block of this size."""

    def __init__(self, size: int, total: int, limit: int = 0) -> None:
        limited = f", limit set to: {limit:,} bytes" if limit else ""
        super().__init__(
            f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes{limited})."
        )


OutOfMemoryError.__module__ = "cupy.cuda.memory"


class MemoryPool:
    """The memory of all devices; the methods are about that of the current one."""

    def __init__(self) -> None:
        self.used = [0] * DEVICES
        self.limits = [0] * DEVICES  # 0: all of it

    def used_bytes(self) -> int:
        return self.used[current.device]

    def set_limit(self, size: int) -> None:
        self.limits[current.device] = size


memory_pool = MemoryPool()


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

    def __del__(self) -> None:
        memory_pool.used[self._device] -= self._size
