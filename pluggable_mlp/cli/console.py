"""The command line's use of a terminal: signals, standard streams, the progress bar.

*Signals.*  Ctrl-C and SIGTERM end the process immediately if there is nothing to save, else at the
next safe place.  The signal does not raise an exception where it happens to arrive, because during
the import of an array library it may be swallowed, and within JAX's compiler it causes a
segmentation fault or a hang.  Python runs signal handlers in the main thread, which such a compiler
may block for a minute; therefore a thread listens to the descriptor of `signal.set_wakeup_fd`.

*Streams.*  Results go to standard output, where a failure to write is an error.  Failures to write
to standard error are ignored.  Data named - are read from standard input.

This file is imported before Ctrl-C is handled, so modules that are slow to import are imported
where they are used.
"""

import os
import signal
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import TextIO

CLOSED_PIPE = 128 + 13
"""The exit code if the reader of the output pipe is gone, as with `| head`: 128 + SIGPIPE."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SHOW_CURSOR = b"\x1b[?25h"  # progress bars hide it
_STDERR = 2
_STOPPING = b"stopping after this step; interrupt again to end at once, without saving\n"
_unfinished: "list[Path]" = []


class Interrupted(Exception):  # noqa: N818 (a request, not a failure)
    """Raised at a safe place if a signal has requested the end.

    Attributes
    ----------
    code : int
        The exit code: 128 + the number of the signal, as in shells.
    """

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class StopRequest:
    """Whether a signal has requested the end of this process: the exit code, or None."""

    code: int | None = None


@contextmanager
def ending_at_once() -> Iterator[None]:
    """Return a context in which a signal ends the process immediately."""
    with _handling_signals(_end):
        yield


@contextmanager
def removed_at_end(path: "Path") -> Iterator[None]:
    """Return a context in which a file or folder is removed if a signal ends the process."""
    _unfinished.append(path)
    try:
        yield
    finally:
        _unfinished.remove(path)


@contextmanager
def ending_when_asked(is_heard: bool = True) -> Iterator[StopRequest]:
    """Return a context in which the first signal is a request, and the second ends the process."""
    request = StopRequest()

    def handle(number: int) -> None:
        if request.code is not None:
            _end(number)
        request.code = 128 + number
        if is_heard:
            with suppress(OSError):  # without the stream's lock, which the main thread may hold
                os.write(_STDERR, _STOPPING)

    with _handling_signals(handle):
        yield request


@contextmanager
def _handling_signals(handle: Callable[[int], None]) -> Iterator[None]:
    """Return a context in which another thread calls `handle(number)` for each signal."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    # A background job ignores Ctrl-C and continues.
    handled = [number for number in _SIGNALS if before[number] is not signal.SIG_IGN]
    reader, writer = os.pipe()
    if hasattr(os, "set_blocking"):  # Windows has it from Python 3.12 on, and does without
        os.set_blocking(writer, False)
    outer = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in handled:
        signal.signal(number, lambda *_: None)

    import threading  # slow, so only when signals are already caught; they wait in the pipe

    listener = threading.Thread(target=_listen, args=(reader, handled, handle), daemon=True)
    listener.start()
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, before[number])
        signal.set_wakeup_fd(outer)
        os.close(writer)  # this ends the listener
        listener.join()
        os.close(reader)


def _listen(reader: int, handled: list[signal.Signals], handle: Callable[[int], None]) -> None:
    """Call `handle` for every byte, the number of a signal, until the other end is closed."""
    while number := os.read(reader, 1):
        if number[0] in handled:
            handle(number[0])


def _end(number: int) -> None:
    if _unfinished:
        from pluggable_mlp.files import remove  # imported before: a run is open

        for path in _unfinished:
            with suppress(OSError):
                remove(path)
    if os.isatty(_STDERR):
        os.write(_STDERR, _SHOW_CURSOR)
    os._exit(128 + number)


def silence() -> None:
    """Print nothing from here on, because another process does."""
    sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (to the end)


def log(text: str) -> None:
    """Write a line to standard error, if that is possible."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        _redirect_to_null(sys.stderr)


def goes_to_pipe() -> bool:
    """Return whether standard output is a pipe, whose reader may show it on a terminal."""
    return stat.S_ISFIFO(os.fstat(1).st_mode)


def finish(code: int, error: str) -> int:
    """Print the error of a command, and return its exit code.

    A stream that cannot be written is replaced; otherwise Python would report it at exit.
    """
    if error:
        log(f"Error: {error}")
    try:
        sys.stdout.flush()
    except OSError:
        _redirect_to_null(sys.stdout)
    return code


class StandardOutput:
    """Standard output; its errors name it."""

    def __init__(self) -> None:
        self._stream = sys.stdout

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write text."""
        self._named(self._stream.write, text)
        return len(text)

    def flush(self) -> None:
        """Flush the stream."""
        self._named(self._stream.flush)

    def _named(self, action: Callable[..., object], *arguments: str) -> None:
        try:
            action(*arguments)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OSError(f"standard output cannot be written: {error.strerror}") from None


def _redirect_to_null(stream: "TextIO") -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


@contextmanager
def saved_input(name: str | None, suffix: str) -> Iterator[str | None]:
    """Yield the name of data; for -, that of a temporary file with standard input."""
    if name != "-":
        yield name
        return
    import tempfile
    from pathlib import Path
    from shutil import copyfileobj

    prefix = "pluggable-mlp-"
    with tempfile.TemporaryDirectory(prefix=prefix) as folder, removed_at_end(Path(folder)):
        path = Path(folder, f"standard input{suffix}")
        with path.open("wb") as file:
            copyfileobj(sys.stdin.buffer, file)
        yield str(path)


@contextmanager
def progress_bar(total: int, is_wanted: bool = True) -> Iterator[Callable[..., None]]:
    """Show a bar of the examples trained on, if wanted, on a terminal; yield what updates it.

    It takes `advance`, a count of examples, and `description`, the text before the bar.
    """
    from functools import partial

    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if not (is_wanted and console.is_terminal):
        yield lambda **_: None  # `Progress(disable=True)` of older Rich prints an empty line
        return
    with Progress(console=console, transient=True) as progress:
        yield partial(progress.update, progress.add_task("training", total=total))
