"""What is asked of the emulated card meanwhile: launches, graphs, copies, waits."""

import ctypes
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

__all__ = ["asked", "counting"]

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
    try:
        counts = ctypes.CDLL("libcuda.so.1").cuda_on_cpu_counts
    except (AttributeError, OSError):
        pytest.skip("only the emulated card counts")
    counts.restype = ctypes.c_char_p
    found: Counter[str] = Counter()
    for line in counts().decode().splitlines():
        number, _, name = line.partition(" ")
        found[name] = int(number)
    return found


class Counts(Counter[str]):
    """Counts of launches, waits and other things, by name."""

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
    before, counts = asked(), Counts()
    yield counts
    counts.update(asked() - before)
