"""The command line: every command in a module of its own, errors and exit codes here.

Results go to standard output, progress and errors to standard error.  Exit codes: 0 done, 1 a
comparison or a verification failed, 2 a wrong argument or input, 3 the backend is not available
here, 130 interrupted (after saving).  Array libraries are imported by the commands that need
them, so that help is quick.
"""

import sys

import typer

from pluggable_mlp.cli.backends import backends
from pluggable_mlp.cli.compare import compare
from pluggable_mlp.cli.train import train
from pluggable_mlp.cli.use import evaluate, predict
from pluggable_mlp.cli.verify import verify

__all__ = ["main"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="One multilayer perceptron, the same on every array library.",
)
for command in (train, evaluate, predict, compare, verify, backends):
    app.command()(command)


def main() -> None:
    """Run the command line: what the console script calls."""
    from pluggable_mlp.backends import BackendUnavailable

    try:
        app()
    except BackendUnavailable as error:
        sys.exit(_report(error, 3))
    except (ValueError, TypeError, OSError) as error:
        sys.exit(_report(error, 2))


def _report(error: Exception, code: int) -> int:
    typer.echo(f"Error: {error}", err=True)
    return code
