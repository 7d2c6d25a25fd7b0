"""Independent pieces of one operation, and who runs them.

An operation on large arrays may be cut into pieces that know nothing of each other, so that their
temporaries stay in a cache, and so that a backend may run several at once.  Which operations are
cut, and where, is their own business.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

__all__ = ["RunAll", "one_by_one"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class RunAll(Protocol):
    """Whoever runs pieces of work that do not depend on each other, in any order or at once."""

    def __call__(self, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Return [function(item) for item in items]."""


def one_by_one(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Return [function(item) for item in items]."""
    return [function(item) for item in items]
