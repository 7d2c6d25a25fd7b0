"""The command line's use of a terminal: signals, standard streams, errors, the progress bar.

*Signals.*  Ctrl-C and SIGTERM end the process immediately if there is nothing to save, else at the
next safe place.  The signal does not raise an exception where it happens to arrive, because during
the import of an array library it may be swallowed, and within JAX's compiler it causes a
segmentation fault or a hang.  Python runs signal handlers in the main thread, which such a compiler
may block for a minute; therefore a thread listens to the descriptor of `signal.set_wakeup_fd`.

*Streams.*  Results go to standard output, where a failure to write is an error.  Failures to write
to standard error are ignored.  Characters that the encoding of the output lacks are escaped, except
in predictions, which are UTF-8 as in a file.  Data named - are read from standard input.

This file is imported before Ctrl-C is handled, so modules that are slow to import are imported
where they are used.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

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
def remove_at_end(path: "Path") -> Iterator[None]:
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
            end(number)
        request.code = 128 + number
        if is_heard:
            with suppress(OSError):  # without the stream's lock, which the main thread may hold
                os.write(_STDERR, _STOPPING)

    with handling_signals(handle):
        yield request


@contextmanager
def handling_signals(handle: Callable[[int], None]) -> Iterator[None]:
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


def end(number: int) -> None:
    """End the process immediately, with the exit code of a signal."""
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


@contextmanager
def naming(output: str) -> Iterator[None]:
    """Name the output that cannot be written in an OSError; a closed pipe is left as it is."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OSError(f"{output} cannot be written: {error.strerror}") from None


def prepare_output() -> None:
    """Escape what the encoding of standard output lacks, and have its errors name it."""
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    binary = sys.stdout.buffer  # predictions are written there, in UTF-8
    for method in ("write", "flush"):
        setattr(binary, method, naming("standard output")(getattr(binary, method)))


def log(text: str) -> None:
    """Write a line to standard error, if that is possible."""
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def describe_error(error: Exception) -> tuple[int, str]:
    """Return the exit code and the message of an error.

    2 for a wrong argument or input, a missing extra, or training that diverged; 3 for a backend
    that is not available, cannot keep to an arithmetic, is out of memory, or fails in an unforeseen
    way.
    """
    from pathlib import Path
    from traceback import extract_tb

    from pluggable_mlp.backends import BackendUnavailable, out_of_memory
    from pluggable_mlp.namespaces.reproducible.exactness import ArithmeticUnavailable
    from pluggable_mlp.training.divergence import DivergenceError

    if isinstance(error, Interrupted | BrokenPipeError):
        return getattr(error, "code", CLOSED_PIPE), ""
    if hasattr(error, "format_message"):  # Typer's, of a command's arguments
        return 2, _usage(error)
    if isinstance(error, BackendUnavailable | ArithmeticUnavailable):
        return 3, str(error)
    if exhausted := out_of_memory(error):
        advice = "--micro-batch, narrower --hidden or --dtype float32 need less"
        return 3, f"out of memory: {exhausted}; {advice}"
    if isinstance(error, ValueError | TypeError | OSError | ImportError | DivergenceError):
        return 2, str(error)
    frame = extract_tb(error.__traceback__)[-1]
    place = f"{Path(frame.filename).name}, line {frame.lineno}, in {frame.name}"
    words = (str(error).splitlines() or ["no reason given"])[0]
    return 3, f"unexpected {type(error).__name__} ({place}): {words}"


def _usage(error: "Any") -> str:
    """Return Typer's message on a command's arguments, with the option that is meant."""
    from pluggable_mlp.fields import did_you_mean

    names = [option.opts[0].removeprefix("--") for option in error.ctx.command.params]
    if hasattr(error, "option_name"):
        return f"{error.message}{did_you_mean(error.option_name.lstrip('-'), names)}"
    if "unexpected extra argument" in error.message and "data" in names:
        return f"{error.message}; name the data by --data FILE"
    return str(error.format_message())


def finish(code: int, error: str) -> int:
    """Print the error of a command, and return its exit code.

    A stream that cannot be written is replaced; otherwise Python would report it at exit.
    """
    if error:
        log(f"Error: {error}")
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)
    return code


@contextmanager
def save_input(name: str | None, suffix: str) -> Iterator[str | None]:
    """Yield the name of data; for -, that of a temporary file with standard input."""
    if name != "-":
        yield name
        return
    import tempfile
    from pathlib import Path
    from shutil import copyfileobj

    from pluggable_mlp.files import remove

    folder = Path(tempfile.mkdtemp(prefix="pluggable-mlp-"))
    with remove_at_end(folder):
        try:
            path = folder / f"standard input{suffix}"
            with path.open("xb") as file:
                copyfileobj(sys.stdin.buffer, file)
            yield str(path)
        finally:
            with suppress(OSError):  # Windows removes no file that is still mapped
                remove(folder)


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
