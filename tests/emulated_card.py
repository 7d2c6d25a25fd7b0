"""What is asked of the emulated card meanwhile: launches, graphs, copies, waits."""

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import pluggable_mlp.backends

__all__ = ["asked", "counting"]

_LIBRARY = tuple(
    os.path.join(os.path.dirname(package.__file__), "")
    for package in (pluggable_mlp, pluggable_mlp.backends)
)
_LAUNCHES = (
    "kernel ",
    "library ",
    "memcpyAsync HtoD",
    "memcpyAsync DtoD",
    "memset ",
    "graph launch",
)


def asked() -> Counter[str]:
    """Return the counts since the process began, by what was asked; a real card counts nothing."""
    return Counter(pytest.importorskip("cuda_on_cpu").counts())


class Counts(Counter[str]):
    """Counts of launches, waits and other things, by name; `lines` asked for the waits."""

    lines: Counter[str]

    @property
    def launches(self) -> int:
        """The kernels, calls of libraries, graphs, and copies to and on the device."""
        return sum(number for name, number in self.items() if name.startswith(_LAUNCHES))

    @property
    def waits(self) -> int:
        """How often the host waited for the device."""
        return sum(number for name, number in self.items() if name.startswith("waits "))


@contextmanager
def counting() -> Iterator[Counts]:
    """Count what is asked of the card meanwhile."""
    card, before, counts = pytest.importorskip("cuda_on_cpu"), asked(), Counts()
    counts.lines = Counter()

    def note(name: str) -> None:
        """Count a wait for the innermost line of the library that asked for it."""
        frame = sys._getframe()
        while frame.f_back and not frame.f_code.co_filename.startswith(_LIBRARY):
            frame = frame.f_back
        file = os.path.basename(frame.f_code.co_filename)
        counts.lines[f"{file}:{frame.f_lineno} {name.rpartition(' ')[2]}"] += 1

    card.tell_of_waits(note)
    try:
        yield counts
    finally:
        card.tell_of_waits(None)
        counts.update(asked() - before)
