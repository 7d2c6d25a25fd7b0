"""What a check of a backend is: a function that raises, its name, and the grade that it is for."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from pluggable_mlp.backends import Backend


class Grade(IntEnum):
    """What a backend is good for; each grade includes those below it."""

    NONE = 0
    RUNS = 1
    AGREES = 2
    SAME_BITS = 3

    def __str__(self) -> str:
        return _WORDS[self]


_WORDS = ("does not run", "runs", "agrees within bounds", "same bits as the recordings")


class Fault(AssertionError):  # noqa: N818 (it is the backend's)
    """A backend does something else than its contract says."""


class NotOffered(Exception):  # noqa: N818 (it is no error)
    """A backend leaves out an optional ability, which a check is about."""


@dataclass(frozen=True)
class Check:
    """A check of a backend.

    Attributes
    ----------
    name : str
    grade : Grade
        The lowest grade that asks for it.
    function : callable Backend -> None
        It raises `Fault`, or whatever the backend raises, if the check fails, and `NotOffered` if
        it is about an ability that the backend leaves out.
    """

    name: str
    grade: Grade
    function: Callable[[Backend], None]

    def __call__(self, backend: Backend) -> None:
        """Check a backend."""
        self.function(backend)

    @property
    def summary(self) -> str:
        """What is checked, in a line."""
        return (self.function.__doc__ or "").partition("\n")[0]


CHECKS: dict[str, Check] = {}
"""All checks by their names, in the order in which they are made."""


def check(grade: Grade) -> Callable[[Callable[[Backend], None]], Callable[[Backend], None]]:
    """Return a decorator that adds a function to the checks, under its own name."""

    def add(function: Callable[[Backend], None]) -> Callable[[Backend], None]:
        name = function.__name__
        CHECKS[name] = Check(name, grade, function)
        return function

    return add


def expect(condition: bool, message: str) -> None:
    """Raise `Fault` with the message unless the condition holds."""
    if not condition:
        raise Fault(message)
