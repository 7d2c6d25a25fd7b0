"""The application: all commands, most of them in files beside this one, and how errors end them.

Array libraries are imported by the commands that need them, so that help is quick.
"""

from functools import cache
from pathlib import Path
from traceback import extract_tb
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

from pluggable_mlp import __version__
from pluggable_mlp.cli.check import check
from pluggable_mlp.cli.compare import compare
from pluggable_mlp.cli.data import data
from pluggable_mlp.cli.saved import evaluate, export, plot, predict, report, verify
from pluggable_mlp.cli.train import train
from pluggable_mlp.registry import closest
from pluggable_mlp.wording import counted

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Train and use multilayer perceptrons on any array library.",
)


def _show_version(asked: bool) -> None:
    if asked:
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


def backends() -> None:
    """List the available backends, and why the others are not available."""
    from rich.console import Console
    from rich.table import Table
    from threadpoolctl import threadpool_info

    from pluggable_mlp.backends import available_backends

    table = Table("backend", "here", "version", "devices, or why not", box=None, pad_edge=False)
    for status in available_backends():
        if status.available:
            detail = ", ".join(status.devices) if status.devices else "installed, not yet imported"
        else:
            detail = f"{status.reason}; {status.remedy}"
        table.add_row(
            status.name, "yes" if status.available else "no", status.version or "", detail
        )
    console = Console(markup=False, highlight=False, soft_wrap=True)
    console.print(table)
    for pool in threadpool_info():
        if pool["user_api"] == "blas":
            console.print(
                f"NumPy's BLAS: {pool['internal_api']} {pool['version']}, kernels for "
                f"{pool.get('architecture')}, {counted(pool['num_threads'], 'thread')}"
            )


_UsageError: Any = typer.BadParameter.__base__


class _Command(TyperCommand):
    """A command that says which option is meant by what it does not take."""

    def parse_args(self, context: Any, arguments: list[str]) -> list[str]:
        """Return what is left of the arguments, as Typer does."""
        try:
            return super().parse_args(context, arguments)
        except _UsageError as error:
            names = [option.opts[0] for option in self.params]  # those of arguments have no hyphens
            options = [name.removeprefix("--") for name in names if name.startswith("--")]
            near = closest(getattr(error, "option_name", "").lstrip("-"), options)
            if near is not None:
                error.possibilities = [f"--{near}"]
            elif "unexpected extra argument" in error.message and "data" in options:
                error.message += "; name the data by --data FILE"
            raise


_ON_RUNS = (train, data, evaluate, predict, export, plot, report)
for command in (*_ON_RUNS, compare, verify, backends, check):
    app.command(cls=_Command)(command)


@cache
def program() -> TyperGroup:
    """Return what runs the commands, made once however often it runs."""
    return get_group(app)


def described(error: Exception) -> tuple[int, str]:
    """Return the exit code of an error, and what it says.

    2 for a wrong argument or input, or training that diverged; 3 for a backend that is not
    available, cannot keep to an arithmetic, is out of memory, or fails in an unforeseen way.
    """
    from pluggable_mlp.backends import BackendUnavailable, out_of_memory
    from pluggable_mlp.namespaces import ArithmeticUnavailable
    from pluggable_mlp.training.divergence import DivergenceError

    if isinstance(error, BackendUnavailable | ArithmeticUnavailable):
        return 3, str(error)
    if exhausted := out_of_memory(error):
        advice = "use fewer or narrower layers, a smaller batch or float32"
        return 3, f"out of memory: {exhausted}; {advice}"
    if isinstance(error, ValueError | TypeError | OSError | DivergenceError):
        return 2, str(error)
    where = extract_tb(error.__traceback__)[-1]
    place = f"{Path(where.filename).name}, line {where.lineno}, in {where.name}"
    words = (str(error).splitlines() or ["no reason given"])[0]
    return 3, f"unexpected {type(error).__name__} ({place}): {words}"
