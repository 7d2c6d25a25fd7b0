"""The host: tasks on its processors, and its memory.

NumPy releases the interpreter's lock within an operation, which uses only one processor, so tasks
run concurrently.  The BLAS below it has threads of its own, which would compete with these, so it
has one while tasks run.  The caller chooses the tasks and ensures that they are independent.

Freed blocks of memory are kept, and messages name the memory for libraries that do not.  The
backends report the memory of other devices.
"""

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from contextvars import copy_context
from functools import cached_property
from pathlib import Path
from typing import Any

from pluggable_mlp.arrays.executor import Item, Result


class Threads:
    """The threads of this process, as many as its BLAS uses, so that one setting covers both."""

    def __init__(self) -> None:
        from threadpoolctl import ThreadpoolController  # here: only NumPy's backend needs it

        self._controller = ThreadpoolController
        self._forget()
        if hasattr(os, "register_at_fork"):  # not on Windows
            os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        """Start over: a forked process does not have the threads of its parent."""
        self._in_use = threading.Lock()
        self._others = ThreadPoolExecutor(os.cpu_count(), "pluggable-mlp")
        vars(self).pop("_blas", None)

    @cached_property
    def _blas(self) -> Any:
        return self._controller().select(user_api="blas")

    @property
    def at_once(self) -> int:
        """How many tasks run at once: the number of BLAS threads."""
        libraries = self._blas.lib_controllers  # `info` would ask for more
        if not libraries and sys.platform == "darwin":  # Accelerate, unknown to threadpoolctl
            count = os.environ.get("VECLIB_MAXIMUM_THREADS", "")
            return int(count) if count.isdecimal() else os.cpu_count() or 1
        return max((library.num_threads or 1 for library in libraries), default=1)

    def __call__(self, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Return [function(item) for item in items], several at once.

        If a task raises, no other begins, and the error is raised when running ones are done.
        While tasks run, all other calls, from a task or from another thread, run one by one: the
        processors are busy, and the number of BLAS threads, a setting of the whole process, must
        have one owner.
        """
        if not self._in_use.acquire(blocking=False):
            return [function(item) for item in items]
        try:
            count = self.at_once
            with self._blas.limit(limits=1, user_api="blas"):
                if count < 2 or len(items) < 2:
                    return [function(item) for item in items]
                return self._at_once(function, items, count)
        finally:
            self._in_use.release()

    def _at_once(
        self, function: Callable[[Item], Result], items: Sequence[Item], count: int
    ) -> list[Result]:
        places = deque(range(len(items)))  # a free thread takes the next
        results: dict[int, Result] = {}

        def take_tasks() -> None:
            try:
                while (place := _next_of(places)) is not None:
                    results[place] = function(items[place])
            except BaseException:
                places.clear()
                raise

        # Each has its own context, in which NumPy keeps its error settings.
        others: list[Future[None]] = []
        with suppress(RuntimeError):  # the main thread has ended: then this one takes all tasks
            others.extend(
                self._others.submit(copy_context().run, take_tasks)
                for _ in range(min(count, len(items)) - 1)
            )
        try:
            take_tasks()
            [*map(Future.result, others)]
            return [results[place] for place in range(len(items))]
        finally:
            wait(others)
            others.clear()  # their errors refer to this frame, and so to all results


def _next_of(places: deque[int]) -> int | None:
    try:
        return places.popleft()
    except IndexError:
        return None


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
    with suppress(OSError, ValueError):  # "max" means no limit
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
    message, total = str(message) or "an allocation failed", host_memory()
    with suppress(OSError, StopIteration):
        lines = _LINUX.read_text().splitlines()
        free = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
        if total is not None:
            return f"{message}; {in_words(free * 1024)} of {in_words(total)} on the host are free"
    return message


def in_words(size: float) -> str:
    """Return a number of bytes as text, such as "74.5 GiB"."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            break
        size /= 1024
    return f"{size:,.1f} {unit}"
