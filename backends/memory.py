"""The memory of the host: keeping freed blocks, and messages for libraries that lack them.

The backends report the memory of other devices.
"""

import os
from contextlib import suppress
from pathlib import Path

_CONTAINER = Path("/sys/fs/cgroup/memory.max")
_LINUX = Path("/proc/meminfo")


# glibc gives large blocks back to the system when they are freed, and every temporary then pays
# for fresh pages, up to a millisecond a megabyte.  It stops that for blocks of up to the largest
# that it has seen freed, at most 32 MiB (mallopt(3), "dynamic mmap threshold").
_LARGEST_KEPT = 2**25 - 2**17


def keep_freed_blocks() -> None:
    """Make the C library keep freed memory for the next array, if it is glibc."""
    import numpy as np  # here: importing the backends imports no array library

    np.empty(_LARGEST_KEPT, dtype=np.uint8)  # freed at once, its pages never touched


def host_memory() -> int | None:
    """Return how many bytes this machine or container has, or None if unknown."""
    limits = []
    with suppress(AttributeError, ValueError, OSError):  # systems without sysconf, or these names
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with suppress(OSError, ValueError):  # "max" if there is no limit
        limits.append(int(_CONTAINER.read_text()))
    return min(limits, default=None)


def refuse_beyond_memory(subject: str, size: int) -> None:
    """Raise if `size` bytes are more than the host has; the system might just kill the process.

    Raises
    ------
    MemoryError
        The message says what needs how much.
    """
    total = host_memory()
    if total is not None and size > total:
        raise MemoryError(f"{subject} takes {in_words(size)}, more than this machine has")


def with_free_memory(message: object) -> str:
    """Return the message, extended by the free memory of the host if it is known."""
    total = host_memory()
    with suppress(OSError, StopIteration):
        lines = _LINUX.read_text().splitlines()
        free = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
        if total is not None:
            return f"{message}; {in_words(free * 1024)} of {in_words(total)} on the host are free"
    return str(message)


def in_words(size: float) -> str:
    """Return a number of bytes as text, such as "74.5 GiB"."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            break
        size /= 1024
    return f"{size:,.1f} {unit}"
