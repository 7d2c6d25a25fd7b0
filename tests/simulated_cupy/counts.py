"""The count of what is asked of the simulated devices."""

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pluggable_mlp.backends
from tests.simulated_cupy.memory import CUDARuntimeError, current

__all__ = ["Counts", "counting", "launch", "pin", "refuse", "wait"]

LIBRARY = tuple(
    os.path.join(os.path.dirname(package.__file__), "")
    for package in (pluggable_mlp, pluggable_mlp.backends)
)


@dataclass
class Counts:
    """Launches (kernels, copies to the device) by name; waits by the line that asked for them.

    And the bytes of pinned memory through which host data went, and how often an array was of
    another device than the current one.
    """

    launches: Counter[str] = field(default_factory=Counter)
    waits: Counter[str] = field(default_factory=Counter)
    pinned: int = 0
    refused: int = 0


_counts = [Counts()]


@contextmanager
def counting() -> Iterator[Counts]:
    """Count what is asked of the device meanwhile."""
    _counts.append(Counts())
    try:
        yield _counts[-1]
    finally:
        _counts.pop()


def launch(name: str, times: int = 1) -> None:
    if not getattr(sys.modules.get("cupy"), "is_simulated", False):
        raise RuntimeError("the simulated CuPy is not in place: mark the test simulated_cupy")
    _counts[-1].launches[name] += times


def pin(size: int) -> None:
    """Count pinned memory, whose blocks are powers of two (`pinned_memory.pyx`)."""
    _counts[-1].pinned += 1 << max(size - 1, 0).bit_length()


def refuse() -> None:
    """Count an array of another device than the current one."""
    _counts[-1].refused += 1


def wait(name: str) -> None:
    """Count a wait for the innermost line of the library that asked for it.

    Whoever waits for a stream that is captured spoils the capture.
    """
    if current.capture is not None:
        current.capture.is_spoiled = True
        raise CUDARuntimeError(
            "cudaErrorStreamCaptureUnsupported: operation not permitted when stream is capturing"
        )
    frame = sys._getframe(1)
    while frame.f_back and not frame.f_code.co_filename.startswith(LIBRARY):
        frame = frame.f_back
    file = os.path.basename(frame.f_code.co_filename)
    _counts[-1].waits[f"{file}:{frame.f_lineno} {name}"] += 1
