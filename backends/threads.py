"""Independent tasks on the host's processors: one operation of NumPy uses one of them.

NumPy releases the interpreter's lock within an operation, so tasks run concurrently.  The BLAS
below it has threads of its own, which would compete with these: while tasks run, it has one.
What the tasks are, and that they are independent, is up to the caller.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Thread:
    """One thread that waits for work: `concurrent.futures` takes three times as long to wake it."""

    def __init__(self) -> None:
        self._work: SimpleQueue[tuple[Callable[[], None], threading.Lock]] = SimpleQueue()
        threading.Thread(target=self._serve, name="pluggable-mlp", daemon=True).start()

    def start(self, work: Callable[[], None]) -> threading.Lock:
        """Begin work that raises nothing; the lock can be acquired when it is done."""
        done = threading.Lock()
        done.acquire()
        self._work.put((work, done))
        return done

    def _serve(self) -> None:
        while True:
            work, done = self._work.get()
            work()
            del work  # with all that it refers to
            done.release()


class _Threads:
    """The threads of this process, as many as its BLAS uses, so that one setting covers both."""

    def __init__(self) -> None:
        self._forget()
        if hasattr(os, "register_at_fork"):  # not on Windows
            os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        """Start over: a forked process does not have the threads of its parent."""
        self._in_use = threading.Lock()
        self._others: list[_Thread] = []
        self._blas: ThreadpoolController | None = None

    @property
    def at_once(self) -> int:
        """How many tasks run at once: the number of BLAS threads."""
        if self._blas is None:
            self._blas = ThreadpoolController().select(user_api="blas")
        libraries = self._blas.lib_controllers  # `info` would ask for more
        return max((library.num_threads or 1 for library in libraries), default=1)

    def __call__(self, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Return [function(item) for item in items], several at once.

        If a task raises, the error is raised when all are done.  While tasks run, all other calls,
        from a task or from another thread, run one by one: the processors are busy, and the number
        of BLAS threads, a setting of the whole process, must have one owner.
        """
        if not self._in_use.acquire(blocking=False):
            return [function(item) for item in items]
        try:
            count = self.at_once
            assert self._blas is not None  # it was found in order to count
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
        results: list[Any] = [None] * len(items)
        errors: list[BaseException] = []

        def take_tasks() -> None:
            try:
                while (place := _next_of(places)) is not None:
                    results[place] = function(items[place])
            except BaseException as error:  # raised in the caller's thread
                errors.append(error)
                if not isinstance(error, Exception):  # such as Ctrl-C: begin no other task
                    places.clear()

        self._others += [_Thread() for _ in range(count - 1 - len(self._others))]
        # A context of its own for each: NumPy keeps there what is done about overflow.
        all_done = [
            other.start(partial(copy_context().run, take_tasks))
            for other in self._others[: min(count, len(items)) - 1]
        ]
        take_tasks()
        for done in all_done:
            done.acquire()
        try:
            if errors:
                raise errors[-1]
            return results
        finally:
            errors.clear()  # an error knows this frame, and so all results


def _next_of(places: deque[int]) -> int | None:
    try:
        return places.popleft()
    except IndexError:
        return None


run_all = _Threads()
