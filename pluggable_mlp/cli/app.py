"""The application: all commands, most of them in files beside this one, and their errors.

Array libraries are imported by the commands that need them, so that help is quick.
"""

from functools import cache
from pathlib import Path
from traceback import extract_tb
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from pluggable_mlp import __version__
from pluggable_mlp.backends import BackendUnavailable, out_of_memory
from pluggable_mlp.cli.backends import backends, check, compare
from pluggable_mlp.cli.data import data
from pluggable_mlp.cli.saved import evaluate, export, plot, predict, report, verify
from pluggable_mlp.cli.train import train
from pluggable_mlp.namespaces.reproducible.exactness import ArithmeticUnavailable
from pluggable_mlp.registry import did_you_mean

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Train and use multilayer perceptrons on any array library.",
)


def _show_version(is_set: bool) -> None:
    if is_set:
        typer.echo(f"pluggable-mlp {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", is_eager=True, callback=_show_version
        ),
    ] = False,
) -> None: ...


_ON_RUNS = (train, data, evaluate, predict, export, plot, report)
for command in (*_ON_RUNS, compare, verify, backends, check):
    app.command()(command)


@cache
def program() -> TyperGroup:
    """Return the function that runs the commands, made only once."""
    return get_group(app)


def described(error: Exception) -> tuple[int, str]:
    """Return the exit code and the message of an error.

    2 for a wrong argument or input, a missing extra, or training that diverged; 3 for a backend
    that is not available, cannot keep to an arithmetic, is out of memory, or fails in an unforeseen
    way.
    """
    from pluggable_mlp.training.divergence import DivergenceError

    if hasattr(error, "format_message"):
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


def _usage(error: Any) -> str:
    """Return Typer's message on a command's arguments, with the option that is meant."""
    names = [option.opts[0] for option in error.ctx.command.params]
    options = [name.removeprefix("--") for name in names if name.startswith("--")]
    if hasattr(error, "option_name"):
        return f"{error.message}{did_you_mean(error.option_name.lstrip('-'), options)}"
    if "unexpected extra argument" in error.message and "data" in options:
        return f"{error.message}; name the data by --data FILE"
    return str(error.format_message())
