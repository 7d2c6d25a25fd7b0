"""The command line: `app.py` and the files beside it have the commands, this file the exit codes.

Results go to standard output, progress and errors to standard error.  Exit codes: 0 done, 1 a
comparison or a verification failed, 2 a wrong argument or input, or training that diverged, 3 the
backend is not available, out of memory, or failed, 130 interrupted, 143 terminated, 141 the
output pipe was closed (all three after saving).  This file imports almost nothing, to handle Ctrl-C
from the start.
"""

import sys
import warnings

from pluggable_mlp.cli.console import (
    CLOSED_PIPE,
    describe_error,
    end,
    finish,
    handling_signals,
    log,
    prepare_output,
)


def main() -> None:
    """Run the command line; the console script calls this."""
    with handling_signals(end):
        prepare_output()
        code = finish(*_run())
    sys.exit(code)


def _run() -> tuple[int, str]:
    """Run a command; return its exit code and its error or ""."""
    from pluggable_mlp.cli.app import program

    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn  # type: ignore[assignment]
            # NumPy warns of overflow; its consequences are reported where they matter.
            warnings.simplefilter("ignore", RuntimeWarning)
            code: int | None = program(standalone_mode=False)
            sys.stdout.flush()
    except SystemExit as stop:  # Typer answers a closed pipe with 1, which is a failed comparison
        is_broken = isinstance(stop.__context__, BrokenPipeError)
        return CLOSED_PIPE if is_broken else int(stop.code or 0), ""
    except Exception as error:
        return describe_error(error)
    return code or 0, ""


def _warn(message: Warning | str, *_: object) -> None:
    """Show a warning for users of commands, without the line of code that issued it."""
    log(f"Warning: {message}")
