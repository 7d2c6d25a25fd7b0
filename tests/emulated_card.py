"""What is asked of the emulated card (ci/cupy_on_cpu) meanwhile: launches and waits."""

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

import pluggable_mlp.backends

__all__ = ["Counts", "counting"]

LIBRARY = tuple(
    os.path.join(os.path.dirname(package.__file__), "")
    for package in (pluggable_mlp, pluggable_mlp.backends)
)
LAUNCHES = (
    "kernel ",
    "library ",
    "memcpyAsync HtoD",
    "memcpyAsync DtoD",
    "memset ",
    "graph launch",
)


@dataclass
class Counts:
    """Launches (kernels, calls of libraries, graphs, copies to the device) by name.

    And waits by the line that asked for them.
    """

    launches: Counter[str] = field(default_factory=Counter)
    waits: Counter[str] = field(default_factory=Counter)


@contextmanager
def counting() -> Iterator[Counts]:
    """Count what is asked of the card meanwhile; not within a `counting()`."""
    card, counts = pytest.importorskip("cuda_on_cpu"), Counts()

    def note(name: str) -> None:
        """Count a wait for the innermost line of the library that asked for it."""
        frame = sys._getframe()
        while frame.f_back and not frame.f_code.co_filename.startswith(LIBRARY):
            frame = frame.f_back
        file = os.path.basename(frame.f_code.co_filename)
        counts.waits[f"{file}:{frame.f_lineno} {name.rpartition(' ')[2]}"] += 1

    before = Counter(card.counts())
    card.tell_of_waits(note)
    try:
        yield counts
    finally:
        card.tell_of_waits(None)
        for name, count in (Counter(card.counts()) - before).items():
            if name.startswith(LAUNCHES):
                counts.launches[name] += count
