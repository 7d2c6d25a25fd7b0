"""What a command shares with its terminal: signals, standard streams, the progress bar.

*Signals.*  Ctrl-C and SIGTERM end the process immediately if there is nothing to save, else at the
next safe place.  The signal does not raise an exception where it happens to arrive: during the
import of an array library it may be swallowed, and within JAX's compiler it causes a segmentation
fault or a hang.  Python runs signal handlers in the main thread, which such a compiler may block
for a minute; therefore a thread listens to the descriptor of `signal.set_wakeup_fd`.

*Streams.*  Results go to standard output, where a failure to write is an error.  Failures to write
to standard error are ignored.  Standard input holds data where they are named -.

This file is imported before Ctrl-C is answered: what takes long to import is imported where it is
used.
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

    from rich.progress import Progress

CLOSED_PIPE = 128 + 13
"""The exit code if the reader of the output pipe is gone, as with `| head`: 128 + SIGPIPE."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SHOW_CURSOR = b"\x1b[?25h"  # progress bars hide it
_STDERR = 2
_STOPPING = b"stopping after this step; interrupt again to end at once, without saving\n"
_unfinished: "list[Path]" = []
_silenced: "list[TextIO]" = []


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
    """Whether a signal has requested the end of this process: the exit code, or None."""

    code: int | None = None


@contextmanager
def ending_at_once() -> Iterator[None]:
    """Return a context in which a signal ends the process immediately."""
    with _handling_signals(_end):
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

    def handle(number: int) -> None:
        if request.code is not None:
            _end(number)
        request.code = 128 + number
        if not _silenced:
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
        os.close(writer)  # which ends the listener
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


@contextmanager
def guarded_streams() -> Iterator[None]:
    """Return a context in which errors of standard output name it, and standard error has none."""
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _StandardOutput(sys.stdout), _StandardError(sys.stderr)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams


def silence() -> None:
    """Print nothing from here on: another process does."""
    if not _silenced:
        null = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (until the process ends)
        _silenced.append(null)
        sys.stdout, sys.stderr = _StandardOutput(null), _StandardError(null)


def unheard(error: BaseException | None) -> str:
    """Return what Typer has said of an error in a process that prints nothing; else ""."""
    message: Callable[[], str] | None = getattr(error, "format_message", None)
    return message() if _silenced and message is not None else ""


def log(text: str) -> None:
    """Write a line to standard error."""
    print(text, file=sys.stderr, flush=True)


def goes_to_pipe() -> bool:
    """Return whether standard output is a pipe, whose reader may show it on a terminal."""
    return stat.S_ISFIFO(os.fstat(1).st_mode)


def finish(code: int, error: str) -> int:
    """Flush the output of a command, print its error, and return the exit code.

    A stream that cannot be written is replaced; otherwise Python would report it at exit.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = CLOSED_PIPE
    except OSError as fault:
        code, error = code or 2, str(fault)
        _redirect_to_null(sys.stdout)
    if code == CLOSED_PIPE:
        _redirect_to_null(sys.stdout)
    elif error:
        log(f"Error: {error}")
    return code


class _StandardOutput:
    """Standard output; its errors name it."""

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


class _StandardError(_StandardOutput):
    """Standard error; replaced by the null device if it cannot be written."""

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            _redirect_to_null(self._stream)


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


class Bar:
    """Progress bar; does nothing if standard error is not a terminal.

    Attributes
    ----------
    visible : bool
        Whether a bar is shown.
    """

    def __init__(self, progress: "Progress | None", total: int) -> None:
        self._progress = progress
        self.visible = progress is not None
        if progress is not None:
            self._task = progress.add_task("training", total=total)

    def __call__(self, count: int) -> None:
        """Show that `count` further examples were trained on."""
        if self._progress is not None:
            self._progress.advance(self._task, count)

    def show(self, words: str) -> None:
        """Show the measures of the last epoch."""
        if self._progress is not None:
            self._progress.update(self._task, description=words)


@contextmanager
def progress_bar(total: int, quiet: bool = False) -> Iterator[Bar]:
    """Show, unless quiet, how many of `total` examples were trained on."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TimeRemainingColumn
    from rich.text import Text

    class Speed(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:,.0f} examples/s" if task.speed else "")

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        # `Progress(disable=True)` of older Rich prints an empty line
        yield Bar(None, total)
        return
    columns = ("{task.description}", BarColumn(), Speed(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        yield Bar(progress, total)
