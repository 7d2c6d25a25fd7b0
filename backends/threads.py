"""Independent pieces of work on the host's processors: one operation of NumPy uses one of them.

NumPy releases the interpreter's lock within an operation, so pieces do run at once.  The BLAS
below it has threads of its own, which would compete with these: while pieces run, it has one.
What the pieces are, and that they are independent, is the business of whoever asks.
"""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

__all__ = ["run_all"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Threads:
    """The threads of this process: as many as its BLAS has, so one setting decides for both."""

    def __init__(self) -> None:
        self._forget()
        if hasattr(os, "register_at_fork"):  # where there is no fork, nothing is to be forgotten
            os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        """Begin anew: a forked process has none of its parent's threads."""
        self._in_use = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._blas: ThreadpoolController | None = None

    def run_all(self, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Return [function(item) for item in items], several at once.

        What one of them raises is raised when all are done.  While pieces run, all other calls,
        from one of them or from another thread, are the plain loop: the processors have their
        work, and the number of BLAS threads, one for the whole process, has one owner.
        """
        if not self._in_use.acquire(blocking=False):
            return [function(item) for item in items]
        try:
            if self._blas is None:
                self._blas = ThreadpoolController().select(user_api="blas")
            count = max((library["num_threads"] for library in self._blas.info()), default=1)
            with self._blas.limit(limits=1, user_api="blas"):
                if count < 2 or len(items) < 2:
                    return [function(item) for item in items]
                return self._at_once(function, items, count)
        finally:
            self._in_use.release()

    def _at_once(
        self, function: Callable[[Item], Result], items: Sequence[Item], count: int
    ) -> list[Result]:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(count - 1, "pluggable-mlp")
        shares = [items[first::count] for first in range(min(count, len(items)))]

        def run(share: Sequence[Item]) -> list[Result]:
            return [function(item) for item in share]

        # A context of its own for each: NumPy keeps there what is done about overflow.
        futures = [self._pool.submit(copy_context().run, run, share) for share in shares[1:]]
        try:
            own = run(shares[0])
        finally:
            wait(futures)
        results: list[Any] = [None] * len(items)
        for first, share in enumerate([own, *(future.result() for future in futures)]):
            results[first::count] = share
        return results


run_all = _Threads().run_all
