"""The command line: every command in a module of its own, errors and exit codes here.

Results go to standard output, progress and errors to standard error.  Exit codes: 0 done, 1 a
comparison or a verification failed, 2 a wrong argument or input, or training that diverged, 3 the
backend is not available here, 130 interrupted, 143 terminated, 141 nobody reads the output any
more (all three after saving).  This file imports next to nothing, so that Ctrl-C is answered from
the first moment on.
"""

import os
import sys
import warnings

from pluggable_mlp.cli.interrupts import Interrupted, ending_at_once

__all__ = ["main"]


# The exit code where the reader of a pipe went away, as `| head` does: 128 + SIGPIPE's number.
_CLOSED_PIPE = 128 + 13


def main() -> None:
    """Run the command line: what the console script calls."""
    with ending_at_once():
        code = _run()
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = _CLOSED_PIPE
    if code == _CLOSED_PIPE:  # else Python would complain of what it cannot write when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def _run() -> int | str | None:
    """Run a command and return its exit code."""
    from pluggable_mlp.backends import BackendUnavailable
    from pluggable_mlp.cli.commands import app

    try:
        with warnings.catch_warnings():
            warnings.showwarning = _tell  # type: ignore[assignment]
            # NumPy's of overflow: what comes of it is said where it matters, in our words.
            warnings.simplefilter("ignore", RuntimeWarning)
            app()
    except Interrupted as request:
        return request.code
    except BackendUnavailable as error:
        return _report(error, 3)
    except (ValueError, TypeError, OSError) as error:
        return _report(error, 2)
    except ArithmeticError as error:
        from pluggable_mlp.training import DivergenceError

        if not isinstance(error, DivergenceError):
            raise
        return _report(error, 2)
    except SystemExit as stop:
        # Typer and Rich answer a closed pipe with 1, which here is a failed comparison.
        return _CLOSED_PIPE if isinstance(stop.__context__, BrokenPipeError) else stop.code
    return 0


def _tell(message: Warning | str, *_: object) -> None:
    """Show a warning as a user of commands needs it: without the line of code that gave it."""
    import typer

    typer.echo(f"Warning: {message}", err=True)


def _report(error: Exception, code: int) -> int:
    import typer

    typer.echo(f"Error: {error}", err=True)
    return code
