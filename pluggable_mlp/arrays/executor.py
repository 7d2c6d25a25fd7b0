"""Execution of independent tasks.

An operation on large arrays can be divided into independent tasks, so that their temporaries stay
in a cache, and so that a backend can run several at once.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class RunAll(Protocol):
    """Runs independent tasks, in any order or concurrently.

    It may have an attribute `at_once`, the number of tasks that it runs at once.
    """

    def __call__(self, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Return [function(item) for item in items]."""


def at_once(run_all: RunAll) -> int:
    """Return how many tasks it runs at once, 1 if it does not say."""
    return getattr(run_all, "at_once", 1)


def one_by_one(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Return [function(item) for item in items]."""
    return [*map(function, items)]
