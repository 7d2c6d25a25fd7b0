"""Independent tasks of one operation, and what runs them.

An operation on large arrays may be cut into independent tasks, so that their temporaries stay in a
cache, and so that a backend may run several at once.  Where operations are cut belongs in their
own modules.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

__all__ = ["RunAll", "one_by_one"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class RunAll(Protocol):
    """Runs tasks that do not depend on each other, in any order or at once."""

    def __call__(self, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Return [function(item) for item in items]."""


def one_by_one(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Return [function(item) for item in items]."""
    return [function(item) for item in items]
