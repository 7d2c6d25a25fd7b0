"""Standard output and error that are closed, full, or a pipe without a reader.

Results go to standard output, where a failure to write is an error.  Failures to write to standard
error are ignored.
"""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager

TYPE_CHECKING = False  # `typing` takes long to import, and Ctrl-C is not answered yet
if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["CLOSED_PIPE", "counted", "finish", "goes_to_pipe", "guarded_streams", "tell"]

CLOSED_PIPE = 128 + 13
"""The exit code if the reader of the output pipe is gone, as with `| head`: 128 + SIGPIPE."""


@contextmanager
def guarded_streams() -> Iterator[None]:
    """Return a context in which errors of standard output name it, and standard error has none.

    Streams that the shell closed (`>&-`) are opened to the null device: otherwise the next file
    that is opened would get their descriptor, and everything that is printed.
    """
    _open_closed()
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _Output(sys.stdout), _Beside(sys.stderr)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams


def tell(text: str) -> None:
    """Write a line to standard error."""
    print(text, file=sys.stderr, flush=True)


def goes_to_pipe() -> bool:
    """Return whether standard output is a pipe, whose reader may show it on a terminal."""
    return stat.S_ISFIFO(os.fstat(1).st_mode)


def counted(count: int, word: str) -> str:
    """Return "1 epoch" or "2 epochs"."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def finish(code: int, error: str) -> int:
    """Flush the output of a command, print its error, and return the exit code.

    A stream that cannot be written is replaced; otherwise Python would complain at exit.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = CLOSED_PIPE
    except OSError as fault:
        code, error = code or 2, str(fault)
        _give_up(sys.stdout)
    if code == CLOSED_PIPE:
        _give_up(sys.stdout)
    elif error:
        tell(f"Error: {error}")
    return code


class _Output:
    """Standard output, whose errors say so."""

    def __init__(self, stream: "TextIO") -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write text."""
        with self._guarded():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush the stream."""
        with self._guarded():
            self._stream.flush()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OSError(f"standard output cannot be written: {error.strerror}") from None


class _Beside(_Output):
    """Standard error, which is replaced if it cannot be written."""

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            _give_up(self._stream)


def _open_closed() -> None:
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is its own
            setattr(sys, name, os.fdopen(nowhere, mode, encoding="utf-8", closefd=False))


def _give_up(stream: "TextIO") -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
