"""Ctrl-C: ends the process at once where there is nothing to save, else raises KeyboardInterrupt.

Raised within the import of an array library, the exception may be swallowed, or crash it.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["INTERRUPTED", "ending_at_once", "raising"]

INTERRUPTED = 128 + 2
"""The exit code of what Ctrl-C ended: 128 + the number of its signal, as shells have it."""


def ending_at_once() -> Any:
    """Return a context in which Ctrl-C ends the process with `INTERRUPTED`."""
    return _handled_by(lambda *_: os._exit(INTERRUPTED))


def raising() -> Any:
    """Return a context in which Ctrl-C raises KeyboardInterrupt, so that work can be saved."""
    return _handled_by(signal.default_int_handler)


@contextmanager
def _handled_by(handler: Callable[..., Any]) -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:  # as for a job in the background: it is to go on
        yield
        return
    signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
