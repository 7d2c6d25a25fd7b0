"""Processes of one training as threads: a `Communicator` without MPI."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, BrokenBarrierError
from typing import Any

import numpy as np


class Member:
    """One of several communicating threads; adds up in the order of ranks, from the last one on."""

    def __init__(self, rank: int, size: int, barrier: Barrier, values: list[Any]) -> None:
        self.rank, self.size = rank, size
        self._barrier, self._given = barrier, values
        self.exchanges = self.reductions = 0

    def all_reduce(self, x: Any, operation: str, *, backend: Any) -> Any:
        """Return the sum or the maximum of all."""
        self.reductions += 1
        arrays = np.stack(self.all_gather(np.asarray(backend.to_numpy(x)))[::-1])
        total = arrays.max(axis=0) if operation == "max" else arrays.sum(axis=0, dtype=arrays.dtype)
        return backend.asarray(total)

    def all_gather(self, value: Any) -> list[Any]:
        """Return the values of all."""
        self.exchanges += 1
        self._given[self.rank] = value
        self._barrier.wait()
        values = list(self._given)
        self._barrier.wait()
        return values


def on_threads(size: int, function: Callable[[Member], Any]) -> list[Any]:
    """Return function(communicator) of each of so many threads; the first error ends all."""
    barrier = Barrier(size, timeout=300)
    values: list[Any] = [None] * size

    def run(rank: int) -> Any:
        try:
            return function(Member(rank, size, barrier, values))
        except BaseException:
            barrier.abort()
            raise

    with ThreadPoolExecutor(size) as pool:
        futures = [pool.submit(run, rank) for rank in range(size)]
    errors = [future.exception() for future in futures]
    for error in sorted(filter(None, errors), key=lambda e: isinstance(e, BrokenBarrierError)):
        raise error
    return [future.result() for future in futures]
