"""The command line: `app.py` and the files beside it have the commands, this file the exit codes.

Results go to standard output, progress and errors to standard error.  Exit codes: 0 done, 1 a
comparison or a verification failed, 2 a wrong argument or input, or training that diverged, 3 the
backend is not available, out of memory, or failed, 130 interrupted, 143 terminated, 141 the
output pipe was closed (all three after saving).  This file imports almost nothing, to handle Ctrl-C
from the start.
"""

try:
    import sys
    import warnings
    from contextlib import redirect_stdout

    from pluggable_mlp.cli.console import (
        CLOSED_PIPE,
        Interrupted,
        StandardOutput,
        ending_at_once,
        finish,
        log,
    )
except KeyboardInterrupt:  # before `ending_at_once` answers
    raise SystemExit(130) from None

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pluggable_mlp.cli.processes import Processes

__all__ = ["main"]


def main() -> None:
    """Run the command line; the console script calls this."""
    try:
        with redirect_stdout(StandardOutput()), ending_at_once():
            code = finish(*_run())
    except KeyboardInterrupt:  # before `ending_at_once` answers, or after it
        code = 130
    sys.exit(code)


def _run() -> tuple[int, str]:
    """Run a command; return its exit code and the error, empty if there is none."""
    from pluggable_mlp.cli.processes import Processes

    processes = Processes(sys.argv)
    code, error = _outcome(processes)
    if code:
        processes.end_all(error, code)
    return code, error


def _outcome(processes: "Processes") -> tuple[int, str]:
    """Run a command on this process; return its exit code and the error."""
    from pluggable_mlp.cli.app import described, program

    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn  # type: ignore[assignment]
            # NumPy's of overflow: what comes of it is said where it matters, in our words.
            warnings.simplefilter("ignore", RuntimeWarning)
            processes.begin()
            code: int | None = program()(obj=processes, standalone_mode=False)
            sys.stdout.flush()
    except Interrupted as request:
        return request.code, ""
    except BrokenPipeError:
        return CLOSED_PIPE, ""
    except SystemExit as stop:  # Typer answers a closed pipe with 1, which is a failed comparison
        is_broken = isinstance(stop.__context__, BrokenPipeError)
        return CLOSED_PIPE if is_broken else int(stop.code or 0), ""
    except Exception as error:
        return described(error)
    return code or 0, ""


def _warn(message: Warning | str, *_: object) -> None:
    """Show a warning for users of commands, without the line of code that issued it."""
    log(f"Warning: {message}")
