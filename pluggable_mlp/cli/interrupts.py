"""Ctrl-C and SIGTERM: exit immediately if there is nothing to save, else at the next safe place.

The signal does not raise an exception where it happens to arrive: during the import of an array
library it may be swallowed, and within JAX's compiler it causes a segmentation fault or a hang.
Python runs signal handlers in the main thread, which such a compiler may block for a minute;
therefore a thread listens to the descriptor of `signal.set_wakeup_fd`.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Interrupted", "StopRequest", "ending_at_once", "ending_when_asked", "removed_at_end"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SHOW_CURSOR = b"\x1b[?25h"  # progress bars hide it
_STDERR = 2
_unfinished: "list[Path]" = []


class Interrupted(Exception):  # noqa: N818 (a request, not a failure)
    """A signal requested the end, and this is a safe place.

    Attributes
    ----------
    code : int
        The exit code: 128 + the number of the signal, as in shells.
    """

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class StopRequest:
    """Whether a signal has requested the end of this process.

    Attributes
    ----------
    code : int or None
        The exit code; None if there was no signal.
    """

    def __init__(self) -> None:
        self.code: int | None = None

    def raise_if_made(self) -> None:
        """Raise `Interrupted` if there was a signal; to be called where work can be interrupted."""
        if self.code is not None:
            raise Interrupted(self.code)


@contextmanager
def ending_at_once() -> Iterator[None]:
    """Return a context in which a signal ends the process immediately."""
    with _heard_by(_end):
        yield


@contextmanager
def removed_at_end(path: "Path") -> Iterator[None]:
    """Return a context in which a file or folder is removed where a signal ends the process."""
    _unfinished.append(path)
    try:
        yield
    finally:
        _unfinished.remove(path)


@contextmanager
def ending_when_asked() -> Iterator[StopRequest]:
    """Return a context in which the first signal is a request, and the second ends the process."""
    request = StopRequest()

    def hear(number: int) -> None:
        if request.code is not None:
            _end(number)
        request.code = 128 + number
        _say("stopping after this step; interrupt again to end at once, without saving\n")

    with _heard_by(hear):
        yield request


@contextmanager
def _heard_by(hear: Callable[[int], None]) -> Iterator[None]:
    """Return a context in which `hear(number)` is called, in another thread, for each signal."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    # A background job ignores Ctrl-C and continues.
    heard = [number for number in _SIGNALS if before[number] is not signal.SIG_IGN]
    reader, writer = os.pipe()
    if hasattr(os, "set_blocking"):  # Windows has it from Python 3.12 on, and does without
        os.set_blocking(writer, False)
    outer = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in heard:
        signal.signal(number, lambda *_: None)

    import threading  # slow, so only when signals are already caught; they wait in the pipe

    listener = threading.Thread(target=_listen, args=(reader, heard, hear), daemon=True)
    listener.start()
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, before[number])
        signal.set_wakeup_fd(outer)
        os.close(writer)  # which ends the listener
        listener.join()
        os.close(reader)


def _listen(reader: int, heard: list[signal.Signals], hear: Callable[[int], None]) -> None:
    """Call `hear` for every byte, the number of a signal, until the other end is closed."""
    while number := os.read(reader, 1):
        if number[0] in heard:
            hear(number[0])


def _end(number: int) -> None:
    if _unfinished:
        from pluggable_mlp.folders import remove  # imported before: a run is open

        for path in _unfinished:
            with suppress(OSError):
                remove(path)
    if os.isatty(_STDERR):
        os.write(_STDERR, _SHOW_CURSOR)
    os._exit(128 + number)


def _say(text: str) -> None:
    """Write to standard error without its lock, which the main thread may hold."""
    with suppress(OSError):
        os.write(_STDERR, text.encode())
