"""Standard output and error where they are closed, full, or a pipe without a reader.

What a command found out goes to standard output, and a fault there is told.  What is said on
standard error is said beside the work: a fault there changes nothing.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

TYPE_CHECKING = False  # `typing` takes long to import, and Ctrl-C is not answered yet
if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["CLOSED_PIPE", "finish", "guarded_streams", "tell"]

CLOSED_PIPE = 128 + 13
"""The exit code where the reader of a pipe went away, as `| head` does: 128 + SIGPIPE's number."""


@contextmanager
def guarded_streams() -> Iterator[None]:
    """Give a context in which standard output names itself in its errors, and error has none.

    Streams that the shell closed (`>&-`) are open there, to nowhere: the next file that is opened
    would get the number of one of them, and whatever is printed.
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


def finish(code: int, error: str) -> int:
    """Write out what is left of a command, tell its error, and return the code to end with.

    A stream that cannot be written is given up, or Python would complain of it when it ends.
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
    """Standard output, whose errors say that it is that."""

    def __init__(self, stream: "TextIO") -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write text, as any stream does."""
        with self._guarded():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Write out what is left."""
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
    """Standard error, which is given up where it cannot be written."""

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
